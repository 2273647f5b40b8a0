import type { LaneOperation } from '../../lane-operation.ts';
import type { InstructionDefinition } from '../../notation.ts';
import type { Semantics } from '../../semantics.ts';
import type { VectorSemantics, VectorValue } from '../../vector-semantics.ts';
import { exactDifference, exactProduct, exactQuotient, exactRoot, exactSum, type Inexact, roundedQuickly } from './exactness.ts';
import { formatOf, isScalar, LaneChecks, type Lanes } from './lane-checks.ts';
import { byLanes, constants, twins } from './rows.ts';

/** Names and encodings: mandatory prefix, suffix of the mnemonic, feature of the SSE form, size letter of memory. */
export const VARIANTS = [
  { lanes: 'f32x4', suffix: 'PS', prefix: '', feature: 'sse', width: 'x' },
  { lanes: 'f64x2', suffix: 'PD', prefix: '66 ', feature: 'sse2', width: 'x' },
  { lanes: 'f32s', suffix: 'SS', prefix: 'F3 ', feature: 'sse', width: 'd' },
  { lanes: 'f64s', suffix: 'SD', prefix: 'F2 ', feature: 'sse2', width: 'q' },
] as const;

/** Lanes in which the quick result of an operation may be wrong, though rounding is plain. */
type Doubt = (c: LaneChecks, a: VectorValue, b: VectorValue, result: VectorValue) => VectorValue;

const sums: Doubt = (c, a, b, result) => c.any(c.isDenormal(a), c.isDenormal(b), c.isNotFinite(result));

const products: Doubt = (c, a, b, result) => {
  const tiny = c.both(c.isTiny(result), c.both(c.isNotZero(a), c.isNotZero(b)));
  return c.any(sums(c, a, b, result), tiny);
};

const quotients: Doubt = (c, a, b, result) => c.any(sums(c, a, b, result), c.both(c.isTiny(result), c.isNotZero(a)));

/**
 * The result of an assist, computed quickly where no lane is in doubt, and rounding is plain or nothing is inexact. Without `inexact`,
 * nothing is rounded.
 */
function quickly(
  s: Semantics,
  name: string,
  lanes: Lanes,
  a: VectorValue,
  b: VectorValue,
  value: VectorValue,
  doubt: Doubt,
  inexact?: Inexact,
): VectorValue {
  const v = s.vector;
  const checks = new LaneChecks(v, formatOf(lanes));
  const kept = v.keep(value);
  const fine = checks.none(s, lanes, doubt(checks, a, b, kept));
  const isExact = inexact && (() => checks.none(s, lanes, inexact(checks, a, b, kept)));
  const quick = isExact ? roundedQuickly(s, kept, fine, isExact) : { value: kept, holds: fine };
  return v.assist(`${name}.${lanes}`, [a, b], undefined, quick);
}

type Binary = (s: Semantics, lanes: Lanes, a: VectorValue, b: VectorValue) => VectorValue;

const full = (lanes: Lanes): 'f32x4' | 'f64x2' => (formatOf(lanes) === 'f32' ? 'f32x4' : 'f64x2');

function binary(name: 'add' | 'sub' | 'mul' | 'div', doubt: Doubt, inexact: Inexact): Binary {
  return (s, lanes, a, b) => quickly(s, name, lanes, a, b, s.vector.lanes(`${full(lanes)}.${name}`, a, b), doubt, inexact);
}

const add = binary('add', sums, exactSum);
const sub = binary('sub', sums, exactDifference);

/** The first source only where it is less (greater): both zeros and NaNs give the second. */
function extreme(name: 'min' | 'max'): Binary {
  const doubt: Doubt = (c, a, b) => c.any(c.isDenormal(a), c.isDenormal(b), c.isNan(a), c.isNan(b));
  return (s, lanes, a, b) => {
    const operation: LaneOperation = `${full(lanes)}.p${name}`;
    return quickly(s, name, lanes, a, b, s.vector.lanes(operation, b, a), doubt);
  };
}

const root: Binary = (s, lanes, a) =>
  quickly(
    ...([s, 'sqrt', lanes, a, a, s.vector.lanes(`${full(lanes)}.sqrt`, a)] as const),
    (c, x, _, result) => c.any(c.isDenormal(x), c.isNotFinite(result)),
    exactRoot,
  );

function approximation(name: 'rcp' | 'rsqrt'): Binary {
  return (s, lanes, a) => s.vector.assist(`${name}.${lanes}`, [a]);
}

