import type { OperandSize } from '../../x86/instruction.ts';
import type { FlagSemantics, RegisterSegment, StringRun, Value } from '../../x86/semantics.ts';
import { InstructionBuilder, LOADS, type Shape, STORES } from '../generator/instruction-builder.ts';
import { Expression, emit, emitTruth } from '../generator/value-builder.ts';
import { VectorBuilder } from '../generator/vector-builder.ts';
import * as L from '../state/layout.ts';
import { type Code, I32, I64, Op, VOID } from '../wasm/code.ts';
import { InterpreterFlags } from './flags.ts';
import { deeper, type Ends, followLink, settle } from './flow.ts';
import { HandlerVectors } from './handler-vectors.ts';
import { Import, Local } from './locals.ts';
import * as O from './operation.ts';
import { emitStringRun } from './string-runs.ts';

/**
 * Where a handler can branch to, as label depths counted from the handler's own level. In the main function `abort` means: do the
 * instruction once more, by its complete handler.
 */
export interface Labels {
  readonly next: number;
  readonly lookup: number;
  readonly abort: number;
  /** Of complete handlers: events must be looked at before the next operation. */
  readonly events: number;
  /** Of the main function's handlers. */
  readonly ends?: Ends;
}

/** What a handler knows besides. */
export interface HandlerShape extends Shape {
  /** The memory operand is [base + displacement] in 64-bit code, in a segment without a base. */
  readonly plain: boolean;
  /** `stackWidth` is that of the code, not just any. */
  readonly knowsStack: boolean;
}

/**
 * Turns one instruction's semantics into a handler of the interpreter: a complete one, or one of the main function, which
 * leaves to the complete one what isn't in the TLB and all faults.
 */
export class HandlerBuilder extends InstructionBuilder {
  readonly flags: FlagSemantics;
  readonly vectors: HandlerVectors;
  readonly vector: VectorBuilder;
  private readonly complete: boolean;
  private memoryOffset: Value | undefined;
  private ended = false;
  /** Events must be looked at behind the instruction. */
  private events: Value | undefined;
  /** The offset whose place in memory is in the HOST local, with the right to write. */
  private hostOf: { readonly offset: Value; readonly size: OperandSize } | undefined;

  constructor(
    protected readonly shape: HandlerShape,
    private readonly labels: Labels,
    firstVector = 0,
  ) {
    super(Local.FIRST_FREE);
    this.complete = labels.ends === undefined;
    this.flags = new InterpreterFlags(this);
    this.vectors = new HandlerVectors(this, firstVector);
    this.vector = new VectorBuilder(this, this.vectors, () => this.shape);
  }

  eventsFollow(condition: Value): void {
    if (this.complete) this.events = this.keep(condition);
    else {
      emitTruth(this.code, condition);
      this.code.op(Op.br_if).u(this.labels.abort + this.depth);
    }
  }

  /** Code from here on is one label deeper, or one less. */
  enter(): void {
    this.depth++;
  }
  leave(): void {
    this.depth--;
  }

  /** Ends the handler: on to the next operation of the block. */
  finish(): void {
    if (this.events) {
      emitTruth(this.code, this.events);
      this.code.op(Op.br_if).u(this.labels.events);
    }
    if (!this.ended) this.done();
  }

  // --- operands -------------------------------------------------------------------------------------------------------

  /** Place of a register operand's bytes, which the operation has. */
  registerAddress(field: number): Value {
    return new Expression((code) => code.get(Local.OP).memory(Op.i32_load, field));
  }

  readRegisterField(field: number, size: OperandSize, offset = 0): Value {
    return new Expression((code) => {
      emit(code, this.registerAddress(field));
      code.memory(LOADS[size], offset);
    });
  }

  private writeRegisterField(field: number, size: OperandSize, value: Value): void {
    emit(this.code, this.registerAddress(field));
    emit(this.code, size === 32 ? this.zeroExtend(value, 32) : value);
    // A 32-bit result clears the upper half.
    this.code.memory(size === 32 ? Op.i64_store : STORES[size], 0);
  }

  private immediate(): Value {
    return new Expression((code) => code.get(Local.OP).memory(Op.i64_load, O.OP_IMMEDIATE));
  }

