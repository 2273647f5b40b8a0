import type { LaneOperation } from '../../lane-operation.ts';
import type { InstructionDefinition } from '../../notation.ts';
import type { VectorSemantics, VectorValue } from '../../vector-semantics.ts';
import { byLanes, type Compute, lanesOf, packed } from './rows.ts';

type Generation = 'mmx' | 'sse' | 'sse2' | 'ssse3' | 'sse4_1' | 'sse4_2';
type Row = readonly [opcode: string, mnemonic: string, summary: string, first: Generation, compute: Compute | LaneOperation];

const EVEN_WORDS = byLanes(2, [0, 2, 4, 6, 8, 10, 12, 14]);
const ODD_WORDS = byLanes(2, [1, 3, 5, 7, 9, 11, 13, 15]);

/** 32-bit products of words, of which `indices` choose one half. */
function productHalves(v: VectorSemantics, a: VectorValue, b: VectorValue, sign: 's' | 'u', indices: number[]): VectorValue {
  const low = v.lanes(`i32x4.extmul_low_i16x8_${sign}`, a, b);
  return v.shuffle(low, v.lanes(`i32x4.extmul_high_i16x8_${sign}`, a, b), indices);
}

/** Products of the even doublewords. */
function evenProducts(sign: 's' | 'u'): Compute {
  const low = byLanes(4, [0, 2, 0, 2]);
  return (v, a, b) => v.lanes(`i64x2.extmul_low_i32x4_${sign}`, v.shuffle(a, a, low), v.shuffle(b, b, low));
}

const roundedProducts: Compute = (v, a, b) => {
  const half = lanesOf(v, 32, 0x4000n);
  const rounded = (part: 'low' | 'high') => {
    const product = v.lanes(`i32x4.extmul_${part}_i16x8_s`, a, b);
    return v.shiftBy(32, 'shr_s', v.lanes('i32x4.add', product, half), 15);
  };
  return v.shuffle(rounded('low'), rounded('high'), EVEN_WORDS);
};

/** Unsigned bytes times signed bytes, in pairs. */
const mixedPairs: Compute = (v, a, b) => {
  const even = v.lanes(
    'i16x8.mul',
    v.lanes('v128.and', a, lanesOf(v, 16, 0xffn)),
    v.shiftBy(16, 'shr_s', v.shiftBy(16, 'shl', b, 8), 8),
  );
  const odd = v.lanes('i16x8.mul', v.shiftBy(16, 'shr_u', a, 8), v.shiftBy(16, 'shr_s', b, 8));
  return v.lanes('i16x8.add_sat_s', even, odd);
};

const absoluteDifferences: Compute = (v, a, b) => {
  const difference = v.lanes('v128.or', v.lanes('i8x16.sub_sat_u', a, b), v.lanes('i8x16.sub_sat_u', b, a));
  const sums = v.lanes('i32x4.extadd_pairwise_i16x8_u', v.lanes('i16x8.extadd_pairwise_i8x16_u', difference));
  const kept = v.keep(sums);
  return v.lanes('v128.and', v.lanes('i64x2.add', kept, v.shiftBy(64, 'shr_u', kept, 32)), lanesOf(v, 64, 0xffffn));
};

/** Keeps, negates or clears lanes of `a` by the signs of those of `b`. */
function bySigns(lane: 'i8x16' | 'i16x8' | 'i32x4'): Compute {
  return (v, a, b) => {
    const zero = v.bytes([]);
    const negative = v.lanes(`${lane}.gt_s`, zero, b);
    const signed = v.lanes('v128.bitselect', v.lanes(`${lane}.neg`, a), a, negative);
    return v.lanes('v128.andnot', signed, v.lanes(`${lane}.eq`, b, zero));
  };
}

/** Puts what is above bit 63 away: the eight bytes of two MMX registers side by side. */
export function together(v: VectorSemantics, a: VectorValue, b: VectorValue): VectorValue {
  return v.shuffle(a, b, byLanes(8, [0, 2]));
}

/** Combines neighbouring lanes: those of the first source go to the low half. */
function horizontal(size: 2 | 4, operation: LaneOperation): Compute {
  const count = 16 / size;
  const lanes = Array.from({ length: count }, (_, lane) => lane * 2);
  const even = byLanes(size, lanes);
  const odd = byLanes(
    size,
    lanes.map((lane) => lane + 1),
  );
  return (v, a, b) => {
    if (v.length !== 64) return v.lanes(operation, v.shuffle(a, b, even), v.shuffle(a, b, odd));
    const both = v.keep(together(v, a, b));
    return v.lanes(operation, v.shuffle(both, both, even), v.shuffle(both, both, odd));
  };
}

