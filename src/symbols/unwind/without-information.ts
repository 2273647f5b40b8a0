import { littleEndian } from '../dwarf/byte-reader.ts';
import { GENERAL_REGISTERS, RBP, RETURN_ADDRESS, RSP } from '../registers.ts';
import type { FrameContext, FrameRegisters } from '../symbol-source.ts';
import { type StackDepth, stackDepthAt } from './stack-depth.ts';

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
/** A function's code is followed this far. */
const MAX_FUNCTION = 4096;
/** Labels in front of the nearest one that may be the function's start: code falls through labels. */
const MAX_STARTS = 6;
const ENDBR = [0xf3, 0x0f, 0x1e];
const PUSH_BP = 0x55;
const RET = 0xc3;
const POP_BP = 0x5d;
const CALL = 0xe8;

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
 * Follows a frame without unwind information. The function's code is followed from its start to see what it has done to the
 * stack; where that doesn't lead to a return address behind a call, the frame pointer is believed. A return address must be
 * code of the program: guesses beyond that are no frames.
 */
export function unwindWithoutInformation(frame: FrameContext, known: CodeKnowledge): FrameRegisters | undefined {
  const place = frame.isCaller ? frame.pc - 1n : frame.pc;
  if (known.isOutermost(place)) return undefined;
  const stack = new Stack(frame, known);
  return stack.byCode(place) ?? stack.byFramePointer(place);
}

/** The stack of one frame. */
class Stack {
  private readonly size: number;
  private readonly bits: number;
  private readonly sp: bigint | undefined;
  private readonly bp: bigint | undefined;

  constructor(
    private readonly frame: FrameContext,
    private readonly known: CodeKnowledge,
  ) {
    this.size = frame.pointerSize;
    this.bits = 8 * this.size;
    this.sp = this.register(RSP);
    this.bp = this.register(RBP);
  }

  private register(number: number): bigint | undefined {
    const value = this.frame.registers.get(number);
    return value === undefined ? undefined : BigInt.asUintN(this.bits, value);
  }

  private word(offset: bigint): bigint | undefined {
    const bytes = this.frame.memory(BigInt.asUintN(this.bits, offset) + (this.frame.stackBase ?? 0n), this.size);
    return bytes && bytes.length >= this.size ? littleEndian(bytes) : undefined;
  }

  private get codeBase(): bigint {
    return this.frame.codeBase ?? 0n;
  }

  // --- by the function's code ----------------------------------------------------------------------------------------------

  byCode(place: bigint): FrameRegisters | undefined {
    let start = this.known.functionStart(place);
    let second: FrameRegisters | undefined;
    for (let tries = 0; tries < MAX_STARTS && start !== undefined; tries++) {
      const distance = Number(this.frame.pc - start);
      if (distance > MAX_FUNCTION) break;
      const code = this.codeFrom(start, distance);
      const depth = code && stackDepthAt(code, distance, this.bits === 16 ? 16 : this.bits === 32 ? 32 : 64);
      const found = depth && (depth.isInterruptHandler ? this.interrupted(depth) : this.returned(depth, start));
      if (found?.isSure) return found.caller;
      second ??= found?.caller;
      // The label may be one in the middle of a function.
      start = this.known.functionStart(start - 1n);
    }
    return second;
  }

  /** The code from a function's start over an instruction of it: as much as can be read. */
  private codeFrom(start: bigint, distance: number): Uint8Array | undefined {
    for (const length of [MAX_FUNCTION, distance + 256, distance + 16, distance + 1]) {
      const code = this.frame.memory(start, length);
      if (code) return code;
    }
    return undefined;
  }

  /** The caller's registers, when there is a return address; it is sure when the call before it goes to the function. */
  private returned(found: StackDepth, start: bigint): { readonly caller: FrameRegisters; readonly isSure: boolean } | undefined {
    const { sp, size } = this;
    if (sp === undefined || found.depth < 0) return undefined;
    const returnAt = sp + BigInt(found.depth);
    const pc = this.word(returnAt);
    if (pc === undefined || !this.known.isCode(pc + this.codeBase - 1n)) return undefined;
    const called = this.callBefore(pc + this.codeBase);
    if (called === undefined) return undefined;
    const caller = this.caller(pc + this.codeBase, returnAt + BigInt(size), found);
    return { caller, isSure: called === 'indirect' || called === start };
  }

