import type { FormText, InstructionDefinition } from '../../notation.ts';
import type { Semantics, Value } from '../../semantics.ts';
import type { VectorValue } from '../../vector-semantics.ts';
import { byLanes, lanesOf } from './rows.ts';
import { doublewordIndices } from './shuffles.ts';

type Feature = 'avx' | 'avx2';

function vex(
  mnemonic: string,
  summary: string,
  feature: Feature,
  forms: readonly FormText[],
  semantics: (s: Semantics) => void,
  more: Partial<InstructionDefinition> = {},
): InstructionDefinition {
  return { mnemonic, summary, forms, feature, registers: 'avx', ...more, semantics };
}

const parts = (s: Semantics): number[] => (s.vector.length === 256 ? [0, 1] : [0]);
const bit = (s: Semantics, value: Value, number: number): Value => s.and(s.shr(value, s.constant(number)), s.constant(1));

// --- broadcasts -----------------------------------------------------------------------------------------------------------------

/** The lowest `bytes` of the source everywhere. */
function broadcast(bytes: 1 | 2 | 4 | 8 | 16): (s: Semantics) => void {
  return (s) => {
    const source = s.vector.read(1);
    const indices = Array.from({ length: 16 }, (_, index) => index % bytes);
    const all = s.vector.keep(s.vector.shuffle(source, source, indices));
    s.vector.write(0, ...parts(s).map(() => all));
  };
}

const broadcasts: InstructionDefinition[] = [
  vex('VBROADCASTSS', 'A single everywhere', 'avx', ['VEX 66 0F 38 18 Vx,Md W0'], broadcast(4)),
  vex('VBROADCASTSS', 'A single everywhere', 'avx2', ['VEX 66 0F 38 18 Vx,Ud W0'], broadcast(4)),
  vex('VBROADCASTSD', 'A double everywhere', 'avx', ['VEX 66 0F 38 19 Vx,Mq L1 W0'], broadcast(8)),
  vex('VBROADCASTSD', 'A double everywhere', 'avx2', ['VEX 66 0F 38 19 Vx,Uq L1 W0'], broadcast(8)),
  vex('VBROADCASTF128', 'A 128-bit part twice', 'avx', ['VEX 66 0F 38 1A Vx,Mo L1 W0'], broadcast(16)),
  vex('VBROADCASTI128', 'A 128-bit part twice', 'avx2', ['VEX 66 0F 38 5A Vx,Mo L1 W0'], broadcast(16)),
  vex('VPBROADCASTB', 'A byte everywhere', 'avx2', ['VEX 66 0F 38 78 Vx,Wb W0'], broadcast(1)),
  vex('VPBROADCASTW', 'A word everywhere', 'avx2', ['VEX 66 0F 38 79 Vx,Ww W0'], broadcast(2)),
  vex('VPBROADCASTD', 'A doubleword everywhere', 'avx2', ['VEX 66 0F 38 58 Vx,Wd W0'], broadcast(4)),
  vex('VPBROADCASTQ', 'A quadword everywhere', 'avx2', ['VEX 66 0F 38 59 Vx,Wq W0'], broadcast(8)),
];

// --- 128-bit parts ----------------------------------------------------------------------------------------------------------------

const insertPart = (s: Semantics) => {
  const v = s.vector;
  const inserted = v.read(2);
  const high = s.keep(bit(s, v.immediate(), 0));
  v.write(0, v.choose(high, v.read(1, 0), inserted), v.choose(high, inserted, v.read(1, 1)));
};

const extractPart = (s: Semantics) => {
  const v = s.vector;
  v.write(0, v.choose(bit(s, v.immediate(), 0), v.read(1, 1), v.read(1, 0)));
};

/** Each part of the result is one of four, or 0. */
const permuteParts = (s: Semantics) => {
  const v = s.vector;
  const immediate = s.keep(v.immediate());
  const sources = [v.read(1, 0), v.read(1, 1), v.read(2, 0), v.read(2, 1)] as const;
  const select = (shift: number) => {
    const [low, high] = [bit(s, immediate, shift), bit(s, immediate, shift + 1)];
    const chosen = v.choose(high, v.choose(low, sources[3], sources[2]), v.choose(low, sources[1], sources[0]));
    return v.choose(bit(s, immediate, shift + 3), v.bytes([]), chosen);
  };
  v.write(0, select(0), select(4));
};

