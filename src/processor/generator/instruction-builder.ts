import type { OperandSize } from '../../x86/instruction.ts';
import { MEMORY_PLACES, type OperandForm, type OperandWidth } from '../../x86/notation.ts';
import type { FlagSemantics, RegisterSegment, Semantics, StringRun, Value } from '../../x86/semantics.ts';
import type { VectorSemantics } from '../../x86/vector-semantics.ts';
import * as O from '../interpreter/operation.ts';
import * as L from '../state/layout.ts';
import { Op, VOID } from '../wasm/code.ts';
import { Expression, emit, emitTruth, known, ValueBuilder } from './value-builder.ts';

/** What is known of an instruction when code is made for it. */
export interface Shape {
  readonly operands: readonly OperandForm[];
  /** The E, M or O operand is in memory. */
  readonly memory: boolean;
  readonly size: OperandSize;
  readonly addressSize: 16 | 32 | 64;
  readonly stackWidth: 16 | 32 | 64;
  readonly rep: 'none' | 'rep' | 'repne';
  readonly vectorLength: 64 | 128 | 256;
  readonly isVex: boolean;
  readonly alignment: 'natural' | 'always' | 'never';
}

export const LOADS = { 8: Op.i64_load8_u, 16: Op.i64_load16_u, 32: Op.i64_load32_u, 64: Op.i64_load } as const;
export const STORES = { 8: Op.i64_store8, 16: Op.i64_store16, 32: Op.i64_store32, 64: Op.i64_store } as const;

/** Size in bits of an operand with a width letter in an instruction of some size. */
export function operandSize(width: OperandWidth, size: OperandSize): OperandSize {
  switch (width) {
    case 'b':
      return 8;
    case 'w':
      return 16;
    case 'd':
      return 32;
    case 'q':
      return 64;
    case 'y':
      return size === 64 ? 64 : 32;
    default:
      return size;
  }
}

/** Bit of the interruptibility state. */
const STI_SHADOW = 1;

/** The local with the vCPU's base in the partition's memory, in every function that works on a vCPU. */
export const BASE = 0;

/**
 * The part of the semantics interface that both tiers have in common: what follows from an instruction's shape and from the
 * accesses to registers and memory, which the tiers do in their own ways.
 */
export abstract class InstructionBuilder extends ValueBuilder implements Semantics {
  abstract readonly flags: FlagSemantics;
  abstract readonly vector: VectorSemantics;
  protected abstract readonly shape: Shape;

  get size(): OperandSize {
    return this.shape.size;
  }
  get addressSize(): 16 | 32 | 64 {
    return this.shape.addressSize;
  }
  get stackWidth(): 16 | 32 | 64 {
    return this.shape.stackWidth;
  }
  get rep(): 'none' | 'rep' | 'repne' {
    return this.shape.rep;
  }

  abstract read(index: number): Value;
  abstract readForWrite(index: number): Value;
  abstract write(index: number, value: Value): void;
  abstract effectiveAddress(): Value;
  abstract displaceMemory(offset: Value): void;
  abstract register(number: number, size: OperandSize): Value;
  abstract setRegister(number: number, size: OperandSize, value: Value): void;
  abstract high(number: number): Value;
  abstract setHigh(number: number, value: Value): void;
  abstract load(segment: RegisterSegment, offset: Value, size: OperandSize): Value;
  abstract loadForWrite(segment: RegisterSegment, offset: Value, size: OperandSize): Value;
  abstract store(segment: RegisterSegment, offset: Value, size: OperandSize, value: Value): void;
  abstract when(condition: Value, then: () => void, otherwise?: () => void): void;
  abstract jump(target: Value, checked?: boolean): void;
  abstract jumpRelative(): void;
  abstract nextRip(): Value;
  abstract eventsFollow(condition: Value): void;
  abstract runPasses(run: StringRun, count: Value): void;
  abstract repeatWhile(again: Value): void;
  abstract raise(vector: number): void;
  /** The highest offset that CS has. */
  protected abstract codeLimit(): Value;

  protected operand(index: number): OperandForm {
    const operand = this.shape.operands[index];
    if (!operand) throw new Error(`operand ${index} does not exist`);
    return operand;
  }

  operandSize(index: number): OperandSize {
    const { width, place } = this.operand(index);
    return place === '1' ? this.size : operandSize(width, this.size);
  }

  isMemory(index: number): boolean {
    const { place } = this.operand(index);
    return this.shape.memory && MEMORY_PLACES.includes(place);
  }