/** Definitions of an operation in some of the variants. */
function family(
  mnemonic: string,
  summary: string,
  opcode: string,
  compute: Binary,
  { count = 2, only = '', interpreted = false }: { count?: 1 | 2; only?: string; interpreted?: boolean } = {},
): InstructionDefinition[] {
  return VARIANTS.filter(({ suffix }) => suffix.endsWith(only)).flatMap(({ lanes, suffix, prefix, feature, width }) => {
    const scalar = isScalar(lanes);
    const semantics = (s: Semantics) => {
      if (scalar) s.vector.applyScalar(formatOf(lanes) === 'f32' ? 32 : 64, count, ([a, b]) => compute(s, lanes, a, b));
      else s.vector.apply(count, ([a, b]) => compute(s, lanes, a, b));
    };
    // A scalar result takes its other lanes from VEX.vvvv.
    const vex = `VEX ${prefix}${opcode} ${scalar ? 'Vo,Ho,' : count === 1 ? 'Vx,' : 'Vx,Hx,'}W${width}`;
    const legacy = `${prefix}${opcode} V${scalar ? 'o' : 'x'},W${width}`;
    return twins(`${mnemonic}${suffix}`, `${summary} (${scalar ? 'scalar' : 'packed'})`, feature, [legacy], [vex], semantics, {
      ...{ feature256: 'avx', interpreted, weight: 8 },
    });
  });
}

// --- operations between neighbours (SSE3) ---------------------------------------------------------------------------------------

const SSE3 = [
  { lanes: 'f64x2', suffix: 'PD', prefix: '66 ' },
  { lanes: 'f32x4', suffix: 'PS', prefix: 'F2 ' },
] as const;

function neighbours(mnemonic: string, summary: string, opcode: string, compute: Binary): InstructionDefinition[] {
  return SSE3.flatMap(({ lanes, suffix, prefix }) =>
    twins(
      `${mnemonic}${suffix}`,
      summary,
      'sse3',
      [`${prefix}${opcode} Vx,Wx`],
      [`VEX ${prefix}${opcode} Vx,Hx,Wx`],
      (s) => s.vector.apply(2, ([a, b]) => compute(s, lanes, a, b)),
      { feature256: 'avx', weight: 8 },
    ),
  );
}

function pairwise(operation: Binary): Binary {
  return (s, lanes, a, b) => {
    const v = s.vector;
    const [size, even, odd] =
      formatOf(lanes) === 'f32' ? ([4, [0, 2, 4, 6], [1, 3, 5, 7]] as const) : ([8, [0, 2], [1, 3]] as const);
    const firsts = v.keep(v.shuffle(a, b, byLanes(size, even)));
    return operation(s, lanes, firsts, v.keep(v.shuffle(a, b, byLanes(size, odd))));
  };
}

/** Subtracts in the even lanes, adds in the odd ones. */
const alternating: Binary = (s, lanes, a, b) => {
  const v = s.vector;
  const signs =
    formatOf(lanes) === 'f32' ? constants(v, 32, [0x8000_0000, 0, 0x8000_0000, 0]) : v.bytes([0, 0, 0, 0, 0, 0, 0, 0x80]);
  const addend = v.keep(v.lanes('v128.xor', b, signs));
  const inexact: Inexact = (c, x, _, result) => exactSum(c, x, addend, result);
  return quickly(s, 'addsub', lanes, a, b, v.lanes(`${full(lanes)}.add`, a, addend), sums, inexact);
};

/** Bits of vectors as floating-point instructions name them. */
function logic(
  mnemonic: string,
  summary: string,
  opcode: string,
  compute: (v: VectorSemantics, a: VectorValue, b: VectorValue) => VectorValue,
) {
  return VARIANTS.slice(0, 2).flatMap(({ suffix, prefix, feature }) =>
    twins(
      ...([`${mnemonic}${suffix}`, summary, feature, [`${prefix}${opcode} Vx,Wx`], [`VEX ${prefix}${opcode} Vx,Hx,Wx`]] as const),
      (s) => s.vector.apply(2, ([a, b]) => compute(s.vector, a, b)),
      { feature256: 'avx' },
    ),
  );
}

// --- rounding and dot products (SSE4.1) ------------------------------------------------------------------------------------------