const partMoves: InstructionDefinition[] = (['F', 'I'] as const).flatMap((kind) => {
  const feature = kind === 'F' ? 'avx' : 'avx2';
  const [permute, insert, extract] = kind === 'F' ? ['06', '18', '19'] : ['46', '38', '39'];
  return [
    vex(
      `VPERM2${kind}128`,
      'Choose 128-bit parts of two vectors',
      feature,
      [`VEX 66 0F 3A ${permute} Vx,Hx,Wx,Ib L1 W0`],
      permuteParts,
    ),
    vex(`VINSERT${kind}128`, 'Replace a 128-bit part', feature, [`VEX 66 0F 3A ${insert} Vx,Hx,Wo,Ib L1 W0`], insertPart),
    vex(`VEXTRACT${kind}128`, 'Extract a 128-bit part', feature, [`VEX 66 0F 3A ${extract} Wo,Vx,Ib L1 W0`], extractPart),
  ];
});

// --- permutations --------------------------------------------------------------------------------------------------------------------

/** Lanes of 32 bits within 128, by two bits of each lane of the second source. */
function indicesWithin(s: Semantics, control: VectorValue): VectorValue {
  const v = s.vector;
  const chosen = v.lanes('v128.and', control, lanesOf(v, 32, 3n));
  return v.lanes('i32x4.add', v.lanes('i32x4.mul', chosen, lanesOf(v, 32, 0x0404_0404n)), lanesOf(v, 32, 0x0302_0100n));
}

/** One of the two doubles of a part, by bit 1 of each lane of the control. */
function doublesBy(s: Semantics, a: VectorValue, control: VectorValue): VectorValue {
  const v = s.vector;
  const high = v.lanes('i64x2.neg', v.lanes('v128.and', v.shiftBy(64, 'shr_u', control, 1), lanesOf(v, 64, 1n)));
  return v.lanes('v128.bitselect', v.shuffle(a, a, byLanes(8, [1, 1])), v.shuffle(a, a, byLanes(8, [0, 0])), high);
}

/** Quadwords of 256 bits by two bits each of the immediate. */
const permuteQuadwords = (s: Semantics) => {
  const v = s.vector;
  const immediate = s.keep(v.immediate());
  const quadwords = [0, 1, 2, 3].map((lane) => s.keep(v.extract(64, v.read(1, lane >> 1), lane & 1)));
  const [a = s.constant(0), b = a, c = a, d = a] = quadwords;
  const select = (lane: number) => {
    const [low, high] = [bit(s, immediate, lane * 2), bit(s, immediate, lane * 2 + 1)];
    return s.select(high, s.select(low, d, c), s.select(low, b, a));
  };
  const pair = (first: number) => v.insert(64, v.splat(64, select(first)), 1, select(first + 1));
  v.write(0, pair(0), pair(2));
};

/** Doublewords of 256 bits by three bits of each lane of the first source. */
const permuteDoublewords = (s: Semantics) => {
  const v = s.vector;
  const [low, high] = [v.read(2, 0), v.read(2, 1)];
  const one = (control: VectorValue) => {
    const indices = v.keep(indicesWithin(s, control));
    const isHigh = v.lanes('i32x4.neg', v.lanes('v128.and', v.shiftBy(32, 'shr_u', control, 2), lanesOf(v, 32, 1n)));
    return v.lanes('v128.bitselect', v.lanes('i8x16.swizzle', high, indices), v.lanes('i8x16.swizzle', low, indices), isHigh);
  };
  v.write(0, one(v.read(1, 0)), one(v.read(1, 1)));
};