  read(index: number): Value {
    const { place } = this.operand(index);
    const size = this.operandSize(index);
    if (this.isMemory(index)) return this.load('operand', this.effectiveAddress(), size);
    switch (place) {
      case 'E':
      case 'R':
      case 'Z':
        return this.keep(this.readRegisterField(O.OP_REGISTER_A, size));
      case 'G':
        return this.keep(this.readRegisterField(O.OP_REGISTER_B, size));
      case 'B':
        return this.keep(this.readRegisterField(O.OP_REGISTER_C, size));
      case 'S':
        return this.keep(this.readRegisterField(O.OP_REGISTER_B, 16));
      case 'A':
        return this.keep(this.register(0, size));
      case 'C':
        return this.keep(this.register(1, 8));
      case 'D':
        return this.keep(this.register(2, 16));
      case '1':
        return this.constant(1);
      case 'I':
        return this.keep(this.zeroExtend(this.immediate(), this.size));
      case 'J':
        return this.immediate();
      default:
        throw new Error(`operand place ${place} can't be read`);
    }
  }

  readForWrite(index: number): Value {
    if (!this.isMemory(index)) return this.read(index);
    return this.access('operand', this.effectiveAddress(), this.operandSize(index), O.ACCESS_INTENT);
  }

  write(index: number, value: Value): void {
    const { place } = this.operand(index);
    const size = this.operandSize(index);
    if (this.isMemory(index)) this.store('operand', this.effectiveAddress(), size, value);
    else if (place === 'G') this.writeRegisterField(O.OP_REGISTER_B, size, value);
    else if (place === 'B') this.writeRegisterField(O.OP_REGISTER_C, size, value);
    else if (place === 'A') this.setRegister(0, size, value);
    else if (place === 'E' || place === 'R' || place === 'Z') this.writeRegisterField(O.OP_REGISTER_A, size, value);
    else throw new Error(`operand place ${place} can't be written`);
  }

  effectiveAddress(): Value {
    if (this.memoryOffset) return this.memoryOffset;
    const slot = (field: number) => (code: Code) => code.get(Local.OP).memory(Op.i32_load, field).memory(Op.i64_load, 0);
    this.memoryOffset = this.keep(
      new Expression((code) => {
        slot(O.OP_BASE)(code);
        if (this.shape.plain) {
          code.get(Local.OP).memory(Op.i64_load, O.OP_DISPLACEMENT).op(Op.i64_add);
          return;
        }
        slot(O.OP_INDEX)(code);
        code.get(Local.OP).memory(Op.i64_load32_u, O.OP_SCALE).op(Op.i64_shl, Op.i64_add);
        code.get(Local.OP).memory(Op.i64_load, O.OP_DISPLACEMENT).op(Op.i64_add);
        code.get(Local.OP).memory(Op.i64_load, O.OP_ADDRESS_MASK).op(Op.i64_and);
      }),
    );
    return this.memoryOffset;
  }

  displaceMemory(offset: Value): void {
    const moved = this.add(this.effectiveAddress(), offset);
    this.memoryOffset = this.keep(
      new Expression((code) => {
        emit(code, moved);
        code.get(Local.OP).memory(Op.i64_load, O.OP_ADDRESS_MASK).op(Op.i64_and);
      }),
    );
  }

  // --- registers and memory -------------------------------------------------------------------------------------------

  register(number: number, size: OperandSize): Value {
    return new Expression((code) => code.get(Local.BASE).memory(LOADS[size], L.GPR + number * 8));
  }

  setRegister(number: number, size: OperandSize, value: Value): void {
    this.code.get(Local.BASE);
    emit(this.code, size === 32 ? this.zeroExtend(value, 32) : value);
    this.code.memory(size === 32 ? Op.i64_store : STORES[size], L.GPR + number * 8);
  }

  high(number: number): Value {
    return new Expression((code) => code.get(Local.BASE).memory(Op.i64_load8_u, L.GPR + number * 8 + 1));
  }

  setHigh(number: number, value: Value): void {
    this.code.get(Local.BASE);
    emit(this.code, value);
    this.code.memory(Op.i64_store8, L.GPR + number * 8 + 1);
  }

  /** Offsets in the segment are linear addresses, and nothing is to be checked: a segment of 64-bit code. */
  isFlat(segment: RegisterSegment): boolean {
    if (segment === 'operand') return this.shape.plain;
    return segment === L.Segment.SS && this.shape.knowsStack && this.stackWidth === 64;
  }

