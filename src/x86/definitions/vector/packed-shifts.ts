import type { InstructionDefinition } from '../../notation.ts';
import type { Semantics, Value } from '../../semantics.ts';
import type { VectorSemantics, VectorValue } from '../../vector-semantics.ts';
import { together } from './packed-arithmetic.ts';
import { iota, lanesOf, packed, twins, withMmx } from './rows.ts';

type Kind = 'shl' | 'shr_s' | 'shr_u';
interface Shift {
  readonly mnemonic: string;
  readonly width: 16 | 32 | 64;
  readonly kind: Kind;
  /** Opcode of the form with a count in a register, group and digit of that with an immediate. */
  readonly opcode: string;
  readonly group: string;
}

const NAMES = { 16: 'words', 32: 'doublewords', 64: 'quadwords' } as const;
const DIRECTIONS = { shl: 'left', shr_s: 'right, keeping signs', shr_u: 'right' } as const;

const shifts: readonly Shift[] = [
  { mnemonic: 'PSLLW', width: 16, kind: 'shl', opcode: '0F F1', group: '0F 71/6' },
  { mnemonic: 'PSLLD', width: 32, kind: 'shl', opcode: '0F F2', group: '0F 72/6' },
  { mnemonic: 'PSLLQ', width: 64, kind: 'shl', opcode: '0F F3', group: '0F 73/6' },
  { mnemonic: 'PSRLW', width: 16, kind: 'shr_u', opcode: '0F D1', group: '0F 71/2' },
  { mnemonic: 'PSRLD', width: 32, kind: 'shr_u', opcode: '0F D2', group: '0F 72/2' },
  { mnemonic: 'PSRLQ', width: 64, kind: 'shr_u', opcode: '0F D3', group: '0F 73/2' },
  { mnemonic: 'PSRAW', width: 16, kind: 'shr_s', opcode: '0F E1', group: '0F 71/4' },
  { mnemonic: 'PSRAD', width: 32, kind: 'shr_s', opcode: '0F E2', group: '0F 72/4' },
];

/** Shifts lanes by any count: beyond their width nothing stays but signs. */
function shiftLanes(s: Semantics, { width, kind }: Shift, value: VectorValue, count: Value): VectorValue {
  const v = s.vector;
  const fits = s.lessU(count, s.constant(width));
  if (kind === 'shr_s') return v.shift(width, kind, value, s.select(fits, count, s.constant(width - 1)));
  return v.choose(fits, v.shift(width, kind, value, count), v.bytes([]));
}

function byRegister(shift: Shift): InstructionDefinition[] {
  const { mnemonic, opcode, width, kind } = shift;
  const summary = `Shift packed ${NAMES[width]} ${DIRECTIONS[kind]}`;
  const semantics = (s: Semantics) => {
    const v = s.vector;
    const [source, counter] = v.isVex ? [1, 2] : [0, 1];
    const count = s.keep(v.extract(64, v.read(counter), 0));
    const parts = v.length === 256 ? [0, 1] : [0];
    v.write(0, ...parts.map((part) => shiftLanes(s, shift, v.read(source, part), count)));
  };
  return [
    { mnemonic, summary, forms: [`${opcode} Kq,Qq`], feature: 'mmx', registers: 'mmx', semantics: withMmx(semantics) },
    ...twins(mnemonic, summary, 'sse2', [`66 ${opcode} Vx,Wo`], [`VEX 66 ${opcode} Vx,Hx,Wo`], semantics, { feature256: 'avx2' }),
  ];
}

function byImmediate(shift: Shift): InstructionDefinition[] {
  const { mnemonic, group, width, kind } = shift;
  const summary = `Shift packed ${NAMES[width]} ${DIRECTIONS[kind]}`;
  const semantics = (s: Semantics) => {
    const v = s.vector;
    const count = s.keep(v.immediate());
    v.apply(1, ([source]) => shiftLanes(s, shift, source, count));
  };
  return [
    { mnemonic, summary, forms: [`${group} Nq,Ib`], feature: 'mmx', registers: 'mmx', semantics: withMmx(semantics) },
    ...twins(mnemonic, summary, 'sse2', [`66 ${group} Ux,Ib`], [`VEX 66 ${group} Hx,Ux,Ib`], semantics, { feature256: 'avx2' }),
  ];
}

