import type { InstructionDefinition } from '../../notation.ts';
import type { Semantics } from '../../semantics.ts';
import type { LaneFormat, QuickResult, VectorValue } from '../../vector-semantics.ts';
import { roundedQuickly } from './exactness.ts';
import { LaneChecks, type Lanes } from './lane-checks.ts';
import { byLanes, lanesOf, packed, twins, withMmx } from './rows.ts';

const lowest = (format: LaneFormat): Lanes => (format === 'f32' ? 'f32s' : 'f64s');

// --- general registers ------------------------------------------------------------------------------------------------------

/** CVTSI2SS and CVTSI2SD. */
function fromGeneral(format: LaneFormat): InstructionDefinition[] {
  const [suffix, prefix, feature] = format === 'f32' ? (['SS', 'F3', 'sse'] as const) : (['SD', 'F2', 'sse2'] as const);
  const semantics = (s: Semantics) => {
    const v = s.vector;
    const [source, base] = v.isVex ? [2, 1] : [1, 0];
    const size = s.operandSize(source) === 64 ? 64 : 32;
    const integer = s.keep(s.signExtend(s.read(source), size));
    const operand = v.insert(64, v.bytes([]), 0, integer);
    const value = v.fromInteger(format, integer);
    // An integer with no more bits than the significand is exact.
    const bits = format === 'f64' ? 53n : 24n;
    const isExact = () => s.lessU(s.add(integer, s.constant(1n << bits)), s.constant(2n << bits));
    const result =
      format === 'f64' && size === 32
        ? value
        : v.assist(`from${size}.${format}s`, [operand], undefined, roundedQuickly(s, value, s.constant(1), isExact));
    v.write(0, v.shuffle(v.read(base), result, format === 'f32' ? byLanes(4, [4, 1, 2, 3]) : byLanes(8, [2, 1])));
  };
  const form = `${prefix} 0F 2A`;
  const summary = 'Convert an integer to floating point';
  return twins(`CVTSI2${suffix}`, summary, feature, [`${form} Vo,Ey`], [`VEX ${form} Vo,Ho,Ey`], semantics);
}

/** The lowest lane as an integer, in 64 bits of a vector. */
function quickInteger(s: Semantics, format: LaneFormat, a: VectorValue, size: 32 | 64, truncate: boolean): QuickResult {
  const v = s.vector;
  const full = format === 'f32' ? 'f32x4' : 'f64x2';
  const checks = new LaneChecks(v, format);
  const value = s.keep(v.toInteger(format, truncate ? a : v.lanes(`${full}.nearest`, a)));
  const isNumber = checks.none(s, lowest(format), checks.any(checks.isNan(a), checks.isDenormal(a)));
  // What doesn't fit is saturated, except that 64 bits can't tell the largest number from one that is too large.
  const fits =
    size === 32
      ? s.equal(s.signExtend(value, 32), value)
      : s.lessU(s.add(value, s.constant(1n << 63n)), s.constant(0xffff_ffff_ffff_ffffn));
  const isMinimum = size === 64 ? s.equal(value, s.constant(1n << 63n)) : s.constant(0);
  const fine = s.and(isNumber, s.and(fits, s.isZero(isMinimum)));
  const isExact = () => checks.none(s, lowest(format), checks.compare('ne', v.lanes(`${full}.trunc`, a), a));
  return roundedQuickly(s, v.insert(64, v.bytes([]), 0, value), fine, isExact);
}

/** CVTSS2SI and its like. */
function toGeneral(format: LaneFormat, truncate: boolean): InstructionDefinition[] {
  const [suffix, prefix, feature, width] =
    format === 'f32' ? (['SS', 'F3', 'sse', 'd'] as const) : (['SD', 'F2', 'sse2', 'q'] as const);
  const semantics = (s: Semantics) => {
    const v = s.vector;
    const size = s.operandSize(0) === 64 ? 64 : 32;
    const a = v.read(1);
    const quick = quickInteger(s, format, a, size, truncate);
    const name = `to${size}${truncate ? 't' : ''}.${format}s`;
    const result = v.assist(name, [a], undefined, quick);
    s.write(0, v.extract(64, result, 0));
  };
  const form = `${prefix} 0F ${truncate ? '2C' : '2D'} Gy,W${width}`;
  const mnemonic = `CVT${truncate ? 'T' : ''}${suffix}2SI`;
  return twins(mnemonic, 'Convert floating point to an integer', feature, [form], [`VEX ${form}`], semantics);
}

// --- between the formats ------------------------------------------------------------------------------------------------------

