import { Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind } from 'iced-x86';
import type { CodeMode, Processor } from '../../processor/processor.ts';
import { Segment } from '../../processor/state/layout.ts';

/** Where an instruction leads, as far as stepping cares. */
export type FlowKind = 'plain' | 'call' | 'interrupt' | 'system-call' | 'return' | 'rep';

export interface InstructionFlow {
  readonly kind: FlowKind;
  /** In bytes; 0 where nothing can be decoded. */
  readonly length: number;
  /** Linear address that a direct call goes to. */
  readonly target?: bigint;
}

export const LONGEST_INSTRUCTION = 15;
const PLAIN: InstructionFlow = { kind: 'plain', length: 0 };
const PREFIXES: ReadonlySet<number> = new Set([0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3]);
/** CALL, RET, INT and their kin, group 5, INT1. */
const FLOW_OPCODES: ReadonlySet<number> = new Set([0xe8, 0x9a, 0xc2, 0xc3, 0xca, 0xcb, 0xcc, 0xcd, 0xce, 0xcf, 0xf1, 0xff]);
/** SYSCALL, SYSRET, SYSENTER, SYSEXIT. */
const FLOW_OPCODES_0F: ReadonlySet<number> = new Set([0x05, 0x07, 0x34, 0x35]);

/** Most instructions are plain, which their first bytes tell without a decoder. */
function mayBeFlow(bytes: Uint8Array, mode: CodeMode): boolean {
  let repeated = false;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0;
    if (PREFIXES.has(byte)) {
      repeated ||= byte === 0xf2 || byte === 0xf3;
      continue;
    }
    if (mode === 64 && (byte & 0xf0) === 0x40) continue;
    if (byte === 0x0f) return FLOW_OPCODES_0F.has(bytes[at + 1] ?? 0);
    const isString = (byte >= 0xa4 && byte <= 0xaf && byte !== 0xa8 && byte !== 0xa9) || (byte >= 0x6c && byte <= 0x6f);
    return FLOW_OPCODES.has(byte) || (repeated && isString);
  }
  return false;
}

const RETURNS: ReadonlySet<number> = new Set([
  Mnemonic.Ret,
  Mnemonic.Retf,
  Mnemonic.Iret,
  Mnemonic.Iretd,
  Mnemonic.Iretq,
  Mnemonic.Sysret,
  Mnemonic.Sysretq,
  Mnemonic.Sysexit,
  Mnemonic.Sysexitq,
]);

function kindOf(instruction: Instruction): FlowKind {
  if (instruction.isStringInstruction && (instruction.hasRepPrefix || instruction.hasRepnePrefix)) return 'rep';
  const { mnemonic, flowControl } = instruction;
  if (RETURNS.has(mnemonic)) return 'return';
  // VMCALL counts as a call for iced; a hypercall is one instruction for the guest.
  if (mnemonic === Mnemonic.Call) return 'call';
  if (mnemonic === Mnemonic.Syscall || mnemonic === Mnemonic.Sysenter) return 'system-call';
  return flowControl === FlowControl.Interrupt ? 'interrupt' : 'plain';
}

/** Where some bytes of code at a linear address lead. `base` is that of the code segment, 0 in 64-bit code. */
export function flowOf(bytes: Uint8Array, mode: CodeMode, address: bigint, base: bigint): InstructionFlow {
  if (!mayBeFlow(bytes, mode)) return PLAIN;
  const decoder = new Decoder(mode, bytes, DecoderOptions.None);
  const instruction = new Instruction();
  try {
    decoder.ip = BigInt.asUintN(mode, address - base);
    decoder.decodeOut(instruction);
    if (instruction.isInvalid) return PLAIN;
    const kind = kindOf(instruction);
    const operand = kind === 'call' ? instruction.opKind(0) : undefined;
    const isDirect = operand === OpKind.NearBranch16 || operand === OpKind.NearBranch32 || operand === OpKind.NearBranch64;
    return {
      kind,
      length: instruction.length,
      target: isDirect ? BigInt.asUintN(mode === 64 ? 64 : 32, instruction.nearBranchTarget + base) : undefined,
    };
  } finally {
    instruction.free();
    decoder.free();
  }
}

/** Where the instruction at RIP leads. */
export function currentFlow(processor: Processor): InstructionFlow {
  const address = processor.linearRip;
  const base = processor.mode === 64 ? 0n : processor.state.segment(Segment.CS).base;
  return flowOf(processor.readMemory('gva', address, LONGEST_INSTRUCTION), processor.mode, address, base);
}
