import type { InstructionDefinition } from '../../notation.ts';
import type { Semantics, Value } from '../../semantics.ts';
import type { VectorValue } from '../../vector-semantics.ts';
import { VARIANTS } from './float-arithmetic.ts';
import { formatOf, isScalar, LaneChecks, type Lanes } from './lane-checks.ts';
import { twins } from './rows.ts';

/**
 * For which relations of numbers the predicates 0–31 are true, a bit for each (Intel SDM vol. 2A, table 3-1 of CMPPD): from 16 on they
 * differ from those before in what they signal.
 */
const TRUE_IF = { lt: 0x9696_9696, eq: 0xa5a5_a5a5, gt: 0xf0f0_f0f0 } as const;

function predicateMask(s: Semantics, table: number, predicate: Value): VectorValue {
  const bit = s.and(s.shr(s.constant(table >>> 0), predicate), s.constant(1));
  return s.vector.splat(64, s.sub(s.constant(0), bit));
}

function comparison(s: Semantics, lanes: Lanes, a: VectorValue, b: VectorValue): VectorValue {
  const v = s.vector;
  const checks = new LaneChecks(v, formatOf(lanes));
  const predicate = s.keep(s.and(v.immediate(), s.constant(v.isVex ? 31 : 7)));
  const when = (relation: 'lt' | 'eq' | 'gt') =>
    checks.both(checks.compare(relation, a, b), predicateMask(s, TRUE_IF[relation], predicate));
  const value = checks.any(when('lt'), when('eq'), when('gt'));
  const doubt = checks.any(checks.isNan(a), checks.isNan(b), checks.isDenormal(a), checks.isDenormal(b));
  return v.assist(`cmp.${lanes}`, [a, b], predicate, { value, holds: checks.none(s, lanes, doubt) });
}

const compares = VARIANTS.flatMap(({ lanes, suffix, prefix, feature, width }) => {
  const scalar = isScalar(lanes);
  const semantics = (s: Semantics) => {
    if (scalar) s.vector.applyScalar(formatOf(lanes) === 'f32' ? 32 : 64, 2, ([a, b]) => comparison(s, lanes, a, b));
    else s.vector.apply(2, ([a, b]) => comparison(s, lanes, a, b));
  };
  const v = scalar ? 'o' : 'x';
  return twins(
    ...([`CMP${suffix}`, 'Compare by a predicate', feature] as const),
    [`${prefix}0F C2 V${v},W${width},Ib`],
    [`VEX ${prefix}0F C2 V${v},H${v},W${width},Ib`],
    semantics,
    { feature256: 'avx', weight: 8 },
  );
});

/** Sets ZF, PF and CF as the order of two numbers says, clears the others (Intel SDM vol. 2A, COMISS). */
function ordered(mnemonic: string, opcode: string, name: 'comi' | 'ucomi'): InstructionDefinition[] {
  return (
    [
      ['SS', '', 'sse', 'd', 'f32s'],
      ['SD', '66 ', 'sse2', 'q', 'f64s'],
    ] as const
  ).flatMap(([suffix, prefix, feature, width, lanes]) => {
    const semantics = (s: Semantics) => {
      const v = s.vector;
      const checks = new LaneChecks(v, formatOf(lanes));
      const [a, b] = [v.read(0), v.read(1)];
      const bits = formatOf(lanes) === 'f32' ? 32 : 64;
      const flag = (relation: 'lt' | 'eq', bit: number) =>
        s.and(v.extract(bits, checks.compare(relation, a, b), 0), s.constant(bit));
      const value = v.insert(64, v.bytes([]), 0, s.or(flag('lt', 1), flag('eq', 0x40)));
      const doubt = checks.any(checks.isNan(a), checks.isNan(b), checks.isDenormal(a), checks.isDenormal(b));
      const result = v.assist(`${name}.${lanes}`, [a, b], undefined, { value, holds: checks.none(s, lanes, doubt) });
      const flags = s.keep(v.extract(64, result, 0));
      s.flags.set({ overflow: s.constant(0) });
      s.flags.setLow(flags);
    };
    return twins(
      ...([`${mnemonic}${suffix}`, 'Compare and set the flags', feature] as const),
      [`${prefix}${opcode} Vo,W${width}`],
      [`VEX ${prefix}${opcode} Vo,W${width}`],
      semantics,
      { flags: 'w:OSZAPC' },
    );
  });
}

/** ZF: no bit is in both; CF: no bit of the second is outside of the first. Of the signs of lanes alone, for VTESTPS and VTESTPD. */
function test(width?: 32 | 64): (s: Semantics) => void {
  return (s) => {
    const v = s.vector;
    const parts = v.length === 256 ? [0, 1] : [0];
    const any = (operation: 'and' | 'andnot') => {
      const values = parts.map((part) => v.lanes(`v128.${operation}`, v.read(1, part), v.read(0, part)));
      const all = values.reduce((one, other) => v.lanes('v128.or', one, other));
      return s.isZero(width ? v.signs(width, all) : v.anyTrue(all));
    };
    const [zero, carry] = [s.keep(any('and')), s.keep(any('andnot'))];
    s.flags.set({ overflow: s.constant(0) });
    s.flags.setLow(s.or(s.shl(zero, s.constant(6)), carry));
  };
}

const tests: InstructionDefinition[] = [
  ...twins('PTEST', 'Test bits of vectors', 'sse4_1', ['66 0F 38 17 Vx,Wx'], ['VEX 66 0F 38 17 Vx,Wx'], test(), {
    ...{ flags: 'w:OSZAPC', feature256: 'avx' },
  }),
  ...([32, 64] as const).map(
    (width): InstructionDefinition => ({
      mnemonic: width === 32 ? 'VTESTPS' : 'VTESTPD',
      summary: 'Test signs of vectors',
      forms: [`VEX 66 0F 38 ${width === 32 ? '0E' : '0F'} Vx,Wx W0`],
      ...{ flags: 'w:OSZAPC', feature: 'avx', feature256: 'avx', registers: 'avx', semantics: test(width) },
    }),
  ),
];

/** Comparisons in floating point, and tests of vectors. */
export const floatComparisons: readonly InstructionDefinition[] = [
  ...compares,
  ...ordered('UCOMI', '0F 2E', 'ucomi'),
  ...ordered('COMI', '0F 2F', 'comi'),
  ...tests,
];