const rows: readonly Row[] = [
  ['0F FC', 'PADDB', 'Add packed bytes', 'mmx', 'i8x16.add'],
  ['0F FD', 'PADDW', 'Add packed words', 'mmx', 'i16x8.add'],
  ['0F FE', 'PADDD', 'Add packed doublewords', 'mmx', 'i32x4.add'],
  ['0F D4', 'PADDQ', 'Add packed quadwords', 'sse2', 'i64x2.add'],
  ['0F EC', 'PADDSB', 'Add packed signed bytes with saturation', 'mmx', 'i8x16.add_sat_s'],
  ['0F ED', 'PADDSW', 'Add packed signed words with saturation', 'mmx', 'i16x8.add_sat_s'],
  ['0F DC', 'PADDUSB', 'Add packed unsigned bytes with saturation', 'mmx', 'i8x16.add_sat_u'],
  ['0F DD', 'PADDUSW', 'Add packed unsigned words with saturation', 'mmx', 'i16x8.add_sat_u'],
  ['0F F8', 'PSUBB', 'Subtract packed bytes', 'mmx', 'i8x16.sub'],
  ['0F F9', 'PSUBW', 'Subtract packed words', 'mmx', 'i16x8.sub'],
  ['0F FA', 'PSUBD', 'Subtract packed doublewords', 'mmx', 'i32x4.sub'],
  ['0F FB', 'PSUBQ', 'Subtract packed quadwords', 'sse2', 'i64x2.sub'],
  ['0F E8', 'PSUBSB', 'Subtract packed signed bytes with saturation', 'mmx', 'i8x16.sub_sat_s'],
  ['0F E9', 'PSUBSW', 'Subtract packed signed words with saturation', 'mmx', 'i16x8.sub_sat_s'],
  ['0F D8', 'PSUBUSB', 'Subtract packed unsigned bytes with saturation', 'mmx', 'i8x16.sub_sat_u'],
  ['0F D9', 'PSUBUSW', 'Subtract packed unsigned words with saturation', 'mmx', 'i16x8.sub_sat_u'],
  ['0F D5', 'PMULLW', 'Multiply packed words, low halves', 'mmx', 'i16x8.mul'],
  ['0F E5', 'PMULHW', 'Multiply packed signed words, high halves', 'mmx', (v, a, b) => productHalves(v, a, b, 's', ODD_WORDS)],
  ['0F E4', 'PMULHUW', 'Multiply packed unsigned words, high halves', 'sse', (v, a, b) => productHalves(v, a, b, 'u', ODD_WORDS)],
  ['0F 38 0B', 'PMULHRSW', 'Multiply packed signed words, rounded high halves', 'ssse3', roundedProducts],
  ['0F 38 40', 'PMULLD', 'Multiply packed doublewords, low halves', 'sse4_1', 'i32x4.mul'],
  ['0F F4', 'PMULUDQ', 'Multiply even unsigned doublewords', 'sse2', evenProducts('u')],
  ['0F 38 28', 'PMULDQ', 'Multiply even signed doublewords', 'sse4_1', evenProducts('s')],
  ['0F F5', 'PMADDWD', 'Multiply packed words and add pairs', 'mmx', 'i32x4.dot_i16x8_s'],
  ['0F 38 04', 'PMADDUBSW', 'Multiply unsigned by signed bytes and add pairs with saturation', 'ssse3', mixedPairs],
  ['0F F6', 'PSADBW', 'Sum of absolute differences of bytes', 'sse', absoluteDifferences],
  ['0F E0', 'PAVGB', 'Average packed unsigned bytes', 'sse', 'i8x16.avgr_u'],
  ['0F E3', 'PAVGW', 'Average packed unsigned words', 'sse', 'i16x8.avgr_u'],
  ['0F DA', 'PMINUB', 'Minimum of packed unsigned bytes', 'sse', 'i8x16.min_u'],
  ['0F DE', 'PMAXUB', 'Maximum of packed unsigned bytes', 'sse', 'i8x16.max_u'],
  ['0F EA', 'PMINSW', 'Minimum of packed signed words', 'sse', 'i16x8.min_s'],
  ['0F EE', 'PMAXSW', 'Maximum of packed signed words', 'sse', 'i16x8.max_s'],
  ['0F 38 38', 'PMINSB', 'Minimum of packed signed bytes', 'sse4_1', 'i8x16.min_s'],
  ['0F 38 39', 'PMINSD', 'Minimum of packed signed doublewords', 'sse4_1', 'i32x4.min_s'],
  ['0F 38 3A', 'PMINUW', 'Minimum of packed unsigned words', 'sse4_1', 'i16x8.min_u'],
  ['0F 38 3B', 'PMINUD', 'Minimum of packed unsigned doublewords', 'sse4_1', 'i32x4.min_u'],
  ['0F 38 3C', 'PMAXSB', 'Maximum of packed signed bytes', 'sse4_1', 'i8x16.max_s'],
  ['0F 38 3D', 'PMAXSD', 'Maximum of packed signed doublewords', 'sse4_1', 'i32x4.max_s'],
  ['0F 38 3E', 'PMAXUW', 'Maximum of packed unsigned words', 'sse4_1', 'i16x8.max_u'],
  ['0F 38 3F', 'PMAXUD', 'Maximum of packed unsigned doublewords', 'sse4_1', 'i32x4.max_u'],
  ['0F 74', 'PCMPEQB', 'Compare packed bytes for equality', 'mmx', 'i8x16.eq'],
  ['0F 75', 'PCMPEQW', 'Compare packed words for equality', 'mmx', 'i16x8.eq'],
  ['0F 76', 'PCMPEQD', 'Compare packed doublewords for equality', 'mmx', 'i32x4.eq'],
  ['0F 38 29', 'PCMPEQQ', 'Compare packed quadwords for equality', 'sse4_1', 'i64x2.eq'],
  ['0F 64', 'PCMPGTB', 'Compare packed signed bytes for greater than', 'mmx', 'i8x16.gt_s'],
  ['0F 65', 'PCMPGTW', 'Compare packed signed words for greater than', 'mmx', 'i16x8.gt_s'],
  ['0F 66', 'PCMPGTD', 'Compare packed signed doublewords for greater than', 'mmx', 'i32x4.gt_s'],
  ['0F 38 37', 'PCMPGTQ', 'Compare packed signed quadwords for greater than', 'sse4_2', 'i64x2.gt_s'],
  ['0F DB', 'PAND', 'AND of vectors', 'mmx', 'v128.and'],
  ['0F DF', 'PANDN', 'AND of a vector with an inverted one', 'mmx', (v, a, b) => v.lanes('v128.andnot', b, a)],
  ['0F EB', 'POR', 'OR of vectors', 'mmx', 'v128.or'],
  ['0F EF', 'PXOR', 'Exclusive OR of vectors', 'mmx', 'v128.xor'],
  ['0F 38 08', 'PSIGNB', 'Give packed bytes the signs of others', 'ssse3', bySigns('i8x16')],
  ['0F 38 09', 'PSIGNW', 'Give packed words the signs of others', 'ssse3', bySigns('i16x8')],
  ['0F 38 0A', 'PSIGND', 'Give packed doublewords the signs of others', 'ssse3', bySigns('i32x4')],
  ['0F 38 01', 'PHADDW', 'Add neighbouring words', 'ssse3', horizontal(2, 'i16x8.add')],
  ['0F 38 02', 'PHADDD', 'Add neighbouring doublewords', 'ssse3', horizontal(4, 'i32x4.add')],
  ['0F 38 03', 'PHADDSW', 'Add neighbouring signed words with saturation', 'ssse3', horizontal(2, 'i16x8.add_sat_s')],
  ['0F 38 05', 'PHSUBW', 'Subtract neighbouring words', 'ssse3', horizontal(2, 'i16x8.sub')],
  ['0F 38 06', 'PHSUBD', 'Subtract neighbouring doublewords', 'ssse3', horizontal(4, 'i32x4.sub')],
  ['0F 38 07', 'PHSUBSW', 'Subtract neighbouring signed words with saturation', 'ssse3', horizontal(2, 'i16x8.sub_sat_s')],
];

