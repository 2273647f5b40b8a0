import { ASSIST_FIRST_PART, ASSIST_SECOND_PART, assistNumber } from '../../x86/assists.ts';
import type { LaneOperation } from '../../x86/lane-operation.ts';
import { MMX_PLACES, type OperandForm, VECTOR_PLACES } from '../../x86/notation.ts';
import type { Value, Variable } from '../../x86/semantics.ts';
import type {
  LaneFormat,
  LaneWidth,
  QuickResult,
  Sources,
  VectorSemantics,
  VectorValue,
  VectorVariable,
} from '../../x86/vector-semantics.ts';
import { VECTOR_OPERANDS, VECTOR_RESULT } from '../interpreter/operation.ts';
import * as L from '../state/layout.ts';
import { NEAREST, NEAREST_BITS, PLAIN, PLAIN_BITS } from '../vector/plain-rounding.ts';
import { type Code, Op, TRUNC_SAT, V128 } from '../wasm/code.ts';
import { laneOperationNumber, Simd, SimdLane } from '../wasm/vector-op.ts';
import { BASE, type InstructionBuilder } from './instruction-builder.ts';
import { Expression, emit, emitTruth, known, Truth } from './value-builder.ts';

/** A vector as the code that computes it; pure, like {@link Expression}. */
export class VectorExpression implements VectorValue {
  readonly vectorBrand = 'vector';
  constructor(readonly emit: (code: Code) => void) {}
}

export function emitVector(code: Code, value: VectorValue): void {
  if (!(value instanceof VectorExpression)) throw new Error('a vector of another builder');
  value.emit(code);
}

/** What a tier adds to vector instructions. */
export interface VectorHost {
  /** A free local of 128 bits. */
  newVectorLocal(): number;
  /** Leaves the address of the register of a vector operand on the stack. */
  vectorRegisterAddress(place: string): Expression;
  /** Reads `bytes` (16 or 32) at an offset in the operand's segment into locals, one for each 16. */
  loadWide(offset: Value, bytes: 16 | 32, aligned: boolean): number[];
  /** The address of the register with the indices of the memory operand. */
  indexRegisterAddress(): Expression;
  /** The memory operand's offset with an index. */
  indexedAddress(index: Value): Value;
  storeWide(offset: Value, parts: readonly VectorValue[], aligned: boolean): void;
  /** Abandons the instruction where a store of 16 or 32 bytes would be. */
  requireWritable(offset: Value, bytes: 16 | 32): void;
  /** Whether rounding is plain, where that is known already. */
  plainRounding?(): Value;
  /** Computes outside of generated code into a local. */
  assist(number: number, operands: readonly VectorValue[], immediate: Value | undefined, result: number): void;
}

/** What vector instructions look at in an instruction's shape. */
export interface VectorShape {
  readonly operands: readonly OperandForm[];
  readonly isVex: boolean;
  readonly vectorLength: 64 | 128 | 256;
  readonly alignment: 'natural' | 'always' | 'never';
}

const X87_ERROR_SUMMARY = 0x80;
const X87_TOP = 0x3800;

/** Leaves on the stack whether MXCSR says that rounding is plain. */
export function emitPlainRounding(code: Code): void {
  code.get(BASE).memory(Op.i32_load, L.MXCSR).i32(PLAIN_BITS).op(Op.i32_and).i32(PLAIN).op(Op.i32_eq);
}

/** Leaves vectors where what is called finds them. */
export function passVectors(code: Code, values: readonly VectorValue[]): void {
  for (const [index, value] of values.entries()) {
    code.get(BASE);
    emitVector(code, value);
    simd(code, Simd.store)
      .u(0)
      .u(VECTOR_OPERANDS + index * 16);
  }
}

/** Calls an assist with vectors that were passed. */
export function callAssist(code: Code, number: number, immediate: Value | undefined, index: number): void {
  code.i32(number);
  if (immediate) {
    emit(code, immediate);
    code.op(Op.i32_wrap_i64);
  } else code.i32(0);
  code.op(Op.call).u(index);
}

