import * as L from '../state/layout.ts';
import { REGION_TYPE } from '../translator/region-locals.ts';
import { Code, I32, I64, Op, V128, VOID } from '../wasm/code.ts';
import { buildModule, type FunctionType, type ModuleParts, OWN_TABLE, tableTypeIndex } from '../wasm/module.ts';
import { HandlerBuilder } from './builder.ts';
import { countDown, followLink, leave } from './flow.ts';
import { type HandlerEntry, HandlerTable } from './handler-table.ts';
import { Local } from './locals.ts';
import * as O from './operation.ts';
import { prebuiltModule } from './prebuilt.ts';

/** What the generated module exports: runs from an operation (0: look up RIP) and returns a value of `Left`. */
export type RunFunction = (base: number, operation: number, budget: number) => number;

export interface InterpreterImports {
  /** Reads at a linear address what the fast path couldn't; sets ENGINE_ABORT when the instruction must be abandoned. */
  slowRead(operation: number, linear: bigint, access: number): bigint;
  slowWrite(operation: number, linear: bigint, value: bigint, access: number): void;
  /** The same for vectors, which are passed in VECTOR_RESULT and VECTOR_OPERANDS. */
  slowReadVector(operation: number, linear: bigint, access: number): void;
  slowWriteVector(operation: number, linear: bigint, access: number): void;
  /** Computes what an assist's number names from VECTOR_OPERANDS to VECTOR_RESULT. */
  assist(number: number, immediate: number): void;
}

let built: { readonly module: WebAssembly.Module; readonly table: HandlerTable } | undefined;

/**
 * The interpreter's module and the table that numbers its handlers. Made at first use (generated, unless that was done at build
 * time), then shared by all vCPUs.
 */
export function interpreterModule(): { readonly module: WebAssembly.Module; readonly table: HandlerTable } {
  if (!built) {
    const table = new HandlerTable();
    const bytes = prebuiltModule === undefined ? generateInterpreter(table) : fromBase64(prebuiltModule);
    built = { module: new WebAssembly.Module(bytes), table };
  }
  return built;
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  const characters = atob(text);
  const bytes = new Uint8Array(characters.length);
  for (let index = 0; index < bytes.length; index++) bytes[index] = characters.charCodeAt(index);
  return bytes;
}

/** `regions` has the functions of translated code by their numbers. */
export function instantiateInterpreter(
  memory: WebAssembly.Memory,
  regions: WebAssembly.Table,
  imports: InterpreterImports,
): RunFunction {
  const { module } = interpreterModule();
  const instance = new WebAssembly.Instance(module, { env: { memory, table: regions, ...imports } });
  return instance.exports.run as RunFunction;
}

/** Finds the operation for the RIP local in the jump cache, or leaves to have it decoded. */
function lookup(code: Code): void {
  code.get(Local.OP).op(Op.i32_eqz, Op.if, VOID);
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
  code.op(Op.if, VOID).get(Local.ENTRY).memory(Op.i32_load, 12).set(Local.OP);
  code
    .get(Local.LINK)
    .op(Op.if, VOID)
    .get(Local.LINK)
    .get(Local.OP)
    .memory(Op.i32_store, O.OP_LINK)
    .i32(0)
    .set(Local.LINK)
    .op(Op.end);
  countDown(code);
  code.op(Op.else);
  code.get(Local.BASE).get(Local.RIP).memory(Op.i64_store, L.RIP);
  code.get(Local.BASE).get(Local.BUDGET).memory(Op.i32_store, O.ENGINE_BUDGET);
  code.i32(O.Left.MISS).op(Op.return);
  code.op(Op.end, Op.end);
}

const IMPORTS = [
  { name: 'slowRead', type: { parameters: [I32, I64, I32], results: [I64] } },
  { name: 'slowWrite', type: { parameters: [I32, I64, I64, I32], results: [] } },
  { name: 'slowReadVector', type: { parameters: [I32, I64, I32], results: [] } },
  { name: 'slowWriteVector', type: { parameters: [I32, I64, I32], results: [] } },
  { name: 'assist', type: { parameters: [I32, I32], results: [] } },
];

/** Runs translated code, and the operation itself where that can't even begin. `next` is the label of the next operation. */
function enterRegion(code: Code, next: number, regionType: number): void {
  code.get(Local.OP).memory(Op.i32_load, O.OP_CONTEXT).tee(Local.ENTRY).op(Op.if, VOID);
  code.get(Local.ENTRY).get(Local.BASE).memory(Op.i32_load, O.ENGINE_CONTEXT).op(Op.i32_ne, Op.if, VOID);
  leave(code, O.Left.CONTEXT);
  code.op(Op.end, Op.end);
  code.get(Local.BASE).get(Local.OP).memory(Op.i64_load, O.OP_RIP).memory(Op.i64_store, L.RIP);
  code.get(Local.BASE).get(Local.BUDGET).i32(1).op(Op.i32_add);
  code.get(Local.OP).memory(Op.i32_load, O.OP_REGION);
  code.op(Op.call_indirect).u(regionType).u(0).tee(Local.ENTRY);
  code.get(Local.BUDGET).op(Op.i32_gt_s, Op.if, VOID);
  code.get(Local.OP).memory(Op.i32_load, O.OP_ORIGINAL).set(Local.HANDLER);
  code.op(Op.br).u(next).op(Op.end);
  code.get(Local.ENTRY).set(Local.BUDGET);
  code.get(Local.BASE).memory(Op.i64_load, L.RIP).set(Local.RIP).i32(0).set(Local.OP);
  code.op(Op.br).u(next + 1);
}

