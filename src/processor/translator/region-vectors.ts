import type { Value } from '../../x86/semantics.ts';
import type { VectorValue } from '../../x86/vector-semantics.ts';
import { Expression, Truth } from '../generator/value-builder.ts';
import {
  callAssist,
  emitPlainRounding,
  emitVector,
  passVectors,
  takeResult,
  type VectorHost,
} from '../generator/vector-builder.ts';
import * as L from '../state/layout.ts';
import { Op } from '../wasm/code.ts';
import { Simd } from '../wasm/vector-op.ts';
import type { RegionBuilder } from './region-builder.ts';
import { ASSIST, Local, VECTOR_LOCALS } from './region-locals.ts';

/** What regions with vector instructions have besides. The vector registers stay in the state's block. */
export class RegionVectors implements VectorHost {
  private used: number = Local.FIRST_FREE;

  constructor(private readonly region: RegionBuilder) {}

  /** Begins with another instruction: all locals are free. */
  reset(): void {
    this.used = Local.FIRST_FREE;
  }

  newVectorLocal(): number {
    if (!this.region.hasVectors || this.used === Local.FIRST_FREE + VECTOR_LOCALS)
      throw new Error('too many vectors in an instruction');
    return this.used++;
  }

  vectorRegisterAddress(place: string): Expression {
    const { instruction, vexRegister } = this.region.current.decoded;
    const { modrm } = instruction;
    const number = place === 'H' ? vexRegister : 'VK'.includes(place) ? (modrm?.reg ?? 0) : (modrm?.rm ?? 0);
    const isMmx = 'KQN'.includes(place);
    const at = isMmx ? L.X87_REGISTERS + (number & 7) * L.X87_REGISTER_SIZE : L.VECTORS + number * L.VECTOR_SIZE;
    return new Expression((code) => code.get(Local.BASE).i32(at).op(Op.i32_add));
  }

  indexRegisterAddress(): Expression {
    throw new Error('gathers are interpreted');
  }
  indexedAddress(): Value {
    throw new Error('gathers are interpreted');
  }

  /** Finds the place of a vector in memory, into HOST. */
  private locateWide(offset: Value, bytes: 16 | 32, aligned: boolean, write: boolean): void {
    const { code } = this.region;
    const linear = this.region.linear('operand', offset, bytes * 8, write);
    if (aligned) {
      code
        .get(linear)
        .op(Op.i32_wrap_i64)
        .i32(bytes - 1)
        .op(Op.i32_and);
      this.region.abandonIf();
    }
    this.region.locate(linear, bytes * 8, write);
    code.set(Local.HOST);
  }

  loadWide(offset: Value, bytes: 16 | 32, aligned: boolean): number[] {
    this.locateWide(offset, bytes, aligned, false);
    return Array.from({ length: bytes / 16 }, (_, part) => {
      const local = this.newVectorLocal();
      this.region.code
        .get(Local.HOST)
        .op(Op.simd)
        .u(Simd.load)
        .u(0)
        .u(part * 16)
        .set(local);
      return local;
    });
  }

  requireWritable(offset: Value, bytes: 16 | 32): void {
    this.locateWide(offset, bytes, false, true);
  }

  storeWide(offset: Value, parts: readonly VectorValue[], aligned: boolean): void {
    this.locateWide(offset, parts.length === 2 ? 32 : 16, aligned, true);
    for (const [part, value] of parts.entries()) {
      this.region.code.get(Local.HOST);
      emitVector(this.region.code, value);
      this.region.code
        .op(Op.simd)
        .u(Simd.store)
        .u(0)
        .u(part * 16);
    }
  }

  plainRounding(): Value {
    return new Truth((code) => code.get(Local.PLAIN));
  }

  /** An exception is raised by the interpreter, which computes once more. */
  assist(number: number, operands: readonly VectorValue[], immediate: Value | undefined, result: number): void {
    const { code } = this.region;
    passVectors(code, operands);
    callAssist(code, number, immediate, ASSIST);
    this.region.abandonIf();
    takeResult(code, result);
    emitPlainRounding(code);
    code.set(Local.PLAIN);
  }
}