/** Takes an assist's result. */
export function takeResult(code: Code, local: number): void {
  simd(code.get(BASE), Simd.load).u(0).u(VECTOR_RESULT).set(local);
}

/** Writes a SIMD instruction. */
function simd(code: Code, number: number): Code {
  return code.op(Op.simd).u(number);
}

/** The part of the code-building interface for vectors, in terms of what a tier offers. */
export class VectorBuilder implements VectorSemantics {
  /** Parts of the memory operand that was read. */
  private fromMemory: VectorValue[] | undefined;
  /** Whether an assist computed the first part of 256 bits; undefined before that part. */
  private firstPart: Variable | undefined;

  constructor(
    private readonly builder: InstructionBuilder,
    private readonly host: VectorHost,
    private readonly shape: () => VectorShape,
  ) {}

  /** Begins with another instruction. */
  reset(): void {
    this.fromMemory = undefined;
    this.firstPart = undefined;
  }

  private get code(): Code {
    return this.builder.code;
  }
  get length(): 64 | 128 | 256 {
    return this.shape().vectorLength;
  }
  get isVex(): boolean {
    return this.shape().isVex;
  }

  // --- operands -------------------------------------------------------------------------------------------------------

  private operand(index: number): OperandForm {
    const operand = this.shape().operands[index];
    if (!operand) throw new Error(`operand ${index} does not exist`);
    return operand;
  }

  /** Bytes of an operand in memory. */
  private bytesOf(index: number): number {
    const { width } = this.operand(index);
    const whole = this.length / 8;
    const bytes = { b: 1, w: 2, d: 4, q: 8, o: 16, x: whole, h: whole / 2, t: whole / 4, e: whole / 8 }[width as string];
    if (bytes === undefined) throw new Error(`no vector operand has width ${width}`);
    return bytes;
  }

  private isAligned(): boolean {
    const { alignment, isVex } = this.shape();
    return alignment === 'always' || (alignment === 'natural' && !isVex);
  }

  read(index: number, part = 0): VectorValue {
    const { place } = this.operand(index);
    if (this.builder.isMemory(index)) {
      this.fromMemory ??= this.loadOperand(this.bytesOf(index));
      return this.fromMemory[part] ?? this.zero();
    }
    if (place === 'L') return this.keep(this.registerBy(this.selectedRegister(), part));
    const address = this.host.vectorRegisterAddress(place);
    return this.keep(this.registerBy(address, part, MMX_PLACES.includes(place)));
  }

  private registerBy(address: Expression, part: number, isMmx = false): VectorValue {
    return new VectorExpression((code) => {
      address.emit(code);
      simd(code, isMmx ? Simd.load64_zero : Simd.load)
        .u(0)
        .u(part * 16);
    });
  }

  /** The register that the immediate's bits 7:4 name, of which only three count outside 64-bit mode: the decoder sees to that. */
  private selectedRegister(): Expression {
    const number = this.builder.and(this.builder.shr(this.immediate(), this.builder.constant(4)), this.builder.constant(15));
    return new Expression((code) => {
      code.get(BASE);
      emit(code, this.builder.mul(number, this.builder.constant(L.VECTOR_SIZE)));
      code.op(Op.i32_wrap_i64, Op.i32_add).i32(L.VECTORS).op(Op.i32_add);
    });
  }

  private loadOperand(bytes: number): VectorValue[] {
    const { builder } = this;
    const offset = builder.effectiveAddress();
    if (bytes <= 8) {
      const value = builder.load('operand', offset, (bytes * 8) as 8 | 16 | 32 | 64);
      return [this.keep(this.insert(64, this.zero(), 0, value))];
    }
    const locals = this.host.loadWide(offset, bytes === 32 ? 32 : 16, this.isAligned());
    return locals.map((local) => new VectorExpression((code) => code.get(local)));
  }

