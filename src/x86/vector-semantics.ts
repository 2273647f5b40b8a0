import type { LaneOperation } from './lane-operation.ts';
import type { Value } from './semantics.ts';

/** A value that is computed in generated code. */
export interface QuickResult {
  readonly value: VectorValue;
  /** 1 where it is as good as the exact one. */
  readonly holds: Value;
  /** Another such condition, for what is rarer: its code is run only where the first doesn't hold. */
  readonly holdsExactly?: () => Value;
}

/** 128 bits. What an operand has less is zero. */
export interface VectorValue {
  readonly vectorBrand: 'vector';
}

export interface VectorVariable extends VectorValue {
  set(value: VectorValue): void;
}

/** Up to three sources; the others are 0. */
export type Sources = readonly [a: VectorValue, b: VectorValue, c: VectorValue];

/** Width of a lane in bits. */
export type LaneWidth = 8 | 16 | 32 | 64;

/** Binary floating-point formats of lanes. */
export type LaneFormat = 'f32' | 'f64';

/**
 * The part of the code-building interface for vector instructions. Vectors of 256 bits are worked on in parts of 128, which is
 * how their instructions are defined but for the few that cross the parts.
 */
export interface VectorSemantics {
  /** Bits that the instruction works on: 64 with MMX registers. */
  readonly length: 64 | 128 | 256;
  /** Encoded with VEX: three operands, and what lies above the result is cleared. */
  readonly isVex: boolean;

  // --- operands -----------------------------------------------------------------------------------------------------
  /** 128-bit part `part` of vector operand `index`. The first read of a memory operand accesses all of it. */
  read(index: number, part?: number): VectorValue;
  /** Writes a whole operand: a part for each 128 bits; above them a VEX instruction clears a register. */
  write(index: number, ...parts: VectorValue[]): void;
  /** Raises the faults that a write of a whole memory operand would raise. */
  requireWritable(index: number): void;
  /** Writes one part of a register and leaves the other as it is. */
  replace(index: number, part: number, value: VectorValue): void;
  /**
   * Writes operand 0 with what `compute` makes of the last `count` vector operands, for each 128-bit part. Everything is read before
   * anything is written.
   */
  apply(count: number, compute: (sources: Sources, part: number) => VectorValue): void;
  /**
   * The same for the lowest lane alone: the others are those of the operand before the last, or stay where there are two operands.
   */
  applyScalar(width: 32 | 64, count: number, compute: (sources: Sources) => VectorValue): void;
  /** The immediate operand, 8 bits. */
  immediate(): Value;
  /** Vector register by number, 128 bits of it. */
  register(number: number, part?: number): VectorValue;

  setRegister(number: number, vector: VectorValue): void;
  /** Clears the first `count` registers, or what lies above 128 bits. */
  clearRegisters(count: 8 | 16, upper: boolean): void;

  /** The register with the indices of the memory operand, and the offset that an index of it gives. */
  indices(part?: number): VectorValue;
  indexedAddress(index: Value): Value;

  // --- values -------------------------------------------------------------------------------------------------------
  lanes(operation: LaneOperation, ...values: VectorValue[]): VectorValue;
  /** A vector of 16 bytes, the lowest first. */
  bytes(bytes: readonly number[]): VectorValue;
  /** The same number in all lanes. */
  splat(width: LaneWidth, value: Value): VectorValue;
  /** A lane by its number, zero-extended. */
  extract(width: LaneWidth, vector: VectorValue, lane: number): Value;
  insert(width: LaneWidth, vector: VectorValue, lane: number, value: Value): VectorValue;
  /** Shifts all lanes by a count below their width. */
  shift(width: LaneWidth, kind: 'shl' | 'shr_s' | 'shr_u', vector: VectorValue, count: Value): VectorValue;
  shiftBy(width: LaneWidth, kind: 'shl' | 'shr_s' | 'shr_u', vector: VectorValue, count: number): VectorValue;
  /** Byte k is byte `indices[k]` of a (0–15) and b (16–31). */
  shuffle(a: VectorValue, b: VectorValue, indices: readonly number[]): VectorValue;
  /** The highest bits of all lanes, lane 0 lowest. */
  signs(width: LaneWidth, vector: VectorValue): Value;
  /** 1 when a bit is set. */
  anyTrue(vector: VectorValue): Value;
  choose(condition: Value, yes: VectorValue, no: VectorValue): VectorValue;
  /** Evaluates once, now. */
  keep(vector: VectorValue): VectorValue;
  /** A changeable vector, 0 at first. */
  accumulator(): VectorVariable;
  /** A signed 64-bit integer as the lowest lane, rounded to nearest; the other lanes are 0. */
  fromInteger(format: LaneFormat, value: Value): VectorValue;
  /** The lowest lane as a signed 64-bit integer, truncated; saturated where it doesn't fit. */
  toInteger(format: LaneFormat, vector: VectorValue): Value;

  // --- exactness ----------------------------------------------------------------------------------------------------
  /** 1 when rounding is to nearest, nothing is flushed to zero, no exception is unmasked, and inexactness was noted already. */
  roundsPlainly(): Value;
  /** The same without the last: 1 where results that are exact need no more care. */
  roundsToNearest(): Value;
  /**
   * What the processor computes outside of generated code, exactly and with all flags and exceptions: a vector. With `quick`, a value
   * that is as good whenever one of its conditions holds.
   */
  assist(name: string, operands: readonly VectorValue[], immediate?: Value, quick?: QuickResult): VectorValue;

  // --- MMX ----------------------------------------------------------------------------------------------------------
  /** Raises #MF for a pending x87 exception: at the start of each instruction with MMX registers. */
  checkPending(): void;
  /** The x87 stack is full and begins at R0: at the end of each. */
  enterMmx(): void;
}