/** Generates the module for the handlers of a table. */
export function generateInterpreter(table: HandlerTable): Uint8Array<ArrayBuffer> {
  const vectors = table.entries.slice(table.entries.length - table.vectors);
  const functions = [completeFunction(table), ...vectors.map(vectorFunction)];
  const regionType = tableTypeIndex(IMPORTS.length, functions.length + 1);
  return buildModule({
    imports: IMPORTS,
    tableType: REGION_TYPE,
    functions: [mainFunction(table, regionType), ...functions],
    ownTable: vectors.map((_, index) => FunctionIndex.VECTORS + index),
  });
}

/** Indices of the functions. */
const FunctionIndex = { MAIN: IMPORTS.length, COMPLETE: IMPORTS.length + 1, VECTORS: IMPORTS.length + 2 } as const;
/** Type of the functions that do one instruction: vCPU, operation, handler → the operation to go on with, JUMPED (to RIP), ABORTED or EVENTS. */
const INSTRUCTION_TYPE: FunctionType = { parameters: [I32, I32, I32], results: [I32] };
/** What {@link completeFunction} returns instead of the next operation. */
const JUMPED = 0;
const ABORTED = -1;
const EVENTS = -2;

/** Locals that the functions of vector instructions have for numbers, unless they need more. */
const FEW_LOCALS = 20;

/** The locals that handlers use, in a function with three parameters. */
function handlerLocals(used: number): { count: number; type: number }[] {
  return [
    { count: 1, type: I32 },
    { count: 1, type: I64 },
    { count: Local.FIRST_FREE - Local.LINK, type: I32 },
    { count: used - Local.FIRST_FREE, type: I64 },
  ];
}

/** The loop over operations, with the handlers of frequent instructions. */
function mainFunction(table: HandlerTable, regionType: number): ModuleParts['functions'][number] {
  const count = O.Handler.FIRST_INSTRUCTION + table.frequent;
  const body = new Code();
  let locals: number = Local.FIRST_FREE;

  body.get(Local.BASE).memory(Op.i64_load, L.RIP).set(Local.RIP);
  body.op(Op.loop, VOID); // lookup
  lookup(body);
  body.op(Op.loop, VOID); // next operation
  body.get(Local.BUDGET).op(Op.i32_eqz, Op.if, VOID);
  leave(body, O.Left.BUDGET, false);
  body.op(Op.end);
  body.get(Local.BUDGET).i32(1).op(Op.i32_sub).set(Local.BUDGET);
  body.get(Local.OP).memory(Op.i32_load, O.OP_HANDLER).set(Local.HANDLER);
  body.op(Op.loop, VOID); // dispatch
  for (let index = 0; index <= count; index++) body.op(Op.block, VOID);
  body.get(Local.HANDLER);
  body.op(Op.br_table).u(count);
  for (let index = 0; index <= count; index++) body.u(index);
  body.op(Op.end);

  // Handler k stands after the end of block k: around it are the blocks k+1 … count, and the three loops.
  const outermost = (index: number) => count - 1 - index;
  const next = (index: number) => outermost(index) + 2;
  for (let index = 0; index < O.Handler.FIRST_INSTRUCTION; index++) {
    if (index === O.Handler.END) {
      body.get(Local.BUDGET).i32(1).op(Op.i32_add).set(Local.BUDGET);
      followLink(body, next(index));
      body.get(Local.OP).memory(Op.i64_load, O.OP_RIP).set(Local.RIP).i32(0).set(Local.OP);
      body.op(Op.br).u(next(index) + 1);
    } else if (index === O.Handler.DROPPED) leave(body, O.Left.MISS);
    else if (index === O.Handler.BREAK) leave(body, O.Left.BREAK);
    else if (index === O.Handler.HELPER) leave(body, O.Left.HELPER);
    else if (index === O.Handler.RAISE) leave(body, O.Left.RAISE);
    else enterRegion(body, next(index), regionType);
    body.op(Op.end);
  }
  for (const entry of table.entries.slice(0, table.frequent)) {
    const labels = { next: next(entry.id), lookup: next(entry.id) + 1, abort: outermost(entry.id), events: outermost(entry.id) };
    const builder = new HandlerBuilder(entry.shape, labels, false);
    entry.form.definition.semantics?.(builder);
    builder.finish();
    body.append(builder.code).op(Op.end);
    locals = Math.max(locals, builder.localsUsed);
  }
  // All others, and what frequent ones leave: one call each.
  const firstVector = O.Handler.FIRST_INSTRUCTION + table.entries.length - table.vectors;
  body.get(Local.BASE).get(Local.BUDGET).memory(Op.i32_store, O.ENGINE_BUDGET);
  body.get(Local.BASE).get(Local.OP).get(Local.HANDLER);
  body.get(Local.HANDLER).i32(firstVector).op(Op.i32_lt_u, Op.if).u(FunctionIndex.COMPLETE);
  body.op(Op.call).u(FunctionIndex.COMPLETE);
  body.op(Op.else);
  body.get(Local.HANDLER).i32(firstVector).op(Op.i32_sub);
  body.op(Op.call_indirect).u(FunctionIndex.COMPLETE).u(OWN_TABLE);
  body.op(Op.end).set(Local.ENTRY);
  // A REP instruction may have done many passes.
  body.get(Local.BASE).memory(Op.i32_load, O.ENGINE_BUDGET).set(Local.BUDGET).get(Local.ENTRY);
  body.i32(JUMPED).op(Op.i32_lt_s, Op.if, VOID);
  body.get(Local.ENTRY).i32(EVENTS).op(Op.i32_eq, Op.if, VOID);
  body.get(Local.OP).i32(O.OPERATION_SIZE).op(Op.i32_add).set(Local.OP);
  leave(body, O.Left.EVENTS, false);
  body.op(Op.end);
  leave(body, O.Left.ABORT);
  body.op(Op.end);
  body.get(Local.ENTRY).set(Local.OP);
  body.get(Local.OP).op(Op.br_if).u(1);
  body.get(Local.BASE).memory(Op.i64_load, L.RIP).set(Local.RIP);
  body.op(Op.br).u(2);
  body.op(Op.end, Op.end, Op.end);
  body.op(Op.unreachable);
  const type = { parameters: [I32, I32, I32], results: [I32] };
  return { name: 'run', type, locals: handlerLocals(locals), body };
}

