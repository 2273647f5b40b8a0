import type { InstructionDefinition } from '../../notation.ts';
import type { Semantics, Value } from '../../semantics.ts';
import type { VectorSemantics, VectorValue } from '../../vector-semantics.ts';
import { together } from './packed-arithmetic.ts';
import { byLanes, type Compute, constants, iota, lanesOf, maskOfBits, packed, twins } from './rows.ts';

// --- pack and unpack -------------------------------------------------------------------------------------------------------

type Narrowing = `${'i8x16.narrow_i16x8' | 'i16x8.narrow_i32x4'}_${'s' | 'u'}`;

function pack(operation: Narrowing): Compute {
  return (v, a, b) => {
    if (v.length !== 64) return v.lanes(operation, a, b);
    const both = v.keep(together(v, a, b));
    return v.lanes(operation, both, both);
  };
}

/** Lanes of both sources in turns: from their low or their high halves. */
function interleave(size: 1 | 2 | 4 | 8, high: boolean): Compute {
  const lanes = (bytes: number) => {
    const half = bytes / 2 / size;
    return byLanes(
      size,
      Array.from({ length: 16 / size }, (_, index) => ((index >> 1) % half) + (high ? half : 0) + (index & 1) * (16 / size)),
    );
  };
  // In 64-bit registers the second half is that of 8 bytes.
  return (v, a, b) => v.shuffle(a, b, v.length === 64 ? lanes(8) : lanes(16));
}

type Row = readonly [opcode: string, mnemonic: string, summary: string, first: 'mmx' | 'sse2' | 'sse4_1', compute: Compute];
const rows: readonly Row[] = [
  ['0F 63', 'PACKSSWB', 'Pack words into signed bytes with saturation', 'mmx', pack('i8x16.narrow_i16x8_s')],
  ['0F 67', 'PACKUSWB', 'Pack words into unsigned bytes with saturation', 'mmx', pack('i8x16.narrow_i16x8_u')],
  ['0F 6B', 'PACKSSDW', 'Pack doublewords into signed words with saturation', 'mmx', pack('i16x8.narrow_i32x4_s')],
  ['0F 38 2B', 'PACKUSDW', 'Pack doublewords into unsigned words with saturation', 'sse4_1', pack('i16x8.narrow_i32x4_u')],
  ['0F 68', 'PUNPCKHBW', 'Interleave the high bytes', 'mmx', interleave(1, true)],
  ['0F 69', 'PUNPCKHWD', 'Interleave the high words', 'mmx', interleave(2, true)],
  ['0F 6A', 'PUNPCKHDQ', 'Interleave the high doublewords', 'mmx', interleave(4, true)],
  ['0F 6D', 'PUNPCKHQDQ', 'Interleave the high quadwords', 'sse2', interleave(8, true)],
  ['0F 6C', 'PUNPCKLQDQ', 'Interleave the low quadwords', 'sse2', interleave(8, false)],
];

/** With MMX registers only 32 bits are read from memory. */
const lowRows: readonly Row[] = [
  ['0F 60', 'PUNPCKLBW', 'Interleave the low bytes', 'mmx', interleave(1, false)],
  ['0F 61', 'PUNPCKLWD', 'Interleave the low words', 'mmx', interleave(2, false)],
  ['0F 62', 'PUNPCKLDQ', 'Interleave the low doublewords', 'mmx', interleave(4, false)],
];

const floatRows: readonly (readonly [prefix: '' | '66 ', opcode: string, mnemonic: string, summary: string, compute: Compute])[] =
  [
    ['', '0F 14', 'UNPCKLPS', 'Interleave the low singles', interleave(4, false)],
    ['', '0F 15', 'UNPCKHPS', 'Interleave the high singles', interleave(4, true)],
    ['66 ', '0F 14', 'UNPCKLPD', 'Interleave the low doubles', interleave(8, false)],
    ['66 ', '0F 15', 'UNPCKHPD', 'Interleave the high doubles', interleave(8, true)],
  ];

// --- shuffles by an immediate ------------------------------------------------------------------------------------------------

/** Byte indices for four lanes that two bits each of a number choose. */
export function doublewordIndices(v: VectorSemantics, bits: Value): VectorValue {
  const aligned = v.lanes('i32x4.mul', v.splat(32, bits), constants(v, 32, [64, 16, 4, 1]));
  const chosen = v.lanes('v128.and', v.shiftBy(32, 'shr_u', aligned, 6), lanesOf(v, 32, 3n));
  return v.lanes('i32x4.add', v.lanes('i32x4.mul', chosen, lanesOf(v, 32, 0x0404_0404n)), lanesOf(v, 32, 0x0302_0100n));
}

