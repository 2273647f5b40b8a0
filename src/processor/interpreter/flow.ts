import * as L from '../state/layout.ts';
import { type Code, Op, VOID } from '../wasm/code.ts';
import { Local } from './locals.ts';
import * as O from './operation.ts';

/**
 * Goes on at the operation that the current one is linked to. Else the one that is looked up next is linked to it, if it may be.
 * `next` is the label of the next operation.
 */
export function followLink(code: Code, next: number): void {
  code.get(Local.OP).memory(Op.i32_load, O.OP_LINK).tee(Local.ENTRY).i32(O.UNLINKED).op(Op.i32_gt_s, Op.if, VOID);
  // Where a block was dropped, another one is looked up.
  code.get(Local.ENTRY).memory(Op.i32_load, O.OP_HANDLER).i32(O.Handler.DROPPED).op(Op.i32_ne, Op.if, VOID);
  // Every loop has a jump to an operation that lies before it in the cache.
  code.get(Local.ENTRY).get(Local.OP).op(Op.i32_gt_u).get(Local.ENTRY).set(Local.OP);
  code.op(Op.br_if).u(next + 2);
  countDown(code);
  code
    .op(Op.br)
    .u(next + 2)
    .op(Op.end)
    .op(Op.end);
  code.get(Local.OP).i32(0).get(Local.ENTRY).i32(O.NEVER_LINKED).op(Op.i32_ne, Op.select).set(Local.LINK);
}

/** Counts a jump to an operation, and leaves when it has become hot. */
export function countDown(code: Code): void {
  code.get(Local.OP).get(Local.OP).memory(Op.i32_load, O.OP_HEAT).i32(1).op(Op.i32_sub).tee(Local.ENTRY);
  code.memory(Op.i32_store, O.OP_HEAT).get(Local.ENTRY).op(Op.i32_eqz, Op.if, VOID);
  leave(code, O.Left.HOT, false);
  code.op(Op.end);
}

/** Leaves the function: RIP from the operation, the budget of the operation given back. */
export function leave(code: Code, left: number, giveBack = true): void {
  code.get(Local.BASE).get(Local.OP).memory(Op.i64_load, O.OP_RIP).memory(Op.i64_store, L.RIP);
  code.get(Local.BASE).get(Local.BUDGET);
  if (giveBack) code.i32(1).op(Op.i32_add);
  code.memory(Op.i32_store, O.ENGINE_BUDGET);
  code.get(Local.BASE).get(Local.OP).memory(Op.i32_store, O.ENGINE_OPERATION);
  code.i32(left).op(Op.return);
}
