import type { OperandSize } from './instruction.ts';
import type { VectorSemantics } from './vector-semantics.ts';

/**
 * The code-building interface that instruction semantics are written against. A semantics function is called once for each
 * operand size and kind at build time and describes what the instruction does; who implements the interface decides what
 * becomes of it (handlers of the interpreter today, regions of the translator later).
 *
 * All values are 64-bit. Operands are read zero-extended from their size. An instruction must read and write memory before
 * it changes registers or flags, since a memory access may abandon it.
 */
export interface Value {
  readonly brand: 'value';
}

/** Sizes of the string and stack registers: the address size of the instruction, the stack's width. */
export type RegisterWidth = 'operand' | 'address' | 'stack';

/** A segment register by number, or that of the memory operand. */
export type RegisterSegment = number | 'operand';

/** What the passes of a REP string instruction do: MOVS, STOS, CMPS, SCAS. */
export type StringRun = 'move' | 'store' | 'compare' | 'scan';

export interface Semantics {
  /** Operand size in bits. */
  readonly size: OperandSize;
  /** Address size in bits. */
  readonly addressSize: 16 | 32 | 64;
  /** Width of SP: 16, 32 or 64. */
  readonly stackWidth: 16 | 32 | 64;
  readonly rep: 'none' | 'rep' | 'repne';

  // --- operands -----------------------------------------------------------------------------------------------------
  /** Reads explicit operand `index`; zero-extended from the operand's own size. */
  read(index: number): Value;
  /** Reads an operand that `write` will change: a memory operand faults as a write does. */
  readForWrite(index: number): Value;
  /** Writes operand `index`: truncated to its size; a 32-bit register write clears the upper half. */
  write(index: number, value: Value): void;
  /** Size in bits of operand `index`. */
  operandSize(index: number): OperandSize;
  isMemory(index: number): boolean;
  /** Offset of the memory operand (without the segment's base), wrapped to the address size. */
  effectiveAddress(): Value;
  /** Moves the memory operand by a byte offset (bit strings). */
  displaceMemory(offset: Value): void;

  // --- registers and memory by name -----------------------------------------------------------------------------------
  /** General register by number, zero-extended from `size` bits (low part; never AH–BH). */
  register(number: number, size: OperandSize): Value;
  setRegister(number: number, size: OperandSize, value: Value): void;
  /** AH: bits 15:8 of RAX. */
  high(number: number): Value;
  setHigh(number: number, value: Value): void;
  load(segment: RegisterSegment, offset: Value, size: OperandSize): Value;
  loadForWrite(segment: RegisterSegment, offset: Value, size: OperandSize): Value;
  store(segment: RegisterSegment, offset: Value, size: OperandSize, value: Value): void;
  push(value: Value, size: OperandSize): void;
  /** Reads the stack's top; the stack pointer moves by `commitPop`. */
  pop(size: OperandSize): Value;
  commitPop(size: OperandSize, extraBytes?: Value): void;
  segmentSelector(segment: number): Value;

  // --- arithmetic ----------------------------------------------------------------------------------------------------
  constant(value: bigint | number): Value;
  add(a: Value, b: Value): Value;
  sub(a: Value, b: Value): Value;
  mul(a: Value, b: Value): Value;
  and(a: Value, b: Value): Value;
  or(a: Value, b: Value): Value;
  xor(a: Value, b: Value): Value;
  not(a: Value): Value;
  shl(a: Value, count: Value): Value;
  shr(a: Value, count: Value): Value;
  sar(a: Value, count: Value): Value;
  /** Unsigned and signed division: the divisor must not be zero, the quotient must fit. */
  divU(a: Value, b: Value): Value;
  remU(a: Value, b: Value): Value;
  divS(a: Value, b: Value): Value;
  remS(a: Value, b: Value): Value;
  countLeadingZeros(a: Value): Value;
  countTrailingZeros(a: Value): Value;
  countOnes(a: Value): Value;
  zeroExtend(a: Value, size: OperandSize): Value;
  signExtend(a: Value, size: OperandSize): Value;
  /** 1 or 0. */
  equal(a: Value, b: Value): Value;
  lessU(a: Value, b: Value): Value;
  lessS(a: Value, b: Value): Value;
  isZero(a: Value): Value;
  select(condition: Value, yes: Value, no: Value): Value;
  /** Evaluates once, now, and gives the result: use for what is needed twice or must be read before a change. */
  keep(value: Value): Value;
  /** A changeable place. */
  variable(initial: Value): Variable;