  write(index: number, ...parts: VectorValue[]): void {
    const { place } = this.operand(index);
    if (this.builder.isMemory(index)) {
      const bytes = this.bytesOf(index);
      const offset = this.builder.effectiveAddress();
      if (bytes <= 8)
        this.builder.store('operand', offset, (bytes * 8) as 8 | 16 | 32 | 64, this.extract(64, parts[0] ?? this.zero(), 0));
      else this.host.storeWide(offset, parts, this.isAligned());
      return;
    }
    this.writeRegister(this.host.vectorRegisterAddress(place), place, parts);
  }

  requireWritable(index: number): void {
    const { builder } = this;
    const bytes = this.bytesOf(index);
    const offset = builder.effectiveAddress();
    if (bytes <= 8) builder.keep(builder.loadForWrite('operand', offset, (bytes * 8) as 8 | 16 | 32 | 64));
    else this.host.requireWritable(offset, bytes === 32 ? 32 : 16);
  }

  replace(index: number, part: number, value: VectorValue): void {
    this.host.vectorRegisterAddress(this.operand(index).place).emit(this.code);
    emitVector(this.code, value);
    simd(this.code, Simd.store)
      .u(0)
      .u(part * 16);
  }

  setRegister(number: number, vector: VectorValue): void {
    const address = new Expression((code) =>
      code
        .get(BASE)
        .i32(L.VECTORS + number * L.VECTOR_SIZE)
        .op(Op.i32_add),
    );
    this.writeRegister(address, 'V', [vector]);
  }

  private writeRegister(address: Expression, place: string, parts: readonly VectorValue[]): void {
    if (MMX_PLACES.includes(place)) {
      address.emit(this.code);
      emit(this.code, this.extract(64, parts[0] ?? this.zero(), 0));
      this.code.memory(Op.i64_store, 0);
      address.emit(this.code);
      this.code.i64(0xffffn).memory(Op.i64_store, 8);
      return;
    }
    const all = parts.length < 2 && this.isVex ? [...parts, this.zero()] : parts;
    // What a part is computed of may be another part of the register.
    const values = all.length > 1 ? all.map((part) => this.keep(part)) : all;
    for (const [part, value] of values.entries()) {
      address.emit(this.code);
      emitVector(this.code, value);
      simd(this.code, Simd.store)
        .u(0)
        .u(part * 16);
    }
  }

  private get vectorOperands(): number[] {
    return [...this.shape().operands.entries()].filter(([, { place }]) => this.isVectorPlace(place)).map(([index]) => index);
  }

  private isVectorPlace(place: string): boolean {
    return VECTOR_PLACES.includes(place) || place === 'M';
  }

  private sources(indices: readonly number[], part: number): Sources {
    const [a = this.zero(), b = this.zero(), c = this.zero()] = indices.map((index) => this.read(index, part));
    return [a, b, c];
  }

  apply(count: number, compute: (sources: Sources, part: number) => VectorValue): void {
    const sources = this.vectorOperands.slice(-count);
    const parts = Array.from({ length: this.length === 256 ? 2 : 1 }, (_, part) => part);
    const values = parts.map((part) => ({ part, read: this.sources(sources, part) }));
    this.write(0, ...values.map(({ part, read }) => compute(read, part)));
  }

  applyScalar(width: 32 | 64, count: number, compute: (sources: Sources) => VectorValue): void {
    const operands = this.vectorOperands;
    const read = this.sources(operands.slice(-count), 0);
    const rest = this.read(operands.length === 2 ? 0 : 1);
    const result = compute(read);
    const lanes = width / 8;
    const indices = Array.from({ length: 16 }, (_, index) => (index < lanes ? 16 + index : index));
    this.write(0, this.shuffle(rest, result, indices));
  }

  immediate(): Value {
    const index = this.shape().operands.findIndex(({ place }) => place === 'I');
    return this.builder.and(this.builder.read(index), this.builder.constant(0xff));
  }