  /** Computes the linear address into a local. */
  linear(segment: RegisterSegment, offset: Value): number {
    const { code } = this;
    emit(code, offset);
    if (this.isFlat(segment)) {
      const flat = this.newLocal();
      code.set(flat);
      return flat;
    }
    if (segment === 'operand') code.get(Local.OP).memory(Op.i32_load, O.OP_SEGMENT_BASE).memory(Op.i64_load, 0);
    else code.get(Local.BASE).memory(Op.i64_load, O.ENGINE_BASES + segment * 8);
    code.op(Op.i64_add).get(Local.BASE).memory(Op.i64_load, O.ENGINE_LINEAR_MASK).op(Op.i64_and);
    const local = this.newLocal();
    code.set(local);
    return local;
  }

  /** Leaves on the stack whether the TLB has the page(s) of an access; the entry's address is in a local. `size` in bits. */
  lookupTlb(linear: number, size: number, write: boolean, isFlat: boolean): void {
    const { code } = this;
    code.get(linear).op(Op.i32_wrap_i64).i32(8).op(Op.i32_shr_u);
    code.i32((O.TLB_ENTRIES - 1) << 4).op(Op.i32_and);
    code.get(Local.BASE).memory(Op.i32_load, write ? O.ENGINE_TLB_WRITE : O.ENGINE_TLB_READ);
    code.op(Op.i32_add).tee(Local.ENTRY).memory(Op.i64_load, 0);
    // The page of the last byte: an access that crosses into the next page doesn't match.
    code.get(linear);
    if (size > 8) code.i64(BigInt(size / 8 - 1)).op(Op.i64_add);
    code.i64(-4096n).op(Op.i64_and);
    if (!isFlat) code.get(Local.OP).memory(Op.i64_load32_u, O.OP_CHECKED).op(Op.i64_or);
    code.op(Op.i64_eq);
  }

  hostAddress(linear: number): void {
    this.code.get(linear).op(Op.i32_wrap_i64).get(Local.ENTRY).memory(Op.i32_load, 8).op(Op.i32_add);
  }

  abortCheck(): void {
    this.code
      .get(Local.BASE)
      .memory(Op.i32_load, O.ENGINE_ABORT)
      .op(Op.br_if)
      .u(this.labels.abort + this.depth);
  }

  /** Has the complete handler do the instruction when the number on the stack is 0. */
  private missIfNot(): void {
    this.code.op(Op.i32_eqz, Op.br_if).u(this.labels.abort + this.depth);
  }

  private access(segment: RegisterSegment, offset: Value, size: OperandSize, flags: number): Value {
    const { code } = this;
    const linear = this.linear(segment, offset);
    const result = this.newLocal();
    this.lookupTlb(linear, size, flags !== 0, this.isFlat(segment));
    if (!this.complete) {
      this.missIfNot();
      this.hostAddress(linear);
      if (flags !== 0) {
        code.tee(Local.HOST);
        this.hostOf = { offset, size };
      }
      code.memory(LOADS[size], 0).set(result);
      return new Expression((target) => target.get(result));
    }
    const access = (size / 8) | flags | (segmentCode(segment) << 8);
    this.fillOnMiss(linear, access);
    code.get(Local.HOST).memory(LOADS[size], 0).set(result);
    code.op(Op.else);
    code.get(Local.OP).get(linear).i32(access).op(Op.call).u(Import.SLOW_READ).set(result);
    this.endMiss();
    return new Expression((target) => target.get(result));
  }

  load(segment: RegisterSegment, offset: Value, size: OperandSize): Value {
    return this.access(segment, offset, size, 0);
  }

  loadForWrite(segment: RegisterSegment, offset: Value, size: OperandSize): Value {
    return this.access(segment, offset, size, O.ACCESS_INTENT);
  }

  store(segment: RegisterSegment, offset: Value, size: OperandSize, value: Value): void {
    const { code } = this;
    if (this.hostOf?.offset === offset && this.hostOf.size === size) {
      code.get(Local.HOST);
      emit(code, value);
      code.memory(STORES[size], 0);
      return;
    }
    const linear = this.linear(segment, offset);
    this.lookupTlb(linear, size, true, this.isFlat(segment));
    if (!this.complete) {
      this.missIfNot();
      this.hostAddress(linear);
      emit(code, value);
      code.memory(STORES[size], 0);
      return;
    }
    const access = (size / 8) | O.ACCESS_WRITE | (segmentCode(segment) << 8);
    this.fillOnMiss(linear, access);
    code.get(Local.HOST);
    emit(code, value);
    code.memory(STORES[size], 0);
    code.op(Op.else);
    code.get(Local.OP).get(linear);
    emit(code, value);
    code.i32(access).op(Op.call).u(Import.SLOW_WRITE);
    this.endMiss();
  }

