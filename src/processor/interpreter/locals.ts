import { BASE } from '../generator/instruction-builder.ts';
import { I32, I64 } from '../wasm/code.ts';

/** Indices of the locals of the interpreter's function: parameters first. */
export const Local = {
  BASE,
  OP: 1,
  BUDGET: 2,
  ENTRY: 3,
  RIP: 4,
  LINK: 5,
  HANDLER: 6,
  HOST: 7,
  TARGET: 8,
  FIRST_FREE: 9,
} as const;
/** Indices of the functions that the interpreter imports. */
export const Import = { SLOW_READ: 0, SLOW_WRITE: 1, SLOW_READ_VECTOR: 2, SLOW_WRITE_VECTOR: 3, ASSIST: 4, FILL: 5 } as const;

/** The locals behind the three parameters of a function that uses so many in all. */
export function handlerLocals(used: number): { count: number; type: number }[] {
  return [
    { count: 1, type: I32 },
    { count: 1, type: I64 },
    { count: Local.FIRST_FREE - Local.LINK, type: I32 },
    { count: used - Local.FIRST_FREE, type: I64 },
  ];
}
