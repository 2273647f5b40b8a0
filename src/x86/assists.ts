/**
 * What vector instructions have computed outside of generated code. Floating-point operations are named by what they do and the
 * lanes they do it in: all of a vector, or the lowest (`s`).
 */
const FORMATS = ['f32x4', 'f64x2', 'f32s', 'f64s'] as const;

/** In each format. `cmp` takes a predicate of 0–31, `comi` and `ucomi` give ZF, PF and CF as EFLAGS has them. */
const FLOAT = ['add', 'sub', 'mul', 'div', 'sqrt', 'min', 'max', 'cmp', 'round', 'rcp', 'rsqrt', 'addsub'] as const;
const FUSED = ['fmadd', 'fmsub', 'fnmadd', 'fnmsub', 'fmaddsub', 'fmsubadd'] as const;
const SCALAR = ['comi', 'ucomi', 'to32', 'to64', 'to32t', 'to64t', 'from32', 'from64'] as const;
/** Conversions between vectors: from 32-bit integers, to them, and between the formats. */
const VECTOR = [
  'widen.f32s',
  'narrow.f64s',
  'i32.f32x4',
  'f32x4.i32',
  'f32x4.i32t',
  'f64x2.i32',
  'f64x2.i32t',
  'f32x2.f64x2',
  'f64x2.f32x2',
] as const;
const HALF = ['f16x4.f32x4', 'f32x4.f16x4'] as const;
const OTHER = [
  ...['dpps', 'dppd', 'mpsadbw', 'phminposuw', 'pcmpestr', 'pcmpistr'],
  ...['aesenc', 'aesenclast', 'aesdec', 'aesdeclast', 'aesimc', 'aeskeygen', 'pclmulqdq'],
  ...['sha1rnds4', 'sha1nexte', 'sha1msg1', 'sha1msg2', 'sha256rnds2', 'sha256msg1', 'sha256msg2'],
] as const;

/** The names of all assists; the place is the number that generated code asks for one by. */
export const ASSISTS: readonly string[] = [
  ...[...FLOAT, ...FUSED].flatMap((operation) => FORMATS.map((format) => `${operation}.${format}`)),
  ...SCALAR.flatMap((operation) => [`${operation}.f32s`, `${operation}.f64s`]),
  ...VECTOR,
  ...HALF,
  ...OTHER,
];

const numbers = new Map(ASSISTS.map((name, index) => [name, index]));

export function assistNumber(name: string): number {
  const number = numbers.get(name);
  if (number === undefined) throw new Error(`there is no assist ${name}`);
  return number;
}

/** Added to an assist's number: it is for the first or the second part of a vector of 256 bits. */
export const ASSIST_FIRST_PART = 0x1000;
export const ASSIST_SECOND_PART = 0x2000;