  // --- flags -----------------------------------------------------------------------------------------------------------
  readonly flags: FlagSemantics;

  // --- vectors ---------------------------------------------------------------------------------------------------------
  readonly vector: VectorSemantics;

  // --- conditions ------------------------------------------------------------------------------------------------------
  /** Condition code 0–15 as in Jcc (Intel SDM vol. 1, appendix B): 1 or 0. */
  condition(code: number): Value;
  /** Bit of EFLAGS outside the arithmetic ones, 1 or 0: 10 is DF. */
  systemFlag(bit: number): Value;
  setSystemFlag(bit: number, value: Value): void;
  /** EFLAGS without the arithmetic ones. */
  systemFlags(): Value;
  setSystemFlags(value: Value): void;
  /** CPL. */
  privilege(): Value;
  /** 1 where an external interrupt may wait for EFLAGS.IF. */
  interruptsWait(): Value;
  /** The next instruction runs before an interrupt is taken. */
  castInterruptShadow(): void;
  /** Exchanges the base of GS with IA32_KERNEL_GS_BASE. */
  exchangeGsBase(): void;
  /**
   * Says, before anything has changed, that events must be looked at behind this instruction where the condition is not 0:
   * it lets interrupts in, single-steps, or changes what accesses are checked for.
   */
  eventsFollow(condition: Value): void;

  // --- control -----------------------------------------------------------------------------------------------------------
  when(condition: Value, then: () => void, otherwise?: () => void): void;
  /** Repeats while the condition holds after each pass; at most 64 passes by construction of the caller. */
  repeat(body: () => Value): void;
  /**
   * Raises #GP(0) where CS has no such offset (the target is truncated to the operand size first). Instructions that change
   * something before they jump call it before that.
   */
  checkJump(target: Value): void;
  /** Ends the instruction with a jump to an offset in CS, truncated to the operand size; checks it unless that was done. */
  jump(target: Value, checked?: boolean): void;
  /** Ends the instruction with a jump to the next instruction's offset plus operand 0, which is a displacement. */
  jumpRelative(): void;
  /** Offset of the next instruction. */
  nextRip(): Value;
  /**
   * In front of a pass of a REP string instruction with `count` passes to go: who implements the interface may do many passes
   * at once here, and end as {@link repeatWhile} does.
   */
  runPasses(run: StringRun, count: Value): void;
  /** Ends this pass of a REP instruction: it stays at RIP for another pass while `again` is not 0. */
  repeatWhile(again: Value): void;
  raise(vector: number): void;
}

export interface Variable extends Value {
  set(value: Value): void;
}

/** Arithmetic flags. Values are 1 or 0; `result` is an operand-sized result, from which ZF, SF and PF follow. */
export interface FlagSemantics {
  carry(): Value;
  adjust(): Value;
  zero(): Value;
  sign(): Value;
  overflow(): Value;
  parity(): Value;
  /** All six as in EFLAGS[7:0] (for LAHF) without OF. */
  low(): Value;
  /** `carryIn` must be given where the result is not just a + b: what was added besides. */
  addition(a: Value, b: Value, result: Value, size: OperandSize, carryIn?: Value): void;
  subtraction(a: Value, b: Value, result: Value, size: OperandSize, borrowIn?: Value): void;
  /** CF = OF = AF = 0. */
  logic(result: Value, size: OperandSize): void;
  /** INC and DEC: CF stays. */
  increment(a: Value, result: Value, size: OperandSize, decrement: boolean): void;
  /** Sets SF, ZF, PF from a result, and CF, OF, AF as given; what is undefined in `bits` stays. */
  set(bits: { carry?: Value; overflow?: Value; adjust?: Value; result?: Value; size?: OperandSize }): void;
  setCarry(value: Value): void;
  setZero(value: Value): void;
  /** SF ZF AF PF CF from bits 7, 6, 4, 2, 0. */
  setLow(value: Value): void;
}
