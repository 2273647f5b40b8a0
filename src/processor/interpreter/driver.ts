import * as L from '../state/layout.ts';
import { Code, I32, Op, VOID } from '../wasm/code.ts';
import { type FunctionType, type ModuleParts, OWN_TABLE } from '../wasm/module.ts';
import { countDown, findJump, finish, leave } from './flow.ts';
import type { HandlerTable } from './handler-table.ts';
import { handlerLocals, Local } from './locals.ts';
import * as O from './operation.ts';

/** Type of the functions that do one instruction: vCPU, operation, handler → the operation to go on with, or a value of {@link Done}. */
export const INSTRUCTION_TYPE: FunctionType = { parameters: [I32, I32, I32], results: [I32] };
/** What such a function returns instead of the next operation. JUMPED: to RIP. */
export const Done = { JUMPED: 0, ABORTED: -1, EVENTS: -2 } as const;

/** Indices of what the driver calls: functions, and the type of regions. */
export interface DriverCalls {
  readonly main: number;
  readonly complete: number;
  readonly regionType: number;
}

/** Labels of the driver's blocks, from inside all of them. */
const Label = { MAIN: 0, REGION: 1, COMPLETE: 2, OPERATION: 3, LOOKUP: 4, CHARGED: 5, UNCHARGED: 6 } as const;

/**
 * What TypeScript calls: vCPU, operation (0: look up RIP), budget → a value of `Left`. Has the main function do frequent
 * instructions, and calls the functions of others and of translated code.
 */
export function driver(table: HandlerTable, calls: DriverCalls): ModuleParts['functions'][number] {
  const body = new Code();
  body.op(Op.block, VOID, Op.block, VOID); // the ends
  body.op(Op.loop, VOID);
  lookup(body);
  body.op(Op.loop, VOID);
  body.get(Local.OP).memory(Op.i32_load, O.OP_HANDLER).set(Local.HANDLER);
  body.op(Op.block, VOID, Op.block, VOID, Op.block, VOID);
  body.get(Local.HANDLER).i32(O.Handler.TRANSLATED).op(Op.i32_eq, Op.br_if).u(Label.REGION);
  body
    .get(Local.HANDLER)
    .i32(O.Handler.FIRST_INSTRUCTION + table.frequent)
    .op(Op.i32_ge_u, Op.br_if)
    .u(Label.COMPLETE);
  body.op(Op.end);
  runMain(body, calls);
  body.op(Op.end);
  runRegion(body, calls);
  body.op(Op.end);
  runComplete(body, table, calls);
  body.op(Op.end, Op.end, Op.end);
  finish(body, () => body.i32(1));
  const type = { parameters: [I32, I32, I32], results: [I32] };
  return { name: 'run', type, locals: handlerLocals(Local.FIRST_FREE), body };
}

/** Finds the operation for RIP in the jump cache when OP is 0, or leaves to have it decoded. */
function lookup(code: Code): void {
  code.get(Local.OP).op(Op.i32_eqz, Op.if, VOID);
  code.get(Local.BASE).memory(Op.i64_load, L.RIP).set(Local.RIP);
  findJump(code);
  code.get(Local.TARGET).set(Local.OP);
  // Two labels around: the lookup's loop and the condition.
  countDown(code, { charged: 2, uncharged: 3 });
  code.op(Op.end);
}

/** Frequent instructions, up to one that is done otherwise, or to a reason to leave. Around it: the blocks from REGION on. */
function runMain(code: Code, { main }: DriverCalls): void {
  code.get(Local.BASE).get(Local.OP).get(Local.BUDGET);
  code.op(Op.call).u(main).tee(Local.ENTRY).i32(O.Left.ELSEWHERE).op(Op.i32_lt_u, Op.if, VOID);
  code.get(Local.ENTRY).op(Op.return, Op.end);
  code.get(Local.BASE).memory(Op.i32_load, O.ENGINE_BUDGET).set(Local.BUDGET);
  code.get(Local.BASE).memory(Op.i32_load, O.ENGINE_OPERATION).tee(Local.OP);
  code.memory(Op.i32_load, O.OP_HANDLER).tee(Local.HANDLER);
  code
    .i32(O.Handler.TRANSLATED)
    .op(Op.i32_ne, Op.br_if)
    .u(Label.COMPLETE - Label.REGION);
}