  /** Begins the two ways of an access whose lookup's outcome is on the stack: by the place in HOST, or (behind `else`) the slow one. */
  private fillOnMiss(linear: number, access: number): void {
    const { code } = this;
    code.op(Op.if, I32);
    this.hostAddress(linear);
    code.op(Op.else);
    code.get(Local.OP).get(linear).op(Op.i32_wrap_i64).get(linear).i64(32n).op(Op.i64_shr_u, Op.i32_wrap_i64);
    code.i32(access).op(Op.call).u(Import.FILL).op(Op.end);
    code.tee(Local.HOST).op(Op.if, VOID);
    this.depth++;
  }

  /** Ends them behind a call of the slow way. */
  private endMiss(): void {
    this.abortCheck();
    this.depth--;
    this.code.op(Op.end);
  }

  // --- control --------------------------------------------------------------------------------------------------------

  when(condition: Value, then: () => void, otherwise?: () => void): void {
    const { code } = this;
    if (this.decided(condition, then, otherwise)) return;
    emitTruth(code, condition);
    code.op(Op.if, VOID);
    this.depth++;
    // What is computed inside is not computed outside.
    const offset = this.memoryOffset;
    then();
    this.memoryOffset = offset;
    this.ended = false;
    if (otherwise) {
      code.op(Op.else);
      otherwise();
      this.memoryOffset = offset;
      this.ended = false;
    }
    this.depth--;
    code.op(Op.end);
  }

  protected codeLimit(): Value {
    return new Expression((code) => code.get(Local.BASE).memory(Op.i64_load32_u, O.ENGINE_CODE_LIMIT));
  }

  jump(target: Value, checked = false): void {
    const { code } = this;
    if (!checked) this.checkJump(target);
    emit(code, this.zeroExtend(target, this.size));
    code.set(Local.RIP);
    if (!this.complete) settle(code);
    code.i32(0).set(Local.OP);
    code.op(Op.br).u(this.labels.lookup + this.depth);
    this.ended = true;
  }

  jumpRelative(): void {
    const { next, ends } = this.labels;
    if (ends) followLink(this.code, next + this.depth, deeper(ends, this.depth), () => settle(this.code));
    this.jump(this.add(this.nextRip(), this.read(0)));
  }

  nextRip(): Value {
    return new Expression((code) =>
      code.get(Local.OP).memory(Op.i64_load, O.OP_RIP).get(Local.OP).memory(Op.i64_load8_u, O.OP_LENGTH).op(Op.i64_add),
    );
  }

  runPasses(run: StringRun, count: Value): void {
    if (this.complete) emitStringRun(this, run, count);
  }

  place(segment: RegisterSegment, offset: Value, size: OperandSize, write: boolean): { linear: Value; host: Value } {
    const linear = this.linear(segment, offset);
    this.lookupTlb(linear, size, write, false);
    const host = this.newLocal();
    this.code.op(Op.if, I64);
    this.hostAddress(linear);
    this.code.op(Op.i64_extend_i32_u, Op.else).i64(0n).op(Op.end).set(host);
    return { linear: new Expression((code) => code.get(linear)), host: new Expression((code) => code.get(host)) };
  }

  budget(): Value {
    const left = new Expression((code) => code.get(Local.BASE).memory(Op.i64_load32_u, O.ENGINE_BUDGET));
    return this.add(left, this.constant(1));
  }

  setBudget(value: Value): void {
    this.code.get(Local.BASE);
    emit(this.code, value);
    this.code.memory(Op.i64_store32, O.ENGINE_BUDGET);
  }

  done(): void {
    // The main function goes to the next operation before it does one.
    if (this.complete) this.code.get(Local.OP).i32(O.OPERATION_SIZE).op(Op.i32_add).set(Local.OP);
    this.code.op(Op.br).u(this.labels.next + this.depth);
  }

  repeatWhile(again: Value): void {
    emitTruth(this.code, again);
    this.code.op(Op.br_if).u(this.labels.next + this.depth);
  }

  raise(vector: number): void {
    const { code } = this;
    if (this.complete) {
      code.get(Local.BASE).i32(vector).memory(Op.i32_store, O.ENGINE_VECTOR);
      code.get(Local.BASE).i32(2).memory(Op.i32_store, O.ENGINE_ABORT);
    }
    code.op(Op.br).u(this.labels.abort + this.depth);
  }
}

function segmentCode(segment: RegisterSegment): number {
  return segment === 'operand' ? O.OPERAND_SEGMENT : segment;
}