  register(number: number, part = 0): VectorValue {
    return new VectorExpression((code) =>
      simd(code.get(BASE), Simd.load)
        .u(0)
        .u(L.VECTORS + number * L.VECTOR_SIZE + part * 16),
    );
  }

  clearRegisters(count: 8 | 16, upper: boolean): void {
    for (let number = 0; number < count; number++)
      for (const part of upper ? [1] : [0, 1]) {
        this.code.get(BASE);
        emitVector(this.code, this.zero());
        simd(this.code, Simd.store)
          .u(0)
          .u(L.VECTORS + number * L.VECTOR_SIZE + part * 16);
      }
  }

  indices(part = 0): VectorValue {
    return this.keep(this.registerBy(this.host.indexRegisterAddress(), part));
  }

  indexedAddress(index: Value): Value {
    return this.host.indexedAddress(index);
  }

  // --- values ---------------------------------------------------------------------------------------------------------

  private zero(): VectorValue {
    return this.bytes([]);
  }

  lanes(operation: LaneOperation, ...values: VectorValue[]): VectorValue {
    const number = laneOperationNumber(operation);
    return new VectorExpression((code) => {
      for (const value of values) emitVector(code, value);
      simd(code, number);
    });
  }

  bytes(bytes: readonly number[]): VectorValue {
    return new VectorExpression((code) => {
      simd(code, Simd.constant).op(...Array.from({ length: 16 }, (_, index) => bytes[index] ?? 0));
    });
  }

  /** Puts a number on the stack as instructions for lanes of a width take it. */
  private lane(code: Code, width: LaneWidth, value: Value): void {
    emit(code, value);
    if (width !== 64) code.op(Op.i32_wrap_i64);
  }

  splat(width: LaneWidth, value: Value): VectorValue {
    return new VectorExpression((code) => {
      this.lane(code, width, value);
      simd(code, SimdLane[width].splat);
    });
  }

  extract(width: LaneWidth, vector: VectorValue, lane: number): Value {
    return new Expression((code) => {
      emitVector(code, vector);
      simd(code, SimdLane[width].extract).op(lane);
      if (width !== 64) code.op(Op.i64_extend_i32_u);
    });
  }

  insert(width: LaneWidth, vector: VectorValue, lane: number, value: Value): VectorValue {
    return new VectorExpression((code) => {
      emitVector(code, vector);
      this.lane(code, width, value);
      simd(code, SimdLane[width].replace).op(lane);
    });
  }

  shift(width: LaneWidth, kind: 'shl' | 'shr_s' | 'shr_u', vector: VectorValue, count: Value): VectorValue {
    return new VectorExpression((code) => {
      emitVector(code, vector);
      emit(code, count);
      code.op(Op.i32_wrap_i64);
      simd(code, SimdLane[width][kind]);
    });
  }

  shiftBy(width: LaneWidth, kind: 'shl' | 'shr_s' | 'shr_u', vector: VectorValue, count: number): VectorValue {
    return new VectorExpression((code) => {
      emitVector(code, vector);
      simd(code.i32(count), SimdLane[width][kind]);
    });
  }

  shuffle(a: VectorValue, b: VectorValue, indices: readonly number[]): VectorValue {
    return new VectorExpression((code) => {
      emitVector(code, a);
      emitVector(code, b);
      simd(code, Simd.shuffle).op(...indices);
    });
  }

  signs(width: LaneWidth, vector: VectorValue): Value {
    return new Expression((code) => {
      emitVector(code, vector);
      simd(code, SimdLane[width].bitmask);
      code.op(Op.i64_extend_i32_u);
    });
  }

  anyTrue(vector: VectorValue): Value {
    return new Truth((code) => {
      emitVector(code, vector);
      simd(code, Simd.any_true);
    });
  }

  choose(condition: Value, yes: VectorValue, no: VectorValue): VectorValue {
    const decided = known(condition);
    if (decided !== undefined) return decided === 0n ? no : yes;
    return new VectorExpression((code) => {
      emitVector(code, yes);
      emitVector(code, no);
      emitTruth(code, condition);
      code.op(Op.select_typed).u(1).op(V128);
    });
  }

