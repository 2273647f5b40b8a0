import * as L from '../state/layout.ts';
import { type Code, Op, VOID } from '../wasm/code.ts';
import { Local } from './locals.ts';
import * as O from './operation.ts';

/** The ends of a function that runs operations, as label depths from where code is emitted. ENTRY says why: a value of `Left`. */
export interface Ends {
  /** Of the main function: the budget was charged for the operation and the rest of its block. Of the driver: for the operation. */
  readonly charged: number;
  /** It was not charged. */
  readonly uncharged: number;
}

/** The same ends from code that is so many labels deeper. */
export function deeper({ charged, uncharged }: Ends, levels: number): Ends {
  return { charged: charged + levels, uncharged: uncharged + levels };
}

/** Leaves for a reason, by one of the ends. */
export function leave(code: Code, left: number, end: number): void {
  code.i32(left).set(Local.ENTRY).op(Op.br).u(end);
}

/** The operation for the RIP local from the jump cache into the TARGET local. Leaves to have it decoded where it isn't there. */
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
  code.op(Op.i32_eqz, Op.if, VOID);
  code.get(Local.BASE).get(Local.RIP).memory(Op.i64_store, L.RIP);
  code.get(Local.BASE).get(Local.BUDGET).memory(Op.i32_store, O.ENGINE_BUDGET);
  code.i32(O.Left.MISS).op(Op.return);
  code.op(Op.end);
  code.get(Local.ENTRY).memory(Op.i32_load, 12).set(Local.TARGET);
}

/**
 * Goes on at the operation that the current one is linked to. Else the one that is looked up next is linked to it, if it may be.
 * `next` is the label of the next operation; `before` emits what the jump must do first.
 */
export function followLink(code: Code, next: number, ends: Ends, before: () => void): void {
  code.get(Local.OP).memory(Op.i32_load, O.OP_LINK).tee(Local.TARGET).i32(O.UNLINKED).op(Op.i32_gt_s, Op.if, VOID);
  // Where a block was dropped, another one is looked up.
  code.get(Local.TARGET).memory(Op.i32_load, O.OP_HANDLER).i32(O.Handler.DROPPED).op(Op.i32_ne, Op.if, VOID);
  before();
  // Every loop has a jump to an operation that lies before it in the cache.
  code.get(Local.TARGET).get(Local.OP).op(Op.i32_le_u, Op.if, VOID);
  countDown(code, deeper(ends, 3));
  code.op(Op.end);
  charge(code, deeper(ends, 2));
  code
    .op(Op.br)
    .u(next + 2)
    .op(Op.end)
    .op(Op.end);
  code.get(Local.OP).i32(0).get(Local.TARGET).i32(O.NEVER_LINKED).op(Op.i32_ne, Op.select).set(Local.LINK);
}

/** Counts a jump to the TARGET operation, and leaves when it has become hot. */
export function countDown(code: Code, ends: Ends): void {
  code.get(Local.TARGET).get(Local.TARGET).memory(Op.i32_load, O.OP_HEAT).i32(1).op(Op.i32_sub).tee(Local.ENTRY);
  code.memory(Op.i32_store, O.OP_HEAT).get(Local.ENTRY).op(Op.i32_eqz, Op.if, VOID);
  code.get(Local.TARGET).set(Local.OP);
  leave(code, O.Left.HOT, ends.uncharged + 1);
  code.op(Op.end);
}

/**
 * In the main function: charges the budget for the TARGET operation and those behind it in its block, and makes it the next one.
 * Leaves where the budget is too small for that.
 */
export function charge(code: Code, ends: Ends): void {
  code.get(Local.BUDGET).get(Local.TARGET).memory(Op.i32_load8_u, O.OP_REST).tee(Local.ENTRY).op(Op.i32_lt_u, Op.if, VOID);
  code.get(Local.TARGET).set(Local.OP);
  leave(code, O.Left.ELSEWHERE, ends.uncharged + 1);
  code.op(Op.end);
  code.get(Local.BUDGET).get(Local.ENTRY).op(Op.i32_sub).set(Local.BUDGET);
  code.get(Local.TARGET).i32(O.OPERATION_SIZE).op(Op.i32_sub).set(Local.OP);
}

/** In the main function, where the operation jumps away: gives back what was charged for those behind it. */
export function settle(code: Code): void {
  code.get(Local.BUDGET).get(Local.OP).memory(Op.i32_load8_u, O.OP_REST).i32(1).op(Op.i32_sub, Op.i32_add).set(Local.BUDGET);
}

/**
 * What stands behind the blocks that the ends' labels belong to, the inner one for what is charged: RIP from the operation, what
 * is left of the budget. `giveBack` emits what the budget gets back.
 */
export function finish(code: Code, giveBack: () => void): void {
  const { BASE, OP, BUDGET } = Local;
  code.get(BUDGET);
  giveBack();
  code.op(Op.i32_add).set(BUDGET);
  code.op(Op.end);
  code.get(BASE).get(OP).memory(Op.i64_load, O.OP_RIP).memory(Op.i64_store, L.RIP);
  code.get(BASE).get(BUDGET).memory(Op.i32_store, O.ENGINE_BUDGET);
  code.get(BASE).get(OP).memory(Op.i32_store, O.ENGINE_OPERATION);
  code.get(Local.ENTRY);
}