const widenDoubt = (checks: LaneChecks, a: VectorValue) => checks.any(checks.isNan(a), checks.isDenormal(a));

function narrowDoubt(
  source: LaneChecks,
  target: LaneChecks,
  a: VectorValue,
  result: VectorValue,
): { source: VectorValue; target: VectorValue } {
  return {
    source: source.any(
      source.isDenormal(a),
      source.isNotFinite(a),
      source.both(source.isNotZero(a), source.compare('lt', source.abs(a), source.constant(0x3820_0000_0000_0000n))),
    ),
    target: target.isNotFinite(result),
  };
}

/** The lanes that singles don't hold exactly. */
const isNarrowed = (source: LaneChecks, a: VectorValue, result: VectorValue) =>
  source.compare('ne', source.v.lanes('f64x2.promote_low_f32x4', result), a);

const singleToDouble = (s: Semantics) => {
  const v = s.vector;
  v.applyScalar(64, 1, ([a]) => {
    const checks = new LaneChecks(v, 'f32');
    const value = v.lanes('f64x2.promote_low_f32x4', a);
    return v.assist('widen.f32s', [a], undefined, { value, holds: checks.none(s, 'f32s', widenDoubt(checks, a)) });
  });
};

const doubleToSingle = (s: Semantics) => {
  const v = s.vector;
  v.applyScalar(32, 1, ([a]) => {
    const [source, target] = [new LaneChecks(v, 'f64'), new LaneChecks(v, 'f32')];
    const value = v.keep(v.lanes('f32x4.demote_f64x2_zero', a));
    const doubt = narrowDoubt(source, target, a, value);
    const fine = s.and(source.none(s, 'f64s', doubt.source), target.none(s, 'f32s', doubt.target));
    const isExact = () => source.none(s, 'f64s', isNarrowed(source, a, value));
    return v.assist('narrow.f64s', [a], undefined, roundedQuickly(s, value, fine, isExact));
  });
};

/** Two singles to two doubles. */
function widenPair(s: Semantics, a: VectorValue): VectorValue {
  const v = s.vector;
  const checks = new LaneChecks(v, 'f32');
  // The upper lanes may hold anything.
  const pair = v.keep(v.shuffle(a, v.bytes([]), byLanes(8, [0, 2])));
  const value = v.lanes('f64x2.promote_low_f32x4', pair);
  return v.assist('f32x2.f64x2', [pair], undefined, { value, holds: checks.none(s, 'f32x4', widenDoubt(checks, pair)) });
}

/** Two doubles to two singles, the upper half 0. */
function narrowPair(s: Semantics, a: VectorValue): VectorValue {
  const v = s.vector;
  const [source, target] = [new LaneChecks(v, 'f64'), new LaneChecks(v, 'f32')];
  const value = v.keep(v.lanes('f32x4.demote_f64x2_zero', a));
  const doubt = narrowDoubt(source, target, a, value);
  const fine = s.and(source.none(s, 'f64x2', doubt.source), target.none(s, 'f32x4', doubt.target));
  const isExact = () => source.none(s, 'f64x2', isNarrowed(source, a, value));
  return v.assist('f64x2.f32x2', [a], undefined, roundedQuickly(s, value, fine, isExact));
}

// --- between vectors of integers and of numbers -----------------------------------------------------------------------------------

function integersToSingles(s: Semantics, a: VectorValue): VectorValue {
  const v = s.vector;
  const value = v.lanes('f32x4.convert_i32x4_s', a);
  // Magnitudes that fit in the significand; the least number has none.
  const large = v.lanes('i32x4.gt_s', v.lanes('i32x4.abs', a), lanesOf(v, 32, 1n << 24n));
  const isLeast = v.lanes('i32x4.eq', a, lanesOf(v, 32, 1n << 31n));
  const isExact = () => s.isZero(v.anyTrue(v.lanes('v128.or', large, isLeast)));
  return v.assist('i32.f32x4', [a], undefined, roundedQuickly(s, value, s.constant(1), isExact));
}

const integersToDoubles = (s: Semantics, a: VectorValue) => s.vector.lanes('f64x2.convert_low_i32x4_s', a);

