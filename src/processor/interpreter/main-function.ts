import { Code, I32, Op, VOID } from '../wasm/code.ts';
import type { ModuleParts } from '../wasm/module.ts';
import { HandlerBuilder } from './builder.ts';
import { charge, countDown, deeper, type Ends, findJump, finish, followLink, leave } from './flow.ts';
import type { HandlerTable } from './handler-table.ts';
import { handlerLocals, Local } from './locals.ts';
import * as O from './operation.ts';

/**
 * The loop over operations, with the handlers of frequent instructions: vCPU, the operation to begin with, budget → a value of
 * `Left`.
 *
 * It calls nothing: engines keep what lives across a call in memory, from where it is computed on, for each operation that is
 * done. What needs a call is left to the {@link driver}. And little lives between operations: OP, which is the operation before
 * the next one there; the budget is charged for a block at its head, and what isn't done of it is given back.
 */
export function mainFunction(table: HandlerTable): ModuleParts['functions'][number] {
  const count = O.Handler.FIRST_INSTRUCTION + table.frequent;
  const body = new Code();
  let locals: number = Local.FIRST_FREE;

  body.op(Op.block, VOID, Op.block, VOID); // the ends
  body.op(Op.loop, VOID); // lookup
  lookup(body, { charged: 1, uncharged: 2 });
  body.op(Op.loop, VOID); // next operation
  body.get(Local.OP).i32(O.OPERATION_SIZE).op(Op.i32_add).set(Local.OP);
  for (let index = 0; index <= count; index++) body.op(Op.block, VOID);
  body.get(Local.OP).memory(Op.i32_load, O.OP_HANDLER);
  body.op(Op.br_table).u(count);
  for (let index = 0; index <= count; index++) body.u(index);
  body.op(Op.end);

  // Handler k stands after the end of block k: around it are the blocks k+1 … count, the two loops, and the ends.
  for (let index = 0; index < count; index++) {
    const abort = count - 1 - index;
    const next = abort + 1;
    const ends = { charged: next + 2, uncharged: next + 3 };
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
  leave(body, O.Left.ELSEWHERE, 2);
  body.op(Op.end, Op.end);
  body.op(Op.end);
  finish(body, () => body.get(Local.OP).memory(Op.i32_load8_u, O.OP_REST));
  const type = { parameters: [I32, I32, I32], results: [I32] };
  return { name: 'main', isInternal: true, type, locals: handlerLocals(locals), body };
}

/**
 * Goes to an operation from the head of its block or from within it: to OP, or (where that is 0) to the one for the RIP local, which
 * must be decoded first when the jump cache hasn't got it.
 */
function lookup(code: Code, ends: Ends): void {
  code.get(Local.OP).tee(Local.TARGET).op(Op.i32_eqz, Op.if, VOID);
  findJump(code);
  code.get(Local.LINK).op(Op.if, VOID);
  code.get(Local.LINK).get(Local.TARGET).memory(Op.i32_store, O.OP_LINK).op(Op.end);
  code.i32(0).set(Local.LINK);
  countDown(code, deeper(ends, 1));
  code.op(Op.end);
  charge(code, ends);
}

/** The handlers that are no instructions. */
function noInstruction(code: Code, handler: number, next: number, ends: Ends): void {
  if (handler === O.Handler.END) {
    followLink(code, next, ends, () => {});
    code.get(Local.OP).memory(Op.i64_load, O.OP_RIP).set(Local.RIP).i32(0).set(Local.OP);
    code.op(Op.br).u(next + 1);
  } else if (handler === O.Handler.DROPPED) leave(code, O.Left.MISS, ends.charged);
  else if (handler === O.Handler.BREAK) leave(code, O.Left.BREAK, ends.charged);
  else if (handler === O.Handler.HELPER) leave(code, O.Left.HELPER, ends.charged);
  else if (handler === O.Handler.RAISE) leave(code, O.Left.RAISE, ends.charged);
  else leave(code, O.Left.ELSEWHERE, ends.charged);
}