/** Byte shifts of whole 128-bit parts. */
function bytewise(mnemonic: string, group: string, left: boolean): InstructionDefinition[] {
  const indices = (s: Semantics, v: VectorSemantics): VectorValue => {
    const count = v.immediate();
    // Indices from 16 on give 0.
    if (!left) return v.lanes('i8x16.add_sat_u', iota(v), v.splat(8, count));
    return v.lanes('i8x16.sub', iota(v), v.splat(8, s.select(s.lessU(count, s.constant(16)), count, s.constant(16))));
  };
  const semantics = (s: Semantics) =>
    s.vector.apply(1, ([source]) => s.vector.lanes('i8x16.swizzle', source, indices(s, s.vector)));
  const summary = `Shift 128-bit lanes ${left ? 'left' : 'right'} by bytes`;
  return twins(mnemonic, summary, 'sse2', [`66 ${group} Ux,Ib`], [`VEX 66 ${group} Hx,Ux,Ib`], semantics, { feature256: 'avx2' });
}

/** Each lane by a count of its own (AVX2). */
function variable(mnemonic: string, opcode: string, width: 32 | 64, kind: Kind): InstructionDefinition {
  return {
    mnemonic,
    summary: `Shift packed ${NAMES[width]} ${DIRECTIONS[kind]}, each by a count of its own`,
    forms: [`VEX 66 ${opcode} Vx,Hx,Wx ${width === 64 ? 'W1' : 'W0'}`],
    feature: 'avx2',
    registers: 'avx',
    semantics: (s) =>
      s.vector.apply(2, ([value, counts]) => {
        const v = s.vector;
        let result = value;
        for (let lane = 0; lane < 128 / width; lane++) {
          const count = v.extract(width, counts, lane);
          const fits = s.lessU(count, s.constant(width));
          const item = v.extract(width, value, lane);
          const shifted =
            kind === 'shr_s'
              ? s.sar(s.signExtend(item, 32), s.select(fits, count, s.constant(31)))
              : s.select(fits, (kind === 'shl' ? s.shl : s.shr).call(s, item, count), s.constant(0));
          result = v.insert(width, result, lane, shifted);
        }
        return result;
      }),
  };
}

/** Shifts of packed lanes and of whole vectors. */
export const packedShifts: readonly InstructionDefinition[] = [
  ...shifts.flatMap(byRegister),
  ...shifts.flatMap(byImmediate),
  ...bytewise('PSRLDQ', '0F 73/3', false),
  ...bytewise('PSLLDQ', '0F 73/7', true),
  variable('VPSLLVD', '0F 38 47', 32, 'shl'),
  variable('VPSLLVQ', '0F 38 47', 64, 'shl'),
  variable('VPSRLVD', '0F 38 45', 32, 'shr_u'),
  variable('VPSRLVQ', '0F 38 45', 64, 'shr_u'),
  variable('VPSRAVD', '0F 38 46', 32, 'shr_s'),
  ...packed({
    ...{ mnemonic: 'PALIGNR', summary: 'Take bytes out of two vectors one behind the other', opcode: '0F 3A 0F' },
    ...{ mmx: 'ssse3', sse: 'ssse3', immediate: true },
    compute: (v, a, b) => {
      const indices = v.keep(v.lanes('i8x16.add_sat_u', iota(v), v.splat(8, v.immediate())));
      if (v.length === 64) return v.lanes('i8x16.swizzle', together(v, b, a), indices);
      const upper = v.lanes('i8x16.sub', indices, lanesOf(v, 8, 16n));
      return v.lanes('v128.or', v.lanes('i8x16.swizzle', b, indices), v.lanes('i8x16.swizzle', a, upper));
    },
  }),
];
