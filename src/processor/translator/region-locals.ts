import { BASE } from '../generator/instruction-builder.ts';
import { I32 } from '../wasm/code.ts';
import type { FunctionType } from '../wasm/module.ts';

/** A region: the vCPU's base and the instructions that may still be retired → how many of these are left. */
export const REGION_TYPE: FunctionType = { parameters: [I32, I32], results: [I32] };

/** Indices of a region's locals: parameters, 32-bit ones, 64-bit ones. */
export const Local = {
  BASE,
  BUDGET: 1,
  TLB_READ: 2,
  TLB_WRITE: 3,
  ENTRY: 4,
  /** Where in the partition's memory the place is that the instruction reads and then writes. */
  HOST: 5,
  RECIPE: 6,
  RIP: 7,
  GPR: 8,
  FLAG_A: 24,
  FLAG_B: 25,
  FLAG_RESULT: 26,
  FLAG_BITS: 27,
  /** CF and OF where they are not what the recipe says. */
  FLAG_OVERRIDE: 28,
  FIRST_FREE: 29,
} as const;

/** Locals for vectors that a region with vector instructions has; its other free locals come behind them. */
export const VECTOR_LOCALS = 48;

/** How many locals behind the parameters are 32 bits wide. */
export const NARROW_LOCALS = Local.RIP - Local.TLB_READ;
