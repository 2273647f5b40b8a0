import * as L from '../state/layout.ts';
import { Code, I32, Op, VOID } from '../wasm/code.ts';
import type { ModuleParts } from '../wasm/module.ts';
import { HandlerBuilder } from './builder.ts';
import { countDown, deeper, type Ends, findJump, finish, followLink, leave } from './flow.ts';
import type { HandlerTable } from './handler-table.ts';
import { handlerLocals, Local } from './locals.ts';
import * as O from './operation.ts';

/**
 * The loop over operations, with the handlers of frequent instructions: vCPU, the operation before the one to begin with, budget
 * → a value of `Left`.
 *
 * It calls nothing: engines keep what lives across a call in memory, from where it is computed on, for each operation that is
 * done. What needs a call is left to the {@link driver}. And OP is the operation before the next one between operations, so that
 * only one of the two numbers lives.
 */
export function mainFunction(table: HandlerTable): ModuleParts['functions'][number] {
  const count = O.Handler.FIRST_INSTRUCTION + table.frequent;
  const body = new Code();
  let locals: number = Local.FIRST_FREE;

  body.op(Op.block, VOID, Op.block, VOID); // the ends
  body.op(Op.loop, VOID); // lookup
  lookup(body, { undone: 1, uncounted: 2 });
  body.op(Op.loop, VOID); // next operation
  body.get(Local.OP).i32(O.OPERATION_SIZE).op(Op.i32_add).set(Local.OP);
  body.get(Local.BUDGET).op(Op.i32_eqz, Op.if, VOID);
  leave(body, O.Left.BUDGET, 4);
  body.op(Op.end);
  body.get(Local.BUDGET).i32(1).op(Op.i32_sub).set(Local.BUDGET);
  for (let index = 0; index <= count; index++) body.op(Op.block, VOID);
  body.get(Local.OP).memory(Op.i32_load, O.OP_HANDLER);
  body.op(Op.br_table).u(count);
  for (let index = 0; index <= count; index++) body.u(index);
  body.op(Op.end);

  // Handler k stands after the end of block k: around it are the blocks k+1 … count, the two loops, and the ends.
  for (let index = 0; index < count; index++) {
    const abort = count - 1 - index;
    const next = abort + 1;
    const ends = { undone: next + 2, uncounted: next + 3 };
    const entry = table.entries[index - O.Handler.FIRST_INSTRUCTION];
    if (!entry) noInstruction(body, index, next, ends);
    else {
      const builder = new HandlerBuilder(entry.shape, { next, lookup: next + 1, abort, events: abort, ends });
      entry.form.definition.semantics?.(builder);
      builder.finish();
      body.append(builder.code);
      locals = Math.max(locals, builder.localsUsed);
    }
    body.op(Op.end);
  }
  // All other instructions, and what frequent ones leave.
  leave(body, O.Left.CALL, 2);
  body.op(Op.end, Op.end);
  body.op(Op.end);
  finish(body);
  const type = { parameters: [I32, I32, I32], results: [I32] };
  return { name: 'main', isInternal: true, type, locals: handlerLocals(locals), body };
}

/** Finds the operation for the RIP local in the jump cache when OP is 0, or leaves to have it decoded. */
function lookup(code: Code, ends: Ends): void {
  code.get(Local.OP).op(Op.i32_eqz, Op.if, VOID);
  findJump(code);
  code.op(Op.i32_eqz, Op.if, VOID);
  code.get(Local.BASE).get(Local.RIP).memory(Op.i64_store, L.RIP);
  code.get(Local.BASE).get(Local.BUDGET).memory(Op.i32_store, O.ENGINE_BUDGET);
  code.i32(O.Left.MISS).op(Op.return);
  code.op(Op.end);
  code.get(Local.ENTRY).memory(Op.i32_load, 12).tee(Local.TARGET);
  code.i32(O.OPERATION_SIZE).op(Op.i32_sub).set(Local.OP);
  code.get(Local.LINK).op(Op.if, VOID);
  code.get(Local.LINK).get(Local.TARGET).memory(Op.i32_store, O.OP_LINK).op(Op.end);
  code.i32(0).set(Local.LINK);
  countDown(code, deeper(ends, 1));
  code.op(Op.end);
}

/** The handlers that are no instructions. */
function noInstruction(code: Code, handler: number, next: number, ends: Ends): void {
  if (handler === O.Handler.END) {
    code.get(Local.BUDGET).i32(1).op(Op.i32_add).set(Local.BUDGET);
    followLink(code, next, ends);
    code.get(Local.OP).memory(Op.i64_load, O.OP_RIP).set(Local.RIP).i32(0).set(Local.OP);
    code.op(Op.br).u(next + 1);
  } else if (handler === O.Handler.DROPPED) leave(code, O.Left.MISS, ends.undone);
  else if (handler === O.Handler.BREAK) leave(code, O.Left.BREAK, ends.undone);
  else if (handler === O.Handler.HELPER) leave(code, O.Left.HELPER, ends.undone);
  else if (handler === O.Handler.RAISE) leave(code, O.Left.RAISE, ends.undone);
  else leave(code, O.Left.REGION, ends.undone);
}