/** Byte indices for the words of a half that two bits each choose; the other half stays. */
function wordIndices(v: VectorSemantics, bits: Value, high: boolean): VectorValue {
  const weights = constants(v, 16, [64, 16, 4, 1, 64, 16, 4, 1]);
  const chosen = v.lanes(
    'v128.and',
    v.shiftBy(16, 'shr_u', v.lanes('i16x8.mul', v.splat(16, bits), weights), 6),
    lanesOf(v, 16, 3n),
  );
  const base = lanesOf(v, 16, high ? 0x0908n : 0x0100n);
  const moved = v.lanes('i16x8.add', v.lanes('i16x8.mul', chosen, lanesOf(v, 16, 0x0202n)), base);
  const own = high ? constants(v, 64, [0, -1]) : constants(v, 64, [-1, 0]);
  return v.lanes('v128.bitselect', moved, iota(v), own);
}

function wordShuffle(high: boolean): Compute {
  return (v, a) => v.lanes('i8x16.swizzle', a, wordIndices(v, v.immediate(), high));
}

/** SHUFPS: two lanes of each source. */
const singles: Compute = (v, a, b) => {
  const indices = v.keep(doublewordIndices(v, v.immediate()));
  return v.shuffle(v.lanes('i8x16.swizzle', a, indices), v.lanes('i8x16.swizzle', b, indices), byLanes(8, [0, 3]));
};

/** Bit of the immediate for a lane of 64 bits. */
function immediateBit(s: Semantics, bit: number): Value {
  return s.and(s.shr(s.vector.immediate(), s.constant(bit)), s.constant(1));
}

/** SHUFPD: one lane of each source. */
const doubles: Compute = (v, a, b, s, part) => {
  const lane = (source: VectorValue, bit: number) =>
    v.choose(immediateBit(s, part * 2 + bit), v.shuffle(source, source, byLanes(8, [1, 1])), source);
  return v.shuffle(lane(a, 0), lane(b, 1), byLanes(8, [0, 2]));
};

const immediates: InstructionDefinition[] = [
  ...packed({
    ...{ mnemonic: 'PSHUFD', summary: 'Shuffle doublewords', opcode: '0F 70', sse: 'sse2', unary: true, immediate: true },
    compute: (v, a) => v.lanes('i8x16.swizzle', a, doublewordIndices(v, v.immediate())),
  }),
  ...packed({
    ...{ mnemonic: 'PSHUFLW', summary: 'Shuffle the low words', opcode: '0F 70', prefix: 'F2 ' },
    ...{ sse: 'sse2', unary: true, immediate: true, compute: wordShuffle(false) },
  }),
  ...packed({
    ...{ mnemonic: 'PSHUFHW', summary: 'Shuffle the high words', opcode: '0F 70', prefix: 'F3 ' },
    ...{ sse: 'sse2', unary: true, immediate: true, compute: wordShuffle(true) },
  }),
  ...packed({
    ...{ mnemonic: 'PSHUFW', summary: 'Shuffle words', opcode: '0F 70', mmx: 'sse' },
    ...{ unary: true, immediate: true, compute: wordShuffle(false) },
  }),
  ...packed({
    ...{ mnemonic: 'SHUFPS', summary: 'Shuffle singles of two vectors', opcode: '0F C6', prefix: '' },
    ...{ sse: 'sse', avx256: 'avx', immediate: true, compute: singles },
  }),
  ...packed({
    ...{ mnemonic: 'SHUFPD', summary: 'Shuffle doubles of two vectors', opcode: '0F C6', prefix: '66 ' },
    ...{ sse: 'sse2', avx256: 'avx', immediate: true, compute: doubles },
  }),
];

// --- bytes by a vector -----------------------------------------------------------------------------------------------------

const shuffleBytes = packed({
  ...{ mnemonic: 'PSHUFB', summary: 'Shuffle bytes by a vector', opcode: '0F 38 00', mmx: 'ssse3', sse: 'ssse3' },
  // An index with its highest bit set gives 0, as all above 15 do here.
  compute: (v, a, b) => v.lanes('i8x16.swizzle', a, v.lanes('v128.and', b, lanesOf(v, 8, v.length === 64 ? 0x87n : 0x8fn))),
});

// --- blends ------------------------------------------------------------------------------------------------------------------

/** Lanes of the second source where bits of the immediate are set. */
function blend(width: 16 | 32 | 64): Compute {
  return (v, a, b, s, part) => {
    // Words have the same eight bits for each part.
    const bits = width === 16 ? v.immediate() : s.shr(v.immediate(), s.constant((part * 128) / width));
    return v.lanes('v128.bitselect', b, a, maskOfBits(s, width, bits));
  };
}

/** All bits of the lanes whose highest is set. */
export function maskOfSigns(v: VectorSemantics, width: 8 | 32 | 64, vector: VectorValue): VectorValue {
  return v.shiftBy(width, 'shr_s', vector, width - 1);
}