function singlesToIntegers(s: Semantics, a: VectorValue, truncate: boolean): VectorValue {
  const v = s.vector;
  const checks = new LaneChecks(v, 'f32');
  const value = v.keep(v.lanes('i32x4.trunc_sat_f32x4_s', truncate ? a : v.lanes('f32x4.nearest', a)));
  // 2 to the 31st and what is above don't fit.
  const fits = checks.compare('lt', checks.abs(a), checks.constant(0x4f00_0000n));
  const doubt = checks.any(checks.not(fits), checks.isDenormal(a));
  const isExact = () => checks.none(s, 'f32x4', checks.compare('ne', v.lanes('f32x4.trunc', a), a));
  const quick = roundedQuickly(s, value, checks.none(s, 'f32x4', doubt), isExact);
  return v.assist(`f32x4.i32${truncate ? 't' : ''}`, [a], undefined, quick);
}

/** Two doubles to two integers, the upper half 0. */
function doublesToIntegers(s: Semantics, a: VectorValue, truncate: boolean): VectorValue {
  const v = s.vector;
  const checks = new LaneChecks(v, 'f64');
  const value = v.keep(v.lanes('i32x4.trunc_sat_f64x2_s_zero', truncate ? a : v.lanes('f64x2.nearest', a)));
  // Up to 2 to the 31st less 1, so that no rounding goes beyond.
  const fits = checks.compare('lt', checks.abs(a), checks.constant(0x41df_ffff_ffc0_0000n));
  const doubt = checks.any(checks.not(fits), checks.isDenormal(a));
  const isExact = () => checks.none(s, 'f64x2', checks.compare('ne', v.lanes('f64x2.trunc', a), a));
  const quick = roundedQuickly(s, value, checks.none(s, 'f64x2', doubt), isExact);
  return v.assist(`f64x2.i32${truncate ? 't' : ''}`, [a], undefined, quick);
}

type Half = (s: Semantics, a: VectorValue) => VectorValue;

/** From half as many bytes: each part of the result from half a part of the source. */
function widening(mnemonic: string, summary: string, encoding: string, work: Half): InstructionDefinition[] {
  const semantics = (s: Semantics) => {
    const v = s.vector;
    const source = v.read(1);
    const low = work(s, source);
    v.write(0, ...(v.length === 256 ? [low, work(s, v.keep(v.shuffle(source, source, byLanes(8, [1, 1]))))] : [low]));
  };
  return twins(mnemonic, summary, 'sse2', [`${encoding} Vx,Wh`], [`VEX ${encoding} Vx,Wh`], semantics, {
    feature256: 'avx',
    weight: 8,
  });
}

/** To half as many bytes. */
function narrowing(mnemonic: string, summary: string, encoding: string, work: Half): InstructionDefinition[] {
  const semantics = (s: Semantics) => {
    const v = s.vector;
    const low = work(s, v.read(1));
    v.write(0, v.length === 256 ? v.shuffle(low, work(s, v.read(1, 1)), byLanes(8, [0, 2])) : low);
  };
  return twins(mnemonic, summary, 'sse2', [`${encoding} Vx,Wx`], [`VEX ${encoding} Vx,Wx`], semantics, {
    feature256: 'avx',
    weight: 8,
  });
}

function lanewise(mnemonic: string, summary: string, prefix: '' | '66 ' | 'F3 ', work: Half): InstructionDefinition[] {
  return packed({
    ...{ mnemonic, summary, opcode: '0F 5B', prefix, sse: 'sse2', avx256: 'avx', unary: true },
    compute: (_v, a, _b, s) => work(s, a),
  });
}

// --- MMX registers ---------------------------------------------------------------------------------------------------------------

const mmx = { registers: 'mmx' } as const;

/** Two integers of an MMX register or memory to numbers: CVTPI2PS keeps the upper half, CVTPI2PD takes MMX registers only if named. */
const fromMmx: InstructionDefinition[] = [
  {
    ...{ mnemonic: 'CVTPI2PS', summary: 'Convert two integers to singles', forms: ['0F 2A Vo,Qq'], feature: 'sse', ...mmx },
    semantics: withMmx((s) => {
      const v = s.vector;
      v.write(0, v.shuffle(integersToSingles(s, v.read(1)), v.read(0), byLanes(8, [0, 3])));
    }),
  },
  {
    ...{ mnemonic: 'CVTPI2PD', summary: 'Convert two integers to doubles', forms: ['66 0F 2A Vo,Nq'], feature: 'sse2', ...mmx },
    semantics: withMmx((s) => s.vector.write(0, integersToDoubles(s, s.vector.read(1)))),
  },
  {
    ...{ mnemonic: 'CVTPI2PD', summary: 'Convert two integers to doubles', forms: ['66 0F 2A Vo,Mq'], feature: 'sse2' },
    ...{ registers: 'sse', semantics: (s) => s.vector.write(0, integersToDoubles(s, s.vector.read(1))) },
  },
];