const permutations: InstructionDefinition[] = [
  vex('VPERMILPS', 'Permute singles within 128 bits', 'avx', ['VEX 66 0F 3A 04 Vx,Wx,Ib W0'], (s) =>
    s.vector.apply(1, ([a]) => s.vector.lanes('i8x16.swizzle', a, doublewordIndices(s.vector, s.vector.immediate()))),
  ),
  vex('VPERMILPS', 'Permute singles within 128 bits', 'avx', ['VEX 66 0F 38 0C Vx,Hx,Wx W0'], (s) =>
    s.vector.apply(2, ([a, control]) => s.vector.lanes('i8x16.swizzle', a, indicesWithin(s, control))),
  ),
  vex('VPERMILPD', 'Permute doubles within 128 bits', 'avx', ['VEX 66 0F 3A 05 Vx,Wx,Ib W0'], (s) =>
    s.vector.apply(1, ([a], part) => {
      const v = s.vector;
      const bits = [0, 1].map((lane) => s.shl(bit(s, v.immediate(), part * 2 + lane), s.constant(1)));
      return doublesBy(s, a, v.insert(64, v.splat(64, bits[0] ?? s.constant(0)), 1, bits[1] ?? s.constant(0)));
    }),
  ),
  vex('VPERMILPD', 'Permute doubles within 128 bits', 'avx', ['VEX 66 0F 38 0D Vx,Hx,Wx W0'], (s) =>
    s.vector.apply(2, ([a, control]) => doublesBy(s, a, control)),
  ),
  vex('VPERMQ', 'Permute quadwords', 'avx2', ['VEX 66 0F 3A 00 Vx,Wx,Ib L1 W1'], permuteQuadwords),
  vex('VPERMPD', 'Permute doubles', 'avx2', ['VEX 66 0F 3A 01 Vx,Wx,Ib L1 W1'], permuteQuadwords),
  vex('VPERMD', 'Permute doublewords', 'avx2', ['VEX 66 0F 38 36 Vx,Hx,Wx L1 W0'], permuteDoublewords),
  vex('VPERMPS', 'Permute singles', 'avx2', ['VEX 66 0F 38 16 Vx,Hx,Wx L1 W0'], permuteDoublewords),
];

// --- masked moves and gathers -----------------------------------------------------------------------------------------------------------

/** An offset in the operand's segment, some bytes behind another. */
function behind(s: Semantics, offset: Value, bytes: number): Value {
  return s.zeroExtend(s.add(offset, s.constant(bytes)), s.addressSize);
}

/** Lanes whose mask is negative; the others of a load are 0, and only those that count can fault. */
function maskedMove(width: 32 | 64, store: boolean): (s: Semantics) => void {
  return (s) => {
    const v = s.vector;
    const count = 128 / width;
    const offset = s.effectiveAddress();
    const lanes = parts(s).flatMap((part) => Array.from({ length: count }, (_, lane) => ({ part, lane })));
    const at = (part: number, lane: number) => behind(s, offset, part * 16 + (lane * width) / 8);
    const signs = parts(s).map((part) => s.keep(v.signs(width, v.read(1, part))));
    const each = (work: (part: number, lane: number) => void) => {
      for (const { part, lane } of lanes) s.when(bit(s, signs[part] ?? s.constant(0), lane), () => work(part, lane));
    };
    if (store) {
      each((part, lane) => void s.loadForWrite('operand', at(part, lane), width));
      each((part, lane) => s.store('operand', at(part, lane), width, v.extract(width, v.read(2, part), lane)));
      return;
    }
    const results = parts(s).map(() => v.accumulator());
    each((part, lane) => {
      const item = s.load('operand', at(part, lane), width);
      const result = results[part];
      result?.set(v.insert(width, result, lane, item));
    });
    v.write(0, ...results);
  };
}