/** Rounds to integers as the immediate says; bit 2: as MXCSR says, bit 3: inexactness is not noted. */
const roundByImmediate: Binary = (s, lanes, a) => {
  const v = s.vector;
  const checks = new LaneChecks(v, formatOf(lanes));
  const immediate = s.keep(v.immediate());
  const bit = (number: number) => s.and(s.shr(immediate, s.constant(number)), s.constant(1));
  const by = (operation: 'nearest' | 'floor' | 'ceil' | 'trunc') => v.lanes(`${full(lanes)}.${operation}`, a);
  const value = v.keep(v.choose(bit(1), v.choose(bit(0), by('trunc'), by('ceil')), v.choose(bit(0), by('floor'), by('nearest'))));
  const fine = s.keep(checks.none(s, lanes, checks.any(checks.isDenormal(a), checks.isNotFinite(a))));
  const quiet = s.and(bit(3), s.isZero(bit(2)));
  const holds = s.and(fine, s.or(quiet, s.and(v.roundsPlainly(), s.isZero(s.and(immediate, s.constant(4))))));
  // Whatever the rounding is, it leaves an integral value alone.
  const holdsExactly = () => s.and(fine, checks.none(s, lanes, checks.compare('ne', value, a)));
  return v.assist(`round.${lanes}`, [a], immediate, { value, holds, holdsExactly });
};

const ROUNDS = [
  ['ROUNDPS', '08', 'f32x4', 'x'],
  ['ROUNDPD', '09', 'f64x2', 'x'],
  ['ROUNDSS', '0A', 'f32s', 'd'],
  ['ROUNDSD', '0B', 'f64s', 'q'],
] as const;

const rounds = ROUNDS.flatMap(([mnemonic, opcode, lanes, width]) => {
  const scalar = isScalar(lanes);
  const semantics = (s: Semantics) => {
    if (scalar) s.vector.applyScalar(lanes === 'f32s' ? 32 : 64, 1, ([a]) => roundByImmediate(s, lanes, a, a));
    else s.vector.apply(1, ([a]) => roundByImmediate(s, lanes, a, a));
  };
  const vex = `VEX 66 0F 3A ${opcode} ${scalar ? 'Vo,Ho,' : 'Vx,'}W${width},Ib`;
  const legacy = `66 0F 3A ${opcode} V${scalar ? 'o' : 'x'},W${width},Ib`;
  return twins(mnemonic, 'Round to integral values', 'sse4_1', [legacy], [vex], semantics, { feature256: 'avx', weight: 8 });
});

function dotProduct(
  mnemonic: string,
  opcode: string,
  name: string,
  vex: string,
  feature256: string | undefined,
): InstructionDefinition[] {
  return twins(
    ...([
      mnemonic,
      'Dot product',
      'sse4_1',
      [`66 0F 3A ${opcode} Vx,Wx,Ib`],
      [`VEX 66 0F 3A ${opcode} Vx,Hx,Wx,Ib${vex}`],
    ] as const),
    (s) => s.vector.apply(2, ([a, b]) => s.vector.assist(name, [a, b], s.vector.immediate())),
    { feature256, interpreted: true },
  );
}

/** Arithmetic in floating point. */
export const floatArithmetic: readonly InstructionDefinition[] = [
  ...family('ADD', 'Add', '0F 58', add),
  ...family('MUL', 'Multiply', '0F 59', binary('mul', products, exactProduct)),
  ...family('SUB', 'Subtract', '0F 5C', sub),
  ...family('MIN', 'Minimum', '0F 5D', extreme('min')),
  ...family('DIV', 'Divide', '0F 5E', binary('div', quotients, exactQuotient)),
  ...family('MAX', 'Maximum', '0F 5F', extreme('max')),
  ...family('SQRT', 'Square root', '0F 51', root, { count: 1 }),
  ...family('RSQRT', 'Approximate reciprocal square root', '0F 52', approximation('rsqrt'), {
    count: 1,
    only: 'S',
    interpreted: true,
  }),
  ...family('RCP', 'Approximate reciprocal', '0F 53', approximation('rcp'), { count: 1, only: 'S', interpreted: true }),
  ...logic('AND', 'AND of vectors', '0F 54', (v, a, b) => v.lanes('v128.and', a, b)),
  ...logic('ANDN', 'AND of a vector with an inverted one', '0F 55', (v, a, b) => v.lanes('v128.andnot', b, a)),
  ...logic('OR', 'OR of vectors', '0F 56', (v, a, b) => v.lanes('v128.or', a, b)),
  ...logic('XOR', 'Exclusive OR of vectors', '0F 57', (v, a, b) => v.lanes('v128.xor', a, b)),
  ...neighbours('HADD', 'Add neighbouring lanes', '0F 7C', pairwise(add)),
  ...neighbours('HSUB', 'Subtract neighbouring lanes', '0F 7D', pairwise(sub)),
  ...neighbours('ADDSUB', 'Subtract in even lanes, add in odd ones', '0F D0', alternating),
  ...rounds,
  ...dotProduct('DPPS', '40', 'dpps', '', 'avx'),
  ...dotProduct('DPPD', '41', 'dppd', ' L0', undefined),
];
