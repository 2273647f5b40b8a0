import * as L from '../state/layout.ts';
import { REGION_TYPE } from '../translator/region-locals.ts';
import { Code, I32, I64, Op, VOID } from '../wasm/code.ts';
import { buildModule, tableTypeIndex } from '../wasm/module.ts';
import { countDown, followLink, HandlerBuilder, Local, leave } from './builder.ts';
import { HandlerTable } from './handler-table.ts';
import * as O from './operation.ts';
import { prebuiltModule } from './prebuilt.ts';

/** What the generated module exports: runs from an operation (0: look up RIP) and returns a value of `Left`. */
export type RunFunction = (base: number, operation: number, budget: number) => number;

export interface InterpreterImports {
  /** Reads at a linear address what the fast path couldn't; sets ENGINE_ABORT when the instruction must be abandoned. */
  slowRead(operation: number, linear: bigint, access: number): bigint;
  slowWrite(operation: number, linear: bigint, value: bigint, access: number): void;
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

/** Runs translated code, and the operation itself where that can't even begin. `next` is the label of the next operation. */
function enterRegion(code: Code, next: number): void {
  code.get(Local.OP).memory(Op.i32_load, O.OP_CONTEXT).tee(Local.ENTRY).op(Op.if, VOID);
  code.get(Local.ENTRY).get(Local.BASE).memory(Op.i32_load, O.ENGINE_CONTEXT).op(Op.i32_ne, Op.if, VOID);
  leave(code, O.Left.CONTEXT);
  code.op(Op.end, Op.end);
  code.get(Local.BASE).get(Local.OP).memory(Op.i64_load, O.OP_RIP).memory(Op.i64_store, L.RIP);
  code.get(Local.BASE).get(Local.BUDGET).i32(1).op(Op.i32_add);
  code.get(Local.OP).memory(Op.i32_load, O.OP_REGION);
  code.op(Op.call_indirect).u(tableTypeIndex(IMPORTS.length, 1)).u(0).tee(Local.ENTRY);
  code.get(Local.BUDGET).op(Op.i32_gt_s, Op.if, VOID);
  code.get(Local.OP).memory(Op.i32_load, O.OP_ORIGINAL).set(Local.HANDLER);
  code.op(Op.br).u(next).op(Op.end);
  code.get(Local.ENTRY).set(Local.BUDGET);
  code.get(Local.BASE).memory(Op.i64_load, L.RIP).set(Local.RIP).i32(0).set(Local.OP);
  code.op(Op.br).u(next + 1);
}

const IMPORTS = [
  { name: 'slowRead', type: { parameters: [I32, I64, I32], results: [I64] } },
  { name: 'slowWrite', type: { parameters: [I32, I64, I64, I32], results: [] } },
];

/** Generates the module for the handlers of a table. */
export function generateInterpreter(table: HandlerTable): Uint8Array<ArrayBuffer> {
  const count = O.Handler.FIRST_INSTRUCTION + table.entries.length;
  const body = new Code();
  let locals: number = Local.FIRST_FREE;

  body.get(Local.BASE).memory(Op.i64_load, L.RIP).set(Local.RIP);
  body.op(Op.block, VOID); // abort
  body.op(Op.loop, VOID); // lookup
  lookup(body);
  body.op(Op.loop, VOID); // next operation
  body.get(Local.BUDGET).op(Op.i32_eqz, Op.if, VOID);
  leave(body, O.Left.BUDGET, false);
  body.op(Op.end);
  body.get(Local.BUDGET).i32(1).op(Op.i32_sub).set(Local.BUDGET);
  body.get(Local.OP).memory(Op.i32_load, O.OP_HANDLER).set(Local.HANDLER);
  body.op(Op.loop, VOID); // dispatch
  for (let index = 0; index < count; index++) body.op(Op.block, VOID);
  body.get(Local.HANDLER);
  body.op(Op.br_table).u(count - 1);
  for (let index = 0; index < count; index++) body.u(index);
  body.op(Op.end);

  // Handler k stands after the end of block k: around it are the blocks k+1 …, the three loops and the abort block.
  const inside = (index: number) => count - index;
  for (let index = 0; index < O.Handler.FIRST_INSTRUCTION; index++) {
    if (index === O.Handler.END) {
      body.get(Local.BUDGET).i32(1).op(Op.i32_add).set(Local.BUDGET);
      followLink(body, inside(index));
      body.get(Local.OP).memory(Op.i64_load, O.OP_RIP).set(Local.RIP).i32(0).set(Local.OP);
      body.op(Op.br).u(inside(index) + 1);
    } else if (index === O.Handler.DROPPED) leave(body, O.Left.MISS);
    else if (index === O.Handler.BREAK) leave(body, O.Left.BREAK);
    else if (index === O.Handler.HELPER) leave(body, O.Left.HELPER);
    else if (index === O.Handler.RAISE) leave(body, O.Left.RAISE);
    else enterRegion(body, inside(index));
    body.op(Op.end);
  }
  for (const entry of table.entries) {
    const next = inside(entry.id);
    const builder = new HandlerBuilder(entry.shape, { next, lookup: next + 1, abort: next + 2 });
    entry.form.definition.semantics?.(builder);
    builder.finish();
    body.append(builder.code);
    locals = Math.max(locals, builder.localsUsed);
    // The last handler stands after the end of the last block.
    if (entry.id < count - 1) body.op(Op.end);
  }
  body.op(Op.end); // dispatch
  body.op(Op.end); // next
  body.op(Op.end); // lookup
  body.op(Op.end); // abort
  leave(body, O.Left.ABORT);
  body.op(Op.unreachable);

  return buildModule({
    imports: IMPORTS,
    tableType: REGION_TYPE,
    functions: [
      {
        name: 'run',
        type: { parameters: [I32, I32, I32], results: [I32] },
        locals: [
          { count: 1, type: I32 },
          { count: 1, type: I64 },
          { count: 2, type: I32 },
          { count: locals - Local.FIRST_FREE, type: I64 },
        ],
        body,
      },
    ],
  });
}
