import type { InstructionDefinition } from '../../notation.ts';
import type { Semantics } from '../../semantics.ts';
import type { VectorValue } from '../../vector-semantics.ts';
import { roundedQuickly } from './exactness.ts';
import { quickDoubles, quickSingles } from './fused-quick.ts';
import type { Lanes } from './lane-checks.ts';
import { byLanes, constants } from './rows.ts';

const OPERATIONS = [
  ['FMADD', 0x98, 'fmadd', 'Multiply and add, rounded once'],
  ['FMSUB', 0x9a, 'fmsub', 'Multiply and subtract, rounded once'],
  ['FNMADD', 0x9c, 'fnmadd', 'Multiply, negate and add, rounded once'],
  ['FNMSUB', 0x9e, 'fnmsub', 'Multiply, negate and subtract, rounded once'],
] as const;

const ALTERNATING = [
  ['FMADDSUB', 0x96, 'fmaddsub', 'Multiply, then subtract in even lanes and add in odd ones'],
  ['FMSUBADD', 0x97, 'fmsubadd', 'Multiply, then add in even lanes and subtract in odd ones'],
] as const;

/** The orders of the operands: which two are multiplied, and which is added. */
const ORDERS = [
  ['132', 0x00, [0, 2, 1]],
  ['213', 0x10, [1, 0, 2]],
  ['231', 0x20, [1, 2, 0]],
] as const;

/** Which lanes have their signs changed before: of the product, and of the addend. */
const SIGNS: Readonly<Record<string, { readonly product: boolean; readonly addend: 'none' | 'all' | 'even' | 'odd' }>> = {
  fmadd: { product: false, addend: 'none' },
  fmsub: { product: false, addend: 'all' },
  fnmadd: { product: true, addend: 'none' },
  fnmsub: { product: true, addend: 'all' },
  fmaddsub: { product: false, addend: 'even' },
  fmsubadd: { product: false, addend: 'odd' },
};

/** The assist, with a quick way. */
function rounded(s: Semantics, assist: string, lanes: Lanes, operands: readonly VectorValue[]): VectorValue {
  const v = s.vector;
  const [a = v.bytes([]), b = a, c = a] = operands;
  const width = lanes.startsWith('f32') ? 32 : 64;
  const { product = false, addend = 'none' } = SIGNS[assist] ?? {};
  const mask = (which: 'all' | 'even' | 'odd') =>
    constants(
      v,
      width,
      Array.from({ length: 128 / width }, (_, lane) =>
        which === 'all' || (lane % 2 === 0) === (which === 'even') ? -(2 ** (width - 1)) : 0,
      ),
    );
  const flipped = (value: VectorValue, which: 'none' | 'all' | 'even' | 'odd') =>
    which === 'none' ? value : v.keep(v.lanes('v128.xor', value, mask(which)));
  const quick = width === 32 ? quickSingles : quickDoubles;
  const { value, fine, isExact } = quick(s, lanes, flipped(a, product ? 'all' : 'none'), b, flipped(c, addend));
  return v.assist(`${assist}.${lanes}`, [a, b, c], undefined, roundedQuickly(s, value, fine, isExact));
}

function fused(name: string, opcode: number, assist: string, summary: string, scalar: boolean): InstructionDefinition[] {
  return ORDERS.flatMap(([order, offset, indices]) =>
    (['f32', 'f64'] as const).map((format): InstructionDefinition => {
      const single = format === 'f32';
      const lanes: Lanes = `${format}${scalar ? 's' : single ? 'x4' : 'x2'}` as Lanes;
      const compute = (s: Semantics, sources: readonly VectorValue[]) => {
        const operands = indices.map((index) => sources[index] ?? s.vector.bytes([]));
        return rounded(s, assist, lanes, operands);
      };
      const code = (opcode + offset + (scalar ? 1 : 0)).toString(16).toUpperCase();
      const w = single ? 'W0' : 'W1';
      return {
        mnemonic: `V${name}${order}${scalar ? 'S' : 'P'}${single ? 'S' : 'D'}`,
        summary,
        forms: [`VEX 66 0F 38 ${code} ${scalar ? `Vo,Ho,W${single ? 'd' : 'q'}` : 'Vx,Hx,Wx'} ${w}`],
        ...{ feature: 'fma', registers: 'avx', weight: 20 },
        semantics: (s) => {
          const v = s.vector;
          if (!scalar) return v.apply(3, (sources) => compute(s, sources));
          // The other lanes stay those of the destination.
          const sources = [v.read(0), v.read(1), v.read(2)];
          const rest = sources[0] ?? v.bytes([]);
          v.write(0, v.shuffle(rest, compute(s, sources), single ? byLanes(4, [4, 1, 2, 3]) : byLanes(8, [2, 1])));
        },
      };
    }),
  );
}

/** Products and sums with one rounding (FMA). */
export const fusedArithmetic: readonly InstructionDefinition[] = [
  ...OPERATIONS.flatMap(([name, opcode, assist, summary]) => [
    ...fused(name, opcode, assist, summary, false),
    ...fused(name, opcode, assist, summary, true),
  ]),
  ...ALTERNATING.flatMap(([name, opcode, assist, summary]) => fused(name, opcode, assist, summary, false)),
];