/** Lanes of the second source where those of a mask, XMM0 or a fourth operand, are negative. */
function variableBlend(
  mnemonic: string,
  summary: string,
  legacy: string,
  vex: string,
  width: 8 | 32 | 64,
): InstructionDefinition[] {
  const semantics = (s: Semantics) => {
    const v = s.vector;
    const select = (a: VectorValue, b: VectorValue, mask: VectorValue) =>
      v.lanes('v128.bitselect', b, a, maskOfSigns(v, width, mask));
    if (v.isVex) v.apply(3, ([a, b, mask]) => select(a, b, mask));
    else v.apply(2, ([a, b]) => select(a, b, v.keep(v.register(0))));
  };
  const more = { feature256: width === 8 ? 'avx2' : 'avx' };
  return twins(mnemonic, summary, 'sse4_1', [`66 ${legacy} Vx,Wx`], [`VEX 66 ${vex} Vx,Hx,Wx,Lx,Ib W0`], semantics, more);
}

const blends: InstructionDefinition[] = [
  ...packed({
    ...{ mnemonic: 'PBLENDW', summary: 'Blend words by an immediate', opcode: '0F 3A 0E' },
    ...{ sse: 'sse4_1', immediate: true, compute: blend(16) },
  }),
  ...packed({
    ...{ mnemonic: 'BLENDPS', summary: 'Blend singles by an immediate', opcode: '0F 3A 0C' },
    ...{ sse: 'sse4_1', avx256: 'avx', immediate: true, compute: blend(32) },
  }),
  ...packed({
    ...{ mnemonic: 'BLENDPD', summary: 'Blend doubles by an immediate', opcode: '0F 3A 0D' },
    ...{ sse: 'sse4_1', avx256: 'avx', immediate: true, compute: blend(64) },
  }),
  {
    mnemonic: 'VPBLENDD',
    summary: 'Blend doublewords by an immediate',
    forms: ['VEX 66 0F 3A 02 Vx,Hx,Wx,Ib W0'],
    feature: 'avx2',
    registers: 'avx',
    semantics: (s) => s.vector.apply(2, ([a, b], part) => blend(32)(s.vector, a, b, s, part)),
  },
  ...variableBlend('PBLENDVB', 'Blend bytes by the signs of a vector', '0F 38 10', '0F 3A 4C', 8),
  ...variableBlend('BLENDVPS', 'Blend singles by the signs of a vector', '0F 38 14', '0F 3A 4A', 32),
  ...variableBlend('BLENDVPD', 'Blend doubles by the signs of a vector', '0F 38 15', '0F 3A 4B', 64),
];

// --- duplicates ----------------------------------------------------------------------------------------------------------------

function duplicate(
  prefix: 'F2 ' | 'F3 ',
  opcode: string,
  mnemonic: string,
  summary: string,
  size: number,
  lanes: number[],
): InstructionDefinition[] {
  const indices = byLanes(size, lanes);
  return packed({
    ...{ mnemonic, summary, opcode, prefix, sse: 'sse3', avx256: 'avx', unary: true },
    compute: (v, a) => v.shuffle(a, a, indices),
  });
}

const movddup = (s: Semantics) => s.vector.apply(1, ([a]) => s.vector.shuffle(a, a, byLanes(8, [0, 0])));

/** What moves lanes about within 128 bits. */
export const shuffles: readonly InstructionDefinition[] = [
  ...rows.flatMap(([opcode, mnemonic, summary, first, compute]) =>
    packed({
      ...{ opcode, mnemonic, summary, compute },
      ...(first === 'mmx' ? { mmx: 'mmx', sse: 'sse2' } : { sse: first }),
    }),
  ),
  ...lowRows.flatMap(([opcode, mnemonic, summary, , compute]) =>
    packed({ opcode, mnemonic, summary, compute, mmx: 'mmx', sse: 'sse2' }).map((definition) => ({
      ...definition,
      forms: definition.forms.map((form) => form.replace('Kq,Qq', 'Kq,Qd')),
    })),
  ),
  ...floatRows.flatMap(([prefix, opcode, mnemonic, summary, compute]) =>
    packed({ prefix, opcode, mnemonic, summary, compute, sse: prefix === '' ? 'sse' : 'sse2', avx256: 'avx' }),
  ),
  ...immediates,
  ...shuffleBytes,
  ...blends,
  ...duplicate('F3 ', '0F 12', 'MOVSLDUP', 'Duplicate the even singles', 4, [0, 0, 2, 2]),
  ...duplicate('F3 ', '0F 16', 'MOVSHDUP', 'Duplicate the odd singles', 4, [1, 1, 3, 3]),
  ...twins(
    'MOVDDUP',
    'Duplicate the even doubles',
    'sse3',
    ['F2 0F 12 Vx,Wq'],
    ['VEX F2 0F 12 Vx,Wq L0', 'VEX F2 0F 12 Vx,Wx L1'],
    movddup,
  ),
];