/** Translated code, or the operation itself where that can't even begin. Around it: the blocks from COMPLETE on. */
function runRegion(code: Code, { regionType }: DriverCalls): void {
  const label = (target: number) => target - Label.COMPLETE;
  code.get(Local.BUDGET).op(Op.i32_eqz, Op.if, VOID);
  leave(code, O.Left.BUDGET, label(Label.UNCHARGED) + 1);
  code.op(Op.end);
  code.get(Local.OP).memory(Op.i32_load, O.OP_CONTEXT).tee(Local.ENTRY).op(Op.if, VOID);
  code.get(Local.ENTRY).get(Local.BASE).memory(Op.i32_load, O.ENGINE_CONTEXT).op(Op.i32_ne, Op.if, VOID);
  leave(code, O.Left.CONTEXT, label(Label.UNCHARGED) + 2);
  code.op(Op.end, Op.end);
  code.get(Local.BASE).get(Local.OP).memory(Op.i64_load, O.OP_RIP).memory(Op.i64_store, L.RIP);
  code.get(Local.BASE).get(Local.BUDGET);
  code.get(Local.OP).memory(Op.i32_load, O.OP_REGION);
  code.op(Op.call_indirect).u(regionType).u(0).tee(Local.ENTRY);
  code.get(Local.BUDGET).op(Op.i32_lt_s, Op.if, VOID);
  code.get(Local.ENTRY).set(Local.BUDGET).i32(0).set(Local.OP);
  code
    .op(Op.br)
    .u(label(Label.LOOKUP) + 1)
    .op(Op.end);
  code.get(Local.OP).memory(Op.i32_load, O.OP_ORIGINAL).set(Local.HANDLER);
}

/** The one operation, by its handler as a function of its own if it is an instruction. Around it: the blocks from OPERATION on. */
function runComplete(code: Code, table: HandlerTable, { complete }: DriverCalls): void {
  const label = (target: number) => target - Label.OPERATION;
  const firstVector = O.Handler.FIRST_INSTRUCTION + table.entries.length - table.vectors;
  code.get(Local.BUDGET).op(Op.i32_eqz, Op.if, VOID);
  leave(code, O.Left.BUDGET, label(Label.UNCHARGED) + 1);
  code.op(Op.end);
  code.get(Local.HANDLER).i32(O.Handler.FIRST_INSTRUCTION).op(Op.i32_lt_u, Op.if, VOID);
  code.get(Local.HANDLER).i32(O.Handler.END).op(Op.i32_eq, Op.if, VOID);
  code.get(Local.BASE).get(Local.OP).memory(Op.i64_load, O.OP_RIP).memory(Op.i64_store, L.RIP).i32(0).set(Local.OP);
  code
    .op(Op.br)
    .u(label(Label.LOOKUP) + 2)
    .op(Op.end);
  // These handlers are reasons to leave.
  code
    .get(Local.HANDLER)
    .set(Local.ENTRY)
    .op(Op.br)
    .u(label(Label.UNCHARGED) + 1);
  code.op(Op.end);
  // A REP instruction may do many passes.
  code.get(Local.BASE).get(Local.BUDGET).i32(1).op(Op.i32_sub).memory(Op.i32_store, O.ENGINE_BUDGET);
  code.get(Local.BASE).get(Local.OP).get(Local.HANDLER);
  code.get(Local.HANDLER).i32(firstVector).op(Op.i32_lt_u, Op.if).u(complete);
  code.op(Op.call).u(complete);
  code.op(Op.else);
  code.get(Local.HANDLER).i32(firstVector).op(Op.i32_sub);
  code.op(Op.call_indirect).u(complete).u(OWN_TABLE);
  code.op(Op.end).set(Local.ENTRY);
  code.get(Local.BASE).memory(Op.i32_load, O.ENGINE_BUDGET).set(Local.BUDGET).get(Local.ENTRY);
  code.i32(Done.JUMPED).op(Op.i32_lt_s, Op.if, VOID);
  code.get(Local.ENTRY).i32(Done.EVENTS).op(Op.i32_eq, Op.if, VOID);
  code.get(Local.OP).i32(O.OPERATION_SIZE).op(Op.i32_add).set(Local.OP);
  leave(code, O.Left.EVENTS, label(Label.UNCHARGED) + 2);
  code.op(Op.end);
  leave(code, O.Left.ABORT, label(Label.CHARGED) + 1);
  code.op(Op.end);
  code.get(Local.ENTRY).tee(Local.OP);
  code.op(Op.br_if).u(label(Label.OPERATION));
  code.op(Op.br).u(label(Label.LOOKUP));
}
