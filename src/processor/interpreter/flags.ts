import type { OperandSize } from '../../x86/instruction.ts';
import type { Value } from '../../x86/semantics.ts';
import { SplitFlags } from '../generator/split-flags.ts';
import { Expression, emit } from '../generator/value-builder.ts';
import * as L from '../state/layout.ts';
import { Op } from '../wasm/code.ts';
import { Local } from './locals.ts';

/** The interpreter keeps the flags where the state has them. */
export class InterpreterFlags extends SplitFlags {
  protected result(): Value {
    return new Expression((code) => code.get(Local.BASE).memory(Op.i64_load, L.FLAG_RESULT));
  }
  protected bits(): Value {
    return new Expression((code) => code.get(Local.BASE).memory(Op.i64_load, L.FLAG_BITS));
  }
  protected storeBits(value: Value): void {
    this.store(value, L.FLAG_BITS);
  }
  protected storeResult(result: Value, size: OperandSize): void {
    this.store(this.builder.signExtend(result, size), L.FLAG_RESULT);
  }
  private store(value: Value, offset: number): void {
    const { code } = this.builder;
    code.get(Local.BASE);
    emit(code, value);
    code.memory(Op.i64_store, offset);
  }
}
