/** Kinds of bench programs. */
export const GROUPS = ['integer', 'memory', 'vectors', 'system', '32-bit'] as const;
export type Group = (typeof GROUPS)[number];

/** A guest program of the bench: `bench/programs/NAME.asm`. */
export interface BenchProgram {
  readonly name: string;
  readonly group: Group;
  /** Iterations of a first, short run: some hundred thousand instructions. All engines must give the same checksum for it. */
  readonly first: number;
}

/** The programs, in the order in which they are run. */
export const PROGRAMS: readonly BenchProgram[] = [
  { name: 'registers', group: 'integer', first: 100 },
  { name: 'calls', group: 'integer', first: 20 },
  { name: 'branches', group: 'integer', first: 30 },
  { name: 'bytecode', group: 'integer', first: 100 },
  { name: 'multiply', group: 'integer', first: 100 },
  { name: 'mixing', group: 'integer', first: 300 },
  { name: 'sieve', group: 'memory', first: 1 },
  { name: 'copy', group: 'memory', first: 20 },
  { name: 'chase', group: 'memory', first: 100 },
  { name: 'sort', group: 'memory', first: 2 },
  { name: 'crc', group: 'memory', first: 10 },
  { name: 'hash', group: 'memory', first: 20 },
  { name: 'matrix', group: 'memory', first: 2 },
  { name: 'search', group: 'memory', first: 40 },
  { name: 'text', group: 'memory', first: 500 },
  { name: 'strings', group: 'memory', first: 20 },
  { name: 'orbit', group: 'vectors', first: 20 },
  { name: 'mandelbrot', group: 'vectors', first: 40 },
  { name: 'transform', group: 'vectors', first: 40 },
  { name: 'pixels', group: 'vectors', first: 50 },
  { name: 'scan', group: 'vectors', first: 100 },
  { name: 'unrolled', group: 'vectors', first: 400 },
  { name: 'interrupts', group: 'system', first: 20 },
  { name: 'page-faults', group: 'system', first: 20 },
  { name: 'self-modifying', group: 'system', first: 20 },
  { name: 'beside-code', group: 'system', first: 20 },
  { name: 'address-spaces', group: 'system', first: 20 },
  { name: 'flags', group: 'system', first: 100 },
  { name: 'exits', group: 'system', first: 20 },
  { name: 'registers-32', group: '32-bit', first: 100 },
  { name: 'calls-32', group: '32-bit', first: 20 },
  { name: 'crc-32', group: '32-bit', first: 10 },
  { name: 'mixing-32', group: '32-bit', first: 300 },
  { name: 'text-32', group: '32-bit', first: 500 },
];