const absolutes: readonly (readonly [string, string, string, LaneOperation])[] = [
  ['0F 38 1C', 'PABSB', 'Absolute values of packed bytes', 'i8x16.abs'],
  ['0F 38 1D', 'PABSW', 'Absolute values of packed words', 'i16x8.abs'],
  ['0F 38 1E', 'PABSD', 'Absolute values of packed doublewords', 'i32x4.abs'],
];

/** What came after MMX has MMX forms of its own, but for SSE4's instructions; MMX's came to XMM registers with SSE2. */
function generations(first: Generation): { mmx?: string; sse: string } {
  if (first === 'mmx' || first === 'sse') return { mmx: first, sse: 'sse2' };
  return first.startsWith('sse4') ? { sse: first } : { mmx: first, sse: first };
}

/** Integer arithmetic, comparisons and logic on packed lanes. */
export const packedArithmetic: readonly InstructionDefinition[] = [
  ...rows.flatMap(([opcode, mnemonic, summary, first, compute]) =>
    packed({
      ...{ opcode, mnemonic, summary, ...generations(first) },
      compute: typeof compute === 'string' ? (v, a, b) => v.lanes(compute, a, b) : compute,
    }),
  ),
  ...absolutes.flatMap(([opcode, mnemonic, summary, operation]) =>
    packed({ opcode, mnemonic, summary, ...generations('ssse3'), unary: true, compute: (v, a) => v.lanes(operation, a) }),
  ),
  ...packed({
    ...{ opcode: '0F 38 41', mnemonic: 'PHMINPOSUW', summary: 'Find the least unsigned word', sse: 'sse4_1' },
    ...{ unary: true, interpreted: true, compute: (v, a) => v.assist('phminposuw', [a]) },
  }).map((definition) => ({
    ...definition,
    forms: definition.forms.map((form) => (form.startsWith('VEX') ? `${form} L0` : form)),
  })),
  ...packed({
    ...{ opcode: '0F 3A 42', mnemonic: 'MPSADBW', summary: 'Sums of absolute differences of shifted bytes', sse: 'sse4_1' },
    ...{ immediate: true, interpreted: true },
    compute: (v, a, b, s, part) => v.assist('mpsadbw', [a, b], part === 0 ? v.immediate() : s.shr(v.immediate(), s.constant(3))),
  }),
];