  segmentSelector(segment: number): Value {
    return new Expression((code) =>
      code.get(BASE).memory(Op.i64_load16_u, L.SEGMENTS + segment * L.SEGMENT_SIZE + L.SEG_SELECTOR),
    );
  }

  push(value: Value, size: OperandSize): void {
    const kept = this.keep(value);
    const sp = this.keep(
      this.zeroExtend(this.sub(this.register(RSP, this.stackWidth), this.constant(size / 8)), this.stackWidth),
    );
    this.store(L.Segment.SS, sp, size, kept);
    this.setRegister(RSP, this.stackWidth, sp);
  }

  pop(size: OperandSize): Value {
    return this.load(L.Segment.SS, this.register(RSP, this.stackWidth), size);
  }

  commitPop(size: OperandSize, extraBytes?: Value): void {
    const moved = this.add(this.register(RSP, this.stackWidth), this.constant(size / 8));
    this.setRegister(RSP, this.stackWidth, extraBytes ? this.add(moved, extraBytes) : moved);
  }

  condition(code: number): Value {
    const { flags } = this;
    const base = [
      () => flags.overflow(),
      () => flags.carry(),
      () => flags.zero(),
      () => this.or(flags.carry(), flags.zero()),
      () => flags.sign(),
      () => flags.parity(),
      () => this.xor(flags.sign(), flags.overflow()),
      () => this.or(flags.zero(), this.xor(flags.sign(), flags.overflow())),
    ][code >> 1];
    if (!base) throw new Error(`condition ${code}`);
    return code & 1 ? this.isZero(base()) : base();
  }

  systemFlag(bit: number): Value {
    return this.and(this.shr(this.systemFlags(), this.constant(bit)), this.constant(1));
  }

  setSystemFlag(bit: number, value: Value): void {
    const others = this.and(this.systemFlags(), this.constant(~(1n << BigInt(bit))));
    this.setSystemFlags(this.or(others, this.shl(value, this.constant(bit))));
  }

  systemFlags(): Value {
    return new Expression((code) => code.get(BASE).memory(Op.i64_load32_u, L.EFLAGS));
  }

  setSystemFlags(value: Value): void {
    this.code.get(BASE);
    emit(this.code, value);
    this.code.memory(Op.i64_store32, L.EFLAGS);
  }

  privilege(): Value {
    return new Expression((code) => code.get(BASE).memory(Op.i64_load32_u, L.CPL));
  }

  interruptsWait(): Value {
    return new Expression((code) => code.get(BASE).memory(Op.i64_load32_u, O.ENGINE_INTERRUPTS_WAIT));
  }

  castInterruptShadow(): void {
    this.code.get(BASE).get(BASE).memory(Op.i32_load, L.INTERRUPTIBILITY).i32(STI_SHADOW).op(Op.i32_or);
    this.code.memory(Op.i32_store, L.INTERRUPTIBILITY);
  }

  exchangeGsBase(): void {
    const { code } = this;
    const slot = L.SEGMENTS + L.Segment.GS * L.SEGMENT_SIZE + L.SEG_BASE;
    const load = (offset: number) => this.keep(new Expression((target) => target.get(BASE).memory(Op.i64_load, offset)));
    const old = load(slot);
    const next = load(L.MSR_KERNEL_GS_BASE);
    const stores = [
      [L.MSR_KERNEL_GS_BASE, old],
      [slot, next],
      [O.ENGINE_BASES + L.Segment.GS * 8, next],
    ] as const;
    for (const [offset, value] of stores) {
      code.get(BASE);
      emit(code, value);
      code.memory(Op.i64_store, offset);
    }
  }

  /** Does what is decided while code is built; says whether it was. */
  protected decided(condition: Value, then: () => void, otherwise?: () => void): boolean {
    const value = known(condition);
    if (value === undefined) return false;
    if (value !== 0n) then();
    else otherwise?.();
    return true;
  }

  repeat(body: () => Value): void {
    const { code } = this;
    code.op(Op.loop, VOID);
    this.depth++;
    const again = body();
    emitTruth(code, again);
    this.depth--;
    code.op(Op.br_if).u(0).op(Op.end);
  }

  checkJump(target: Value): void {
    const offset = this.keep(this.zeroExtend(target, this.size));
    // 64-bit offsets only exist in 64-bit mode, where CS has no limit and the offset must be canonical.
    const sixteen = this.constant(16);
    const wrong =
      this.size === 64
        ? this.isZero(this.equal(this.sar(this.shl(offset, sixteen), sixteen), offset))
        : this.lessU(this.codeLimit(), offset);
    this.when(wrong, () => this.raise(13));
  }
}

const RSP = 4;
