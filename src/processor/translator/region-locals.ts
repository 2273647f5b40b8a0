import { BASE } from '../generator/instruction-builder.ts';
import { I32 } from '../wasm/code.ts';
import type { FunctionType } from '../wasm/module.ts';

/** A region: the vCPU's base and the instructions that may still be retired → how many of these are left. */
export const REGION_TYPE: FunctionType = { parameters: [I32, I32], results: [I32] };

export type RegionFunction = (base: number, budget: number) => number;

/** Index and type of the function that regions import: an assist's number and immediate → 1 where the instruction must be left to the interpreter. */
export const ASSIST = 0;
export const ASSIST_TYPE: FunctionType = { parameters: [I32, I32], results: [I32] };

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
  /** Floating point rounds plainly: what MXCSR says, in regions with vector instructions. */
  PLAIN: 7,
  RIP: 8,
  GPR: 9,
  FLAG_A: 25,
  FLAG_B: 26,
  FLAG_RESULT: 27,
  FLAG_BITS: 28,
  /** CF and OF where they are not what the recipe says. */
  FLAG_OVERRIDE: 29,
  FIRST_FREE: 30,
} as const;

/** Locals for vectors that a region with vector instructions has; its other free locals come behind them. */
export const VECTOR_LOCALS = 160;

/** How many locals behind the parameters are 32 bits wide. */
export const NARROW_LOCALS = Local.RIP - Local.TLB_READ;
