import type { Value } from '../../x86/semantics.ts';
import type { VectorValue } from '../../x86/vector-semantics.ts';
import { Expression, emit } from '../generator/value-builder.ts';
import { callAssist, emitVector, passVectors, takeResult, type VectorHost } from '../generator/vector-builder.ts';
import { Op, VOID } from '../wasm/code.ts';
import { Simd } from '../wasm/vector-op.ts';
import type { HandlerBuilder } from './builder.ts';
import { Import, Local } from './locals.ts';
import * as O from './operation.ts';

/** What handlers of vector instructions have besides: registers and memory of 16 and 32 bytes, and assists. */
export class HandlerVectors implements VectorHost {
  constructor(
    private readonly handler: HandlerBuilder,
    /** The first local for vectors that is free: those before it are for numbers. */
    public used: number,
  ) {}

  indexRegisterAddress(): Expression {
    return new Expression((code) => emit(code, this.handler.registerAddress(O.OP_INDEX)));
  }

  indexedAddress(index: Value): Value {
    return new Expression((code) => {
      emit(code, this.handler.readRegisterField(O.OP_BASE, 64));
      emit(code, index);
      code.get(Local.OP).memory(Op.i64_load32_u, O.OP_SCALE).op(Op.i64_shl, Op.i64_add);
      code.get(Local.OP).memory(Op.i64_load, O.OP_DISPLACEMENT).op(Op.i64_add);
      code.get(Local.OP).memory(Op.i64_load, O.OP_ADDRESS_MASK).op(Op.i64_and);
    });
  }

  newVectorLocal(): number {
    return this.used++;
  }

  vectorRegisterAddress(place: string): Expression {
    const field = 'WUQN'.includes(place) ? O.OP_REGISTER_A : 'VK'.includes(place) ? O.OP_REGISTER_B : O.OP_REGISTER_C;
    return new Expression((code) => emit(code, this.handler.registerAddress(field)));
  }

  /** Faults when an address that must be aligned isn't: before anything else is looked at. */
  private requireAligned(linear: number, bytes: number): void {
    const wrong = new Expression((code) =>
      code
        .get(linear)
        .i64(BigInt(bytes - 1))
        .op(Op.i64_and),
    );
    this.handler.when(wrong, () => this.handler.raise(13));
  }

  loadWide(offset: Value, bytes: 16 | 32, aligned: boolean): number[] {
    const { code } = this.handler;
    const linear = this.handler.linear('operand', offset);
    if (aligned) this.requireAligned(linear, bytes);
    const parts = bytes === 32 ? [this.newVectorLocal(), this.newVectorLocal()] : [this.newVectorLocal()];
    this.handler.lookupTlb(linear, bytes * 8, false, this.handler.isFlat('operand'));
    code.op(Op.if, VOID);
    this.handler.enter();
    for (const [part, local] of parts.entries()) {
      this.handler.hostAddress(linear);
      code
        .op(Op.simd)
        .u(Simd.load)
        .u(0)
        .u(part * 16)
        .set(local);
    }
    code.op(Op.else);
    code.get(Local.OP).get(linear).i32(wideAccess(bytes)).op(Op.call).u(Import.SLOW_READ_VECTOR);
    this.handler.abortCheck();
    for (const [part, local] of parts.entries())
      code
        .get(Local.BASE)
        .op(Op.simd)
        .u(Simd.load)
        .u(0)
        .u(O.VECTOR_RESULT + part * 16)
        .set(local);
    this.handler.leave();
    code.op(Op.end);
    return parts;
  }

  storeWide(offset: Value, parts: readonly VectorValue[], aligned: boolean): void {
    const { code } = this.handler;
    const bytes = parts.length === 2 ? 32 : 16;
    const linear = this.handler.linear('operand', offset);
    if (aligned) this.requireAligned(linear, bytes);
    this.handler.lookupTlb(linear, bytes * 8, true, this.handler.isFlat('operand'));
    code.op(Op.if, VOID);
    this.handler.enter();
    for (const [part, value] of parts.entries()) {
      this.handler.hostAddress(linear);
      emitVector(code, value);
      code
        .op(Op.simd)
        .u(Simd.store)
        .u(0)
        .u(part * 16);
    }
    code.op(Op.else);
    passVectors(code, parts);
    code.get(Local.OP).get(linear).i32(wideAccess(bytes)).op(Op.call).u(Import.SLOW_WRITE_VECTOR);
    this.handler.abortCheck();
    this.handler.leave();
    code.op(Op.end);
  }

  requireWritable(offset: Value, bytes: 16 | 32): void {
    const { code } = this.handler;
    const linear = this.handler.linear('operand', offset);
    this.handler.lookupTlb(linear, bytes * 8, true, this.handler.isFlat('operand'));
    code.op(Op.i32_eqz, Op.if, VOID);
    this.handler.enter();
    const access = wideAccess(bytes) | O.ACCESS_INTENT;
    code.get(Local.OP).get(linear).i32(access).op(Op.call).u(Import.SLOW_READ_VECTOR);
    this.handler.abortCheck();
    this.handler.leave();
    code.op(Op.end);
  }

  assist(number: number, operands: readonly VectorValue[], immediate: Value | undefined, result: number): void {
    const { code } = this.handler;
    passVectors(code, operands);
    callAssist(code, number, immediate, Import.ASSIST);
    this.handler.abortCheck();
    takeResult(code, result);
  }
}

/** Access descriptor of a vector in the operand's segment. */
function wideAccess(bytes: 16 | 32): number {
  return (bytes === 32 ? O.ACCESS_DOUBLE : 0) | (O.OPERAND_SEGMENT << 8);
}
