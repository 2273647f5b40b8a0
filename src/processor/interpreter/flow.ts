import * as L from '../state/layout.ts';
import { type Code, Op, VOID } from '../wasm/code.ts';
import { Local } from './locals.ts';
import * as O from './operation.ts';

/** The ends of a function that runs operations, as label depths from where code is emitted. */
export interface Ends {
  /** Leaves with what ENTRY says (a value of `Left`): the operation was not done. */
  readonly undone: number;
  /** Leaves with what ENTRY says: the operation has not been counted. */
  readonly uncounted: number;
}

/** The same ends from code that is so many labels deeper. */
export function deeper({ undone, uncounted }: Ends, levels: number): Ends {
  return { undone: undone + levels, uncounted: uncounted + levels };
}

/** Leaves for a reason, by one of the ends. */
export function leave(code: Code, left: number, end: number): void {
  code.i32(left).set(Local.ENTRY).op(Op.br).u(end);
}

/** The jump cache's entry for the RIP local into the ENTRY local; leaves on the stack whether it is one of this context. */
export function findJump(code: Code): void {
  code.get(Local.BASE).i32(O.JUMP_CACHE).op(Op.i32_add);
  code.get(Local.RIP).get(Local.RIP).i64(12n).op(Op.i64_shr_u, Op.i64_xor, Op.i32_wrap_i64);
  code.get(Local.BASE).memory(Op.i32_load, O.ENGINE_CONTEXT).i32(O.JUMP_CONTEXT_SHIFT).op(Op.i32_shl, Op.i32_xor);
  code
    .i32(O.JUMP_ENTRIES - 1)
    .op(Op.i32_and)
    .i32(4)
    .op(Op.i32_shl, Op.i32_add)
    .tee(Local.ENTRY);
  code.memory(Op.i64_load, 0).get(Local.RIP).op(Op.i64_eq);
  code.get(Local.ENTRY).memory(Op.i32_load, 8).get(Local.BASE).memory(Op.i32_load, O.ENGINE_CONTEXT).op(Op.i32_eq, Op.i32_and);
}

/**
 * Goes on at the operation that the current one is linked to. Else the one that is looked up next is linked to it, if it may be.
 * `next` is the label of the next operation.
 */
export function followLink(code: Code, next: number, ends: Ends): void {
  code.get(Local.OP).memory(Op.i32_load, O.OP_LINK).tee(Local.ENTRY).i32(O.UNLINKED).op(Op.i32_gt_s, Op.if, VOID);
  // Where a block was dropped, another one is looked up.
  code.get(Local.ENTRY).memory(Op.i32_load, O.OP_HANDLER).i32(O.Handler.DROPPED).op(Op.i32_ne, Op.if, VOID);
  // Every loop has a jump to an operation that lies before it in the cache.
  code.get(Local.ENTRY).get(Local.OP).op(Op.i32_gt_u);
  code.get(Local.ENTRY).i32(O.OPERATION_SIZE).op(Op.i32_sub).set(Local.OP);
  code.op(Op.br_if).u(next + 2);
  code.get(Local.ENTRY).set(Local.TARGET);
  countDown(code, deeper(ends, 2));
  code
    .op(Op.br)
    .u(next + 2)
    .op(Op.end)
    .op(Op.end);
  code.get(Local.OP).i32(0).get(Local.ENTRY).i32(O.NEVER_LINKED).op(Op.i32_ne, Op.select).set(Local.LINK);
}

/** Counts a jump to the TARGET operation, and leaves when it has become hot. */
export function countDown(code: Code, ends: Ends): void {
  code.get(Local.TARGET).get(Local.TARGET).memory(Op.i32_load, O.OP_HEAT).i32(1).op(Op.i32_sub).tee(Local.ENTRY);
  code.memory(Op.i32_store, O.OP_HEAT).get(Local.ENTRY).op(Op.i32_eqz, Op.if, VOID);
  code.get(Local.TARGET).set(Local.OP);
  leave(code, O.Left.HOT, ends.uncounted + 1);
  code.op(Op.end);
}

/** What stands behind the blocks that the ends' labels belong to, the inner one for what is undone: RIP from the operation, what is left of the budget. */
export function finish(code: Code): void {
  const { BASE, OP, BUDGET } = Local;
  // By way of memory: an engine that meets the same sum in handlers computes it for each operation.
  code.get(BASE).get(BUDGET).memory(Op.i32_store, O.ENGINE_BUDGET);
  code.get(BASE).memory(Op.i32_load, O.ENGINE_BUDGET).i32(1).op(Op.i32_add).set(BUDGET);
  code.op(Op.end);
  code.get(BASE).get(OP).memory(Op.i64_load, O.OP_RIP).memory(Op.i64_store, L.RIP);
  code.get(BASE).get(BUDGET).memory(Op.i32_store, O.ENGINE_BUDGET);
  code.get(BASE).get(OP).memory(Op.i32_store, O.ENGINE_OPERATION);
  code.get(Local.ENTRY);
}
