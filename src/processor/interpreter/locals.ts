import { BASE } from '../generator/instruction-builder.ts';

/** Indices of the locals of the interpreter's function: parameters first. */
export const Local = { BASE, OP: 1, BUDGET: 2, ENTRY: 3, RIP: 4, LINK: 5, HANDLER: 6, HOST: 7, FIRST_FREE: 8 } as const;
/** Indices of the functions that the interpreter imports. */
export const Import = { SLOW_READ: 0, SLOW_WRITE: 1, SLOW_READ_VECTOR: 2, SLOW_WRITE_VECTOR: 3, ASSIST: 4 } as const;