const maskedMoves: InstructionDefinition[] = (
  [
    ['VMASKMOVPS', 'avx', '2C', '2E', 32, 'W0'],
    ['VMASKMOVPD', 'avx', '2D', '2F', 64, 'W0'],
    ['VPMASKMOVD', 'avx2', '8C', '8E', 32, 'W0'],
    ['VPMASKMOVQ', 'avx2', '8C', '8E', 64, 'W1'],
  ] as const
).flatMap(([mnemonic, feature, load, store, width, w]) => {
  const more = { varies: ['address'] as const, interpreted: true };
  return [
    vex(mnemonic, 'Load lanes by a mask', feature, [`VEX 66 0F 38 ${load} Vx,Hx,Mx ${w}`], maskedMove(width, false), more),
    vex(mnemonic, 'Store lanes by a mask', feature, [`VEX 66 0F 38 ${store} Mx,Hx,Vx ${w}`], maskedMove(width, true), more),
  ];
});

// --- clearing --------------------------------------------------------------------------------------------------------------------------------

/**
 * Loads the lanes whose mask is negative from places that a vector of indices gives. Each lane is complete before the next: when one
 * faults, those before it are there and their masks cleared (Intel SDM vol. 2C, VPGATHERDD).
 */
function gather(width: 32 | 64, indexWidth: 32 | 64): (s: Semantics) => void {
  return (s) => {
    const v = s.vector;
    const count = Math.min(v.length / width, v.length / indexWidth);
    const perPart = 128 / width;
    const partCount = Math.ceil(count / perPart);
    const each = (bits: number, lane: number) => ({ part: Math.floor((lane * bits) / 128), own: lane % (128 / bits) });
    for (let lane = 0; lane < count; lane++) {
      const target = each(width, lane);
      const source = each(indexWidth, lane);
      const mask = v.read(2, target.part);
      s.when(bit(s, v.signs(width, mask), target.own), () => {
        const index = s.signExtend(v.extract(indexWidth, v.indices(source.part), source.own), indexWidth);
        const item = s.keep(s.load('operand', v.indexedAddress(index), width));
        v.replace(0, target.part, v.insert(width, v.read(0, target.part), target.own, item));
      });
      v.replace(2, target.part, v.insert(width, v.read(2, target.part), target.own, s.constant(0)));
    }
    const low = count * width < 128 ? v.shuffle(v.read(0), v.bytes([]), byLanes(8, [0, 2])) : v.read(0);
    v.write(0, ...(partCount === 2 ? [low, v.read(0, 1)] : [low]));
    v.write(2, v.bytes([]));
  };
}

const gathers: InstructionDefinition[] = (
  [
    ['VPGATHERDD', '90', 'W0', 32, 32],
    ['VPGATHERDQ', '90', 'W1', 64, 32],
    ['VPGATHERQD', '91', 'W0', 32, 64],
    ['VPGATHERQQ', '91', 'W1', 64, 64],
    ['VGATHERDPS', '92', 'W0', 32, 32],
    ['VGATHERDPD', '92', 'W1', 64, 32],
    ['VGATHERQPS', '93', 'W0', 32, 64],
    ['VGATHERQPD', '93', 'W1', 64, 64],
  ] as const
).map(([mnemonic, opcode, w, width, indexWidth]) =>
  vex(
    ...([mnemonic, 'Gather lanes from places given by indices', 'avx2'] as const),
    [`VEX 66 0F 38 ${opcode} Vx,M${width === 32 ? 'd' : 'q'},Hx ${w} vsib`],
    gather(width, indexWidth),
    { interpreted: true },
  ),
);

/** 16 registers in 64-bit code, 8 outside. */
const clearing: InstructionDefinition[] = (
  [
    [16, 'o64'],
    [8, 'i64'],
  ] as const
).flatMap(([count, mode]) => [
  vex('VZEROUPPER', 'Clear the upper halves of all vector registers', 'avx', [`VEX 0F 77 L0 ${mode}`], (s) =>
    s.vector.clearRegisters(count, true),
  ),
  vex('VZEROALL', 'Clear all vector registers', 'avx', [`VEX 0F 77 L1 ${mode}`], (s) => s.vector.clearRegisters(count, false)),
]);

/** What AVX and AVX2 have of their own. */
export const avx: readonly InstructionDefinition[] = [
  ...broadcasts,
  ...partMoves,
  ...permutations,
  ...maskedMoves,
  ...gathers,
  ...clearing,
];