  /** Where the call goes that a return address lies behind; undefined when there is no call. */
  private callBefore(linear: bigint): bigint | 'indirect' | undefined {
    const length = this.bits === 16 ? 3 : 5;
    const direct = this.frame.memory(linear - BigInt(length), length);
    if (direct?.[0] === CALL) {
      const distance = BigInt.asIntN(8 * (length - 1), littleEndian(direct.subarray(1)));
      const offset = BigInt.asUintN(this.bits, linear - this.codeBase + distance);
      return offset + this.codeBase;
    }
    // FF /2 with up to six bytes behind the opcode.
    for (let back = 2; back <= 7; back++) {
      const bytes = this.frame.memory(linear - BigInt(back), 2);
      if (bytes?.[0] === 0xff && ((bytes[1] ?? 0) & 0x38) === 0x10) return 'indirect';
    }
    return undefined;
  }

  /** What an interrupt handler returns to. */
  private interrupted(found: StackDepth): { readonly caller: FrameRegisters; readonly isSure: boolean } | undefined {
    const { sp, size, bits } = this;
    if (sp === undefined || found.depth < 0) return undefined;
    const at = sp + BigInt(found.depth);
    const pc = this.word(at);
    const selector = this.word(at + BigInt(size));
    if (pc === undefined || selector === undefined || !this.known.isCode(pc + this.codeBase)) return undefined;
    // Long mode always pushes SS:RSP, the older modes when the privilege changes.
    const hasStack = bits === 64 || (bits === 32 && (selector & 3n) === 3n);
    const below = hasStack ? this.word(at + BigInt(3 * size)) : at + BigInt(3 * size);
    if (below === undefined) return undefined;
    return { caller: { ...this.caller(pc + this.codeBase, below, found), isInterrupted: true }, isSure: true };
  }

  private caller(pc: bigint, sp: bigint, { saved }: Pick<StackDepth, 'saved'>): FrameRegisters {
    const values = new Map<number, bigint>();
    for (const [register, offset] of saved) {
      const value = this.word((this.sp ?? 0n) + BigInt(offset));
      const number = GENERAL_REGISTERS[register];
      if (value !== undefined && number !== undefined) values.set(number, value);
    }
    values.set(RETURN_ADDRESS, pc);
    values.set(RSP, BigInt.asUintN(this.bits, sp));
    return { get: (number) => values.get(number) ?? this.frame.registers.get(number) };
  }

  // --- by the frame pointer ------------------------------------------------------------------------------------------------

  byFramePointer(place: bigint): FrameRegisters | undefined {
    const { frame, size, sp, bp } = this;
    if (sp === undefined) return undefined;
    const caller = (returnAt: bigint, savedBp: bigint | undefined): FrameRegisters | undefined => {
      const pc = this.word(returnAt);
      if (pc === undefined || !this.known.isCode(pc + this.codeBase - 1n)) return undefined;
      const newSp = BigInt.asUintN(this.bits, returnAt + BigInt(size));
      return {
        get: (number) =>
          number === RETURN_ADDRESS
            ? pc + this.codeBase
            : number === RSP
              ? newSp
              : number === RBP
                ? savedBp
                : frame.registers.get(number),
      };
    };
    const start = this.known.functionStart(place);
    const code = start === undefined ? undefined : (frame.memory(start, Number(MAX_PROLOGUE)) ?? frame.memory(start, 8));
    const prologue = code && findPrologue(code);
    const distance = start === undefined ? undefined : Number(place - start);
    if (!frame.isCaller && distance !== undefined) {
      if (prologue) {
        if (distance <= prologue.push) return caller(sp, bp);
        if (distance < prologue.end) return caller(sp + BigInt(size), this.word(sp));
      }
      const here = frame.memory(frame.pc, 1)?.[0];
      if (here === RET) return caller(sp, bp);
      // A function without a frame pointer, at its very start.
      if (distance === 0) return caller(sp, bp);
      if (prologue && here === POP_BP && bp === sp) return caller(sp + BigInt(size), this.word(sp));
    }
    const chained = bp !== undefined && bp !== 0n && bp >= sp ? caller(bp + BigInt(size), this.word(bp)) : undefined;
    if (chained && (prologue || start === undefined)) return chained;
    // Without a frame pointer: a plain function that pushed nothing has its return address on top.
    return caller(sp, bp) ?? chained;
  }
}