/** The complete handlers of all instructions but those with vectors. */
function completeFunction(table: HandlerTable): ModuleParts['functions'][number] {
  const entries = table.entries.slice(0, table.entries.length - table.vectors);
  const count = entries.length;
  const body = new Code();
  let locals: number = Local.FIRST_FREE;
  body.op(Op.block, VOID); // events
  body.op(Op.block, VOID); // abort
  body.op(Op.block, VOID); // jumped
  body.op(Op.block, VOID); // next
  for (let index = 0; index < count; index++) body.op(Op.block, VOID);
  // The third parameter stands where the main function has its budget.
  body.get(Local.BUDGET).i32(O.Handler.FIRST_INSTRUCTION).op(Op.i32_sub);
  body.op(Op.br_table).u(count - 1);
  for (let index = 0; index < count; index++) body.u(index);
  body.op(Op.end);
  for (const [index, entry] of entries.entries()) {
    const next = count - 1 - index;
    const builder = new HandlerBuilder(entry.shape, { next, lookup: next + 1, abort: next + 2, events: next + 3 });
    entry.form.definition.semantics?.(builder);
    builder.finish();
    body.append(builder.code).op(Op.end);
    locals = Math.max(locals, builder.localsUsed);
  }
  body.get(Local.OP).op(Op.return, Op.end);
  body.get(Local.BASE).get(Local.RIP).memory(Op.i64_store, L.RIP).i32(JUMPED).op(Op.return, Op.end);
  body.i32(ABORTED).op(Op.return, Op.end);
  body.i32(EVENTS);
  return { name: 'complete', type: INSTRUCTION_TYPE, locals: handlerLocals(locals), isInternal: true, body };
}

/**
 * A vector instruction. Each is a function of its own: there are a lot of them, each program uses few, and engines compile them
 * one by one.
 */
function vectorFunction(entry: HandlerEntry): ModuleParts['functions'][number] {
  const build = (firstVector: number) => {
    const builder = new HandlerBuilder(entry.shape, { next: 0, lookup: 0, abort: 1, events: 1 }, true, firstVector);
    entry.form.definition.semantics?.(builder);
    builder.finish();
    return builder;
  };
  // Locals for vectors lie behind those for numbers, of which most need few.
  let firstVector = FEW_LOCALS;
  let builder = build(firstVector);
  if (builder.localsUsed > firstVector) {
    firstVector = builder.localsUsed;
    builder = build(firstVector);
  }
  const body = new Code();
  body.op(Op.block, VOID); // abort
  body.op(Op.block, VOID); // next
  body.append(builder.code).op(Op.end);
  body.get(Local.OP).op(Op.return, Op.end);
  body.i32(ABORTED);
  const locals = [...handlerLocals(firstVector), { count: builder.vectors.used - firstVector, type: V128 }];
  return { name: 'vector', type: INSTRUCTION_TYPE, isInternal: true, locals, body };
}
