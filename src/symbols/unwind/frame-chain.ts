import { littleEndian } from '../dwarf/byte-reader.ts';
import { RBP, RETURN_ADDRESS, RSP } from '../registers.ts';
import type { FrameContext, FrameRegisters } from '../symbol-source.ts';

/** What the unwinder without unwind information asks of the symbols. */
export interface CodeKnowledge {
  /** First address of the function around an address. */
  functionStart(address: bigint): bigint | undefined;
  /** Whether an address is code of the program. */
  isCode(address: bigint): boolean;
  /** Whether the function at an address has no caller: the entry of the program. */
  isOutermost(address: bigint): boolean;
}

/** Prologues are looked for this far into a function. */
const MAX_PROLOGUE = 64n;
const ENDBR = [0xf3, 0x0f, 0x1e];
const PUSH_BP = 0x55;
const RET = 0xc3;
const POP_BP = 0x5d;

export interface Prologue {
  /** Offset of `push rbp`, from the start of the function. */
  readonly push: number;
  /** Offset behind `mov rbp, rsp`. */
  readonly end: number;
}

/** The frame pointer's set-up at the start of a function, from its first bytes; undefined where there is none. */
export function findPrologue(code: Uint8Array): Prologue | undefined {
  let at = 0;
  if (ENDBR.every((byte, index) => code[index] === byte)) at = 4;
  // -m32's main aligns its stack first: lea ecx,[esp+4]; and esp,-16; push [ecx-4].
  if (code[at] === 0x8d && code[at + 1] === 0x4c && code[at + 2] === 0x24) at += 10;
  if (code[at] !== PUSH_BP) return undefined;
  let after = at + 1;
  if (code[after] === 0x48 || code[after] === 0x66) after++;
  const isMove = (code[after] === 0x89 && code[after + 1] === 0xe5) || (code[after] === 0x8b && code[after + 1] === 0xec);
  return isMove ? { push: at, end: after + 2 } : undefined;
}

/**
 * Follows a frame without unwind information. Where the frame pointer's set-up is known not to be done yet (or to be undone),
 * the return address is on top of the stack; else it lies behind the saved frame pointer. A return address must be code of
 * the program: guesses beyond that are no frames.
 */
export function unwindByFramePointer(frame: FrameContext, known: CodeKnowledge): FrameRegisters | undefined {
  const size = frame.pointerSize;
  const bits = 8 * size;
  const stackBase = frame.stackBase ?? 0n;
  const codeBase = frame.codeBase ?? 0n;
  const read = (register: number) => {
    const value = frame.registers.get(register);
    return value === undefined ? undefined : BigInt.asUintN(bits, value);
  };
  const sp = read(RSP);
  const bp = read(RBP);
  const place = frame.isCaller ? frame.pc - 1n : frame.pc;
  if (sp === undefined || known.isOutermost(place)) return undefined;
  const word = (offset: bigint): bigint | undefined => {
    const bytes = frame.memory(BigInt.asUintN(bits, offset) + stackBase, size);
    return bytes && bytes.length >= size ? littleEndian(bytes) : undefined;
  };
  const caller = (returnAt: bigint, savedBp: bigint | undefined): FrameRegisters | undefined => {
    const pc = word(returnAt);
    if (pc === undefined || !known.isCode(pc + codeBase - 1n)) return undefined;
    const newSp = BigInt.asUintN(bits, returnAt + BigInt(size));
    return {
      get: (number) =>
        number === RETURN_ADDRESS
          ? pc + codeBase
          : number === RSP
            ? newSp
            : number === RBP
              ? savedBp
              : frame.registers.get(number),
    };
  };
  const start = known.functionStart(place);
  const code = start === undefined ? undefined : (frame.memory(start, Number(MAX_PROLOGUE)) ?? frame.memory(start, 8));
  const prologue = code && findPrologue(code);
  const distance = start === undefined ? undefined : Number(place - start);
  if (!frame.isCaller && distance !== undefined) {
    if (prologue) {
      if (distance <= prologue.push) return caller(sp, bp);
      if (distance < prologue.end) return caller(sp + BigInt(size), word(sp));
    }
    const here = frame.memory(frame.pc, 1)?.[0];
    if (here === RET) return caller(sp, bp);
    // A function without a frame pointer, at its very start.
    if (distance === 0) return caller(sp, bp);
    if (prologue && here === POP_BP && bp === sp) return caller(sp + BigInt(size), word(sp));
  }
  const chained = bp !== undefined && bp !== 0n && bp >= sp ? caller(bp + BigInt(size), word(bp)) : undefined;
  if (chained && (prologue || start === undefined)) return chained;
  // Without a frame pointer: a plain function that pushed nothing has its return address on top.
  return caller(sp, bp) ?? chained;
}