  keep(vector: VectorValue): VectorValue {
    const local = this.host.newVectorLocal();
    emitVector(this.code, vector);
    this.code.set(local);
    return new VectorExpression((code) => code.get(local));
  }

  accumulator(): VectorVariable {
    const local = this.host.newVectorLocal();
    const set = (value: VectorValue) => {
      emitVector(this.code, value);
      this.code.set(local);
    };
    set(this.zero());
    return Object.assign(new VectorExpression((code) => code.get(local)), { set });
  }

  fromInteger(format: LaneFormat, value: Value): VectorValue {
    return new VectorExpression((code) => {
      emitVector(code, this.zero());
      emit(code, value);
      code.op(format === 'f64' ? Op.f64_convert_i64_s : Op.f32_convert_i64_s);
      simd(code, format === 'f64' ? Simd.f64x2_replace : Simd.f32x4_replace).op(0);
    });
  }

  toInteger(format: LaneFormat, vector: VectorValue): Value {
    return new Expression((code) => {
      emitVector(code, vector);
      simd(code, format === 'f64' ? Simd.f64x2_extract : Simd.f32x4_extract).op(0);
      code.op(Op.saturating).u(format === 'f64' ? TRUNC_SAT.i64_f64_s : TRUNC_SAT.i64_f32_s);
    });
  }

  // --- exactness --------------------------------------------------------------------------------------------------------

  roundsToNearest(): Value {
    return new Truth((code) => {
      code.get(BASE).memory(Op.i32_load, L.MXCSR).i32(NEAREST_BITS).op(Op.i32_and).i32(NEAREST).op(Op.i32_eq);
    });
  }

  roundsPlainly(): Value {
    return this.host.plainRounding?.() ?? new Truth(emitPlainRounding);
  }

  assist(name: string, operands: readonly VectorValue[], immediate?: Value, quick?: QuickResult): VectorValue {
    const { builder, host, code } = this;
    const isFirst = this.length === 256 && this.firstPart === undefined;
    const number = assistNumber(name) | (this.length < 256 ? 0 : isFirst ? ASSIST_FIRST_PART : ASSIST_SECOND_PART);
    const result = host.newVectorLocal();
    const wasAssisted = this.firstPart;
    if (isFirst) this.firstPart = builder.variable(builder.constant(quick ? 0 : 1));
    if (quick) {
      emitVector(code, quick.value);
      code.set(result);
      // The condition may look at the value. An assist for the first part leaves its exceptions to the second one's.
      const unless = (condition: Value, otherwise: () => void) =>
        builder.when(builder.isZero(wasAssisted ? builder.and(builder.isZero(wasAssisted), condition) : condition), otherwise);
      const assist = () => {
        host.assist(number, operands, immediate, result);
        if (isFirst) this.firstPart?.set(builder.constant(1));
      };
      const { holds, holdsExactly } = quick;
      unless(holds, holdsExactly ? () => unless(holdsExactly(), assist) : assist);
    } else host.assist(number, operands, immediate, result);
    return new VectorExpression((target) => target.get(result));
  }

  // --- MMX ------------------------------------------------------------------------------------------------------------

  checkPending(): void {
    const pending = new Truth((code) => {
      code.get(BASE).memory(Op.i32_load, L.X87_STATUS).i32(X87_ERROR_SUMMARY).op(Op.i32_and);
    });
    this.builder.when(pending, () => this.builder.raise(16));
  }

  enterMmx(): void {
    const { code } = this;
    code.get(BASE).get(BASE).memory(Op.i32_load, L.X87_STATUS).i32(~X87_TOP).op(Op.i32_and).memory(Op.i32_store, L.X87_STATUS);
    code.get(BASE).i32(0xff).memory(Op.i32_store, L.X87_TAGS);
  }
}
