import * as L from '../state/layout.ts';
import { REGION_TYPE } from '../translator/region-locals.ts';
import { Code, I32, I64, Op, V128, VOID } from '../wasm/code.ts';
import { buildModule, type ModuleParts, tableTypeIndex } from '../wasm/module.ts';
import { HandlerBuilder } from './builder.ts';
import { Done, driver, INSTRUCTION_TYPE } from './driver.ts';
import { type HandlerEntry, HandlerTable } from './handler-table.ts';
import { handlerLocals, Local } from './locals.ts';
import { mainFunction } from './main-function.ts';
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
  /**
   * Brings the page of an access into the TLB where that takes no more than a page walk, at a linear address in halves; gives the
   * place in the partition's memory, or 0: the access must be made the slow way, which also says why.
   */
  fill(operation: number, low: number, high: number, access: number): number;
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

const IMPORTS = [
  { name: 'slowRead', type: { parameters: [I32, I64, I32], results: [I64] } },
  { name: 'slowWrite', type: { parameters: [I32, I64, I64, I32], results: [] } },
  { name: 'slowReadVector', type: { parameters: [I32, I64, I32], results: [] } },
  { name: 'slowWriteVector', type: { parameters: [I32, I64, I32], results: [] } },
  { name: 'assist', type: { parameters: [I32, I32], results: [] } },
  { name: 'fill', type: { parameters: [I32, I32, I32, I32], results: [I32] } },
];

/** Generates the module for the handlers of a table. */
export function generateInterpreter(table: HandlerTable): Uint8Array<ArrayBuffer> {
  const vectors = table.entries.slice(table.entries.length - table.vectors);
  const others = [mainFunction(table), completeFunction(table), ...vectors.map(vectorFunction)];
  const calls = {
    main: FunctionIndex.MAIN,
    complete: FunctionIndex.COMPLETE,
    regionType: tableTypeIndex(IMPORTS.length, others.length + 1),
  };
  return buildModule({
    imports: IMPORTS,
    tableType: REGION_TYPE,
    functions: [driver(table, calls), ...others],
    ownTable: vectors.map((_, index) => FunctionIndex.VECTORS + index),
  });
}

/** Indices of the functions. */
const FunctionIndex = {
  DRIVER: IMPORTS.length,
  MAIN: IMPORTS.length + 1,
  COMPLETE: IMPORTS.length + 2,
  VECTORS: IMPORTS.length + 3,
} as const;

/** Locals that the functions of vector instructions have for numbers, unless they need more. */
const FEW_LOCALS = 20;

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
  body.get(Local.BASE).get(Local.RIP).memory(Op.i64_store, L.RIP).i32(Done.JUMPED).op(Op.return, Op.end);
  body.i32(Done.ABORTED).op(Op.return, Op.end);
  body.i32(Done.EVENTS);
  return { name: 'complete', type: INSTRUCTION_TYPE, locals: handlerLocals(locals), isInternal: true, body };
}

/**
 * A vector instruction. Each is a function of its own: there are a lot of them, each program uses few, and engines compile them
 * one by one.
 */
function vectorFunction(entry: HandlerEntry): ModuleParts['functions'][number] {
  const build = (firstVector: number) => {
    const builder = new HandlerBuilder(entry.shape, { next: 0, lookup: 0, abort: 1, events: 1 }, firstVector);
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
  body.i32(Done.ABORTED);
  const locals = [...handlerLocals(firstVector), { count: builder.vectors.used - firstVector, type: V128 }];
  return { name: 'vector', type: INSTRUCTION_TYPE, isInternal: true, locals, body };
}
