import { Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind, Register } from 'iced-x86';

/** What the code of a function has done to the stack on its way to one of its instructions. */
export interface StackDepth {
  /** Bytes that lie between the stack pointer and the return address (or, in an interrupt handler, the interrupted RIP). */
  readonly depth: number;
  /** Registers that were pushed and are still on the stack, by number in encodings: bytes between SP and their slot. */
  readonly saved: ReadonlyMap<number, number>;
  /** The function ends with IRET: what it returns through is an interrupt frame. */
  readonly isInterruptHandler: boolean;
}

interface State {
  readonly at: number;
  /** Bytes pushed since the function's first instruction. */
  readonly pushed: number;
  /** Depth below the first instruction's SP at which a register lies. */
  readonly saved: ReadonlyMap<number, number>;
}

/** So many instructions of a function are followed. */
const MOST_INSTRUCTIONS = 600;
const IRETS: ReadonlySet<number> = new Set([Mnemonic.Iret, Mnemonic.Iretd, Mnemonic.Iretq]);
const FIRST_REGISTERS = [Register.AX, Register.EAX, Register.RAX];

/** Number in encodings of a general register of 16, 32 or 64 bits. */
function registerNumber(register: number): number | undefined {
  const first = FIRST_REGISTERS.find((candidate) => register >= candidate && register < candidate + 16);
  return first === undefined ? undefined : register - first;
}

const isStackPointer = (register: number) => registerNumber(register) === 4;

/**
 * Follows the code of a function from its first byte, over all its branches, to the instruction at an offset. Calls are taken
 * to come back with the stack as it was. Undefined where the code can't be followed there: an indirect jump, a stack pointer
 * that is loaded, bytes that are no instruction.
 */
export function stackDepthAt(code: Uint8Array, target: number, bits: 16 | 32 | 64): StackDepth | undefined {
  const decoder = new Decoder(bits, code, DecoderOptions.None);
  const instruction = new Instruction();
  const seen = new Set<number>();
  const waiting: State[] = [{ at: 0, pushed: 0, saved: new Map() }];
  let found: State | undefined;
  let atIret: number | undefined;
  try {
    for (let count = 0; count < MOST_INSTRUCTIONS && waiting.length > 0 && !(found && atIret !== undefined); count++) {
      const state = waiting.pop();
      if (!state || seen.has(state.at) || state.at < 0 || state.at >= code.length) continue;
      seen.add(state.at);
      if (state.at === target) found ??= state;
      decoder.position = state.at;
      decoder.ip = BigInt(state.at);
      decoder.decodeOut(instruction);
      if (instruction.isInvalid) continue;
      if (IRETS.has(instruction.mnemonic)) atIret ??= state.pushed;
      waiting.push(...after(instruction, state, bits));
    }
  } finally {
    instruction.free();
    decoder.free();
  }
  if (!found) return undefined;
  // A handler drops an error code, and what its stub has pushed before it, ahead of its IRET.
  const base = atIret ?? 0;
  const saved = new Map([...found.saved].map(([register, depth]) => [register, (found?.pushed ?? 0) - depth]));
  return { depth: found.pushed - base, saved, isInterruptHandler: atIret !== undefined };
}

/** The states behind an instruction. */
function after(instruction: Instruction, state: State, bits: number): State[] {
  const { flowControl } = instruction;
  const end = state.at + instruction.length;
  const target = () => end + Number(BigInt.asIntN(bits, instruction.nearBranchTarget - BigInt(end)));
  switch (flowControl) {
    case FlowControl.Call:
    case FlowControl.IndirectCall:
    case FlowControl.Interrupt:
      return [{ ...state, at: end }];
    case FlowControl.UnconditionalBranch:
      return instruction.isJmpFar || instruction.isJmpFarIndirect ? [] : [{ ...state, at: target() }];
    case FlowControl.ConditionalBranch:
    case FlowControl.XbeginXabortXend:
      return [
        { ...state, at: target() },
        { ...state, at: end },
      ];
    case FlowControl.Next:
      break;
    default:
      return [];
  }
  const next = moved(instruction, state);
  return next ? [{ ...next, at: end }] : [];
}

/** What an instruction does to SP and to the saved registers; undefined when SP is unknown behind it. */
function moved(instruction: Instruction, state: State): State | undefined {
  const { mnemonic } = instruction;
  const saved = new Map(state.saved);
  const pushed = state.pushed - instruction.stackPointerIncrement;
  const register = instruction.opCount > 0 && instruction.op0Kind === OpKind.Register ? instruction.op0Register : Register.None;
  if (mnemonic === Mnemonic.Push) {
    const number = registerNumber(register);
    // The first push of a register is the caller's value; later ones are arguments or scratch.
    if (number !== undefined && !saved.has(number)) saved.set(number, pushed);
    return { ...state, pushed, saved };
  }
  if (mnemonic === Mnemonic.Pop && !isStackPointer(register)) {
    for (const [number, depth] of saved) if (depth > pushed) saved.delete(number);
    return { ...state, pushed, saved };
  }
  if (instruction.opCount > 0 && isStackPointer(register) && mnemonic !== Mnemonic.Cmp && mnemonic !== Mnemonic.Test) {
    const amount = adjustment(instruction);
    if (amount === undefined) return undefined;
    const now = state.pushed - amount;
    for (const [number, depth] of saved) if (depth > now) saved.delete(number);
    return { ...state, pushed: now, saved };
  }
  // LEAVE and the like load SP from a register.
  if (mnemonic === Mnemonic.Leave || mnemonic === Mnemonic.Enter) return undefined;
  return { ...state, pushed };
}

/** Bytes that ADD, SUB or LEA adds to SP; undefined for anything else. */
function adjustment(instruction: Instruction): number | undefined {
  const { mnemonic } = instruction;
  if (mnemonic === Mnemonic.Lea && isStackPointer(instruction.memoryBase) && instruction.memoryIndex === Register.None)
    return Number(BigInt.asIntN(32, instruction.memoryDisplacement));
  const isImmediate =
    instruction.opCount === 2 && instruction.op1Kind !== OpKind.Register && instruction.op1Kind !== OpKind.Memory;
  if (!isImmediate || (mnemonic !== Mnemonic.Add && mnemonic !== Mnemonic.Sub)) return undefined;
  const amount = Number(BigInt.asIntN(32, BigInt(instruction.immediate(1))));
  return mnemonic === Mnemonic.Add ? amount : -amount;
}
