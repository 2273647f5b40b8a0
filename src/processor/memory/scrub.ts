import { Code, I32, Op, VOID } from '../wasm/code.ts';
import { buildModule } from '../wasm/module.ts';

/** Scrubbing goes by pieces of this size: writing to one that was never used would make the system provide it. */
const PIECE = 4096;
/** Bytes that are looked at in one turn of the loop. */
const STRIDE = 64;

/** Parameters and locals of the function. */
const Local = { AT: 0, END: 1, PIECE_END: 2 } as const;

let module: WebAssembly.Module | undefined;

/** Zeroes a whole memory; pages that are zero already are only read. Compiled code: there may be gigabytes. */
export function scrub(memory: WebAssembly.Memory): void {
  module ??= new WebAssembly.Module(generate());
  const instance = new WebAssembly.Instance(module, { env: { memory } });
  const run = instance.exports.scrub as (start: number, end: number) => void;
  run(0, memory.buffer.byteLength);
}

/** A function of a start and an end (exclusive, unsigned), both multiples of PIECE and different. */
function generate(): Uint8Array<ArrayBuffer> {
  const body = new Code();
  body.op(Op.loop, VOID); // pieces
  body.get(Local.AT).i32(PIECE).op(Op.i32_add).set(Local.PIECE_END);
  body.op(Op.block, VOID); // the piece is done
  body.op(Op.loop, VOID); // strides
  for (let offset = 0; offset < STRIDE; offset += 8) {
    body.get(Local.AT).memory(Op.i64_load, offset);
    if (offset > 0) body.op(Op.i64_or);
  }
  body.op(Op.i64_eqz, Op.if, VOID);
  body.get(Local.AT).i32(STRIDE).op(Op.i32_add).tee(Local.AT);
  body.get(Local.PIECE_END).op(Op.i32_ne, Op.br_if).u(1);
  body.op(Op.br).u(2).op(Op.end, Op.end);
  body.get(Local.PIECE_END).i32(PIECE).op(Op.i32_sub).i32(0).i32(PIECE).memoryFill();
  body.op(Op.end);
  body.get(Local.PIECE_END).tee(Local.AT).get(Local.END).op(Op.i32_ne, Op.br_if).u(0);
  body.op(Op.end);
  const type = { parameters: [I32, I32], results: [] };
  return buildModule({ imports: [], functions: [{ name: 'scrub', type, locals: [{ count: 1, type: I32 }], body }] });
}