const toMmx: InstructionDefinition[] = [false, true].flatMap((truncate): InstructionDefinition[] => {
  const opcode = truncate ? '0F 2C' : '0F 2D';
  const t = truncate ? 'T' : '';
  return [
    {
      ...{
        mnemonic: `CVT${t}PS2PI`,
        summary: 'Convert two singles to integers',
        forms: [`${opcode} Kq,Wq`],
        feature: 'sse',
        ...mmx,
      },
      semantics: withMmx((s) => {
        const v = s.vector;
        const pair = v.keep(v.shuffle(v.read(1), v.bytes([]), byLanes(8, [0, 2])));
        v.write(0, singlesToIntegers(s, pair, truncate));
      }),
    },
    {
      ...{
        mnemonic: `CVT${t}PD2PI`,
        summary: 'Convert two doubles to integers',
        forms: [`66 ${opcode} Kq,Wo`],
        feature: 'sse2',
        ...mmx,
      },
      semantics: withMmx((s) => s.vector.write(0, doublesToIntegers(s, s.vector.read(1), truncate))),
    },
  ];
});

// --- halves (F16C) ------------------------------------------------------------------------------------------------------------------

const halves: InstructionDefinition[] = [
  {
    ...{ mnemonic: 'VCVTPH2PS', summary: 'Convert half precision to singles', forms: ['VEX 66 0F 38 13 Vx,Wh W0'] },
    ...{ feature: 'f16c', registers: 'avx', interpreted: true },
    semantics: (s) => {
      const v = s.vector;
      const source = v.read(1);
      const low = v.assist('f16x4.f32x4', [source]);
      v.write(0, ...(v.length === 256 ? [low, v.assist('f16x4.f32x4', [v.shuffle(source, source, byLanes(8, [1, 1]))])] : [low]));
    },
  },
  {
    ...{ mnemonic: 'VCVTPS2PH', summary: 'Convert singles to half precision', forms: ['VEX 66 0F 3A 1D Wh,Vx,Ib W0'] },
    ...{ feature: 'f16c', registers: 'avx', interpreted: true, varies: ['address'] },
    semantics: (s) => {
      const v = s.vector;
      // Faults of a store come before MXCSR has changed.
      if (s.isMemory(0)) v.requireWritable(0);
      const low = v.assist('f32x4.f16x4', [v.read(1)], v.immediate());
      if (v.length === 128) v.write(0, low);
      else v.write(0, v.shuffle(low, v.assist('f32x4.f16x4', [v.read(1, 1)], v.immediate()), byLanes(8, [0, 2])));
    },
  },
];

/** Conversions between integers and the formats of floating point. */
export const floatConversions: readonly InstructionDefinition[] = [
  ...fromGeneral('f32'),
  ...fromGeneral('f64'),
  ...toGeneral('f32', false),
  ...toGeneral('f64', false),
  ...toGeneral('f32', true),
  ...toGeneral('f64', true),
  ...twins('CVTSS2SD', 'Convert a single to a double', 'sse2', ['F3 0F 5A Vo,Wd'], ['VEX F3 0F 5A Vo,Ho,Wd'], singleToDouble),
  ...twins('CVTSD2SS', 'Convert a double to a single', 'sse2', ['F2 0F 5A Vo,Wq'], ['VEX F2 0F 5A Vo,Ho,Wq'], doubleToSingle),
  ...widening('CVTPS2PD', 'Convert singles to doubles', '0F 5A', widenPair),
  ...narrowing('CVTPD2PS', 'Convert doubles to singles', '66 0F 5A', narrowPair),
  ...lanewise('CVTDQ2PS', 'Convert integers to singles', '', integersToSingles),
  ...lanewise('CVTPS2DQ', 'Convert singles to integers', '66 ', (s, a) => singlesToIntegers(s, a, false)),
  ...lanewise('CVTTPS2DQ', 'Convert singles to integers, truncated', 'F3 ', (s, a) => singlesToIntegers(s, a, true)),
  ...widening('CVTDQ2PD', 'Convert integers to doubles', 'F3 0F E6', integersToDoubles),
  ...narrowing('CVTPD2DQ', 'Convert doubles to integers', 'F2 0F E6', (s, a) => doublesToIntegers(s, a, false)),
  ...narrowing('CVTTPD2DQ', 'Convert doubles to integers, truncated', '66 0F E6', (s, a) => doublesToIntegers(s, a, true)),
  ...fromMmx,
  ...toMmx,
  ...halves,
];
