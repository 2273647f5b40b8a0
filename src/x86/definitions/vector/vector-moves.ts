import type { FormText, InstructionDefinition } from '../../notation.ts';
import type { Semantics, Value } from '../../semantics.ts';
import type { VectorSemantics, VectorValue } from '../../vector-semantics.ts';
import { byLanes, constants, iota, lanesOf, twins, withMmx } from './rows.ts';

const parts = (v: VectorSemantics): number[] => (v.length === 256 ? [0, 1] : [0]);

/** Copies an operand. */
function copy(s: Semantics): void {
  const v = s.vector;
  v.write(0, ...parts(v).map((part) => v.read(1, part)));
}

/** Whole vectors, both ways. */
function wholes(): InstructionDefinition[] {
  const rows = [
    ['MOVUPS', 'Move unaligned packed singles', 'sse', '', '0F 10', '0F 11', 'never'],
    ['MOVUPD', 'Move unaligned packed doubles', 'sse2', '66 ', '0F 10', '0F 11', 'never'],
    ['MOVAPS', 'Move aligned packed singles', 'sse', '', '0F 28', '0F 29', 'always'],
    ['MOVAPD', 'Move aligned packed doubles', 'sse2', '66 ', '0F 28', '0F 29', 'always'],
    ['MOVDQA', 'Move an aligned vector', 'sse2', '66 ', '0F 6F', '0F 7F', 'always'],
    ['MOVDQU', 'Move an unaligned vector', 'sse2', 'F3 ', '0F 6F', '0F 7F', 'never'],
  ] as const;
  return rows.flatMap(([mnemonic, summary, feature, prefix, load, store, alignment]) => {
    const forms = (vex: string): FormText[] => [`${vex}${prefix}${load} Vx,Wx`, `${vex}${prefix}${store} Wx,Vx`];
    return twins(mnemonic, summary, feature, forms(''), forms('VEX '), copy, { alignment, feature256: 'avx' });
  });
}

function nonTemporal(mnemonic: string, summary: string, feature: string, encoding: string): InstructionDefinition[] {
  return twins(mnemonic, summary, feature, [`${encoding} Mx,Vx`], [`VEX ${encoding} Mx,Vx`], copy, {
    ...{ alignment: 'always', feature256: 'avx' },
  });
}

// --- scalars -----------------------------------------------------------------------------------------------------------------

/** Between registers only the low lane moves; from memory the others become 0. */
function scalar(mnemonic: string, summary: string, feature: string, prefix: string, width: 'd' | 'q'): InstructionDefinition[] {
  const load = `${prefix} 0F 10`;
  const store = `${prefix} 0F 11`;
  const low = width === 'd' ? byLanes(4, [0, 5, 6, 7]) : byLanes(8, [0, 3]);
  const merge = (s: Semantics) => {
    const v = s.vector;
    v.apply(2, ([a, b]) => v.shuffle(b, a, low));
  };
  const twinsOf = (legacy: FormText, vex: FormText, semantics: (s: Semantics) => void) =>
    twins(mnemonic, summary, feature, [legacy], [vex], semantics);
  return [
    ...twinsOf(`${load} Vx,M${width}`, `VEX ${load} Vo,M${width}`, copy),
    ...twinsOf(`${load} Vx,U${width}`, `VEX ${load} Vo,Ho,U${width}`, merge),
    ...twinsOf(`${store} M${width},Vx`, `VEX ${store} M${width},Vo`, copy),
    ...twinsOf(`${store} U${width},Vx`, `VEX ${store} U${width},Ho,Vo`, merge),
  ];
}

/** Half a vector from or to memory. */
function halves(
  mnemonic: string,
  summary: string,
  feature: string,
  prefix: string,
  opcode: string,
  high: boolean,
): InstructionDefinition[] {
  const load = `${prefix}0F ${opcode}`;
  const store = `${prefix}0F ${opcode.replace(/.$/, (digit) => String(Number(digit) + 1))}`;
  return [
    ...twins(mnemonic, summary, feature, [`${load} Vo,Mq`], [`VEX ${load} Vo,Ho,Mq L0`], (s) => {
      const v = s.vector;
      v.apply(2, ([a, b]) => v.shuffle(a, b, byLanes(8, high ? [0, 2] : [2, 1])));
    }),
    ...twins(mnemonic, summary, feature, [`${store} Mq,Vo`], [`VEX ${store} Mq,Vo L0`], (s) => {
      const v = s.vector;
      const source = v.read(1);
      v.write(0, high ? v.shuffle(source, source, byLanes(8, [1, 1])) : source);
    }),
  ];
}

/** Halves between registers. */
function crossing(mnemonic: string, summary: string, opcode: string, lanes: number[]): InstructionDefinition[] {
  return twins(mnemonic, summary, 'sse', [`0F ${opcode} Vo,Uo`], [`VEX 0F ${opcode} Vo,Ho,Uo L0`], (s) => {
    s.vector.apply(2, ([a, b]) => s.vector.shuffle(a, b, byLanes(8, lanes)));
  });
}

// --- general registers -----------------------------------------------------------------------------------------------------

const toVector = (s: Semantics) => {
  const v = s.vector;
  v.write(0, v.insert(64, v.bytes([]), 0, s.read(1)));
};
const fromVector = (s: Semantics) => s.write(0, s.vector.extract(64, s.vector.read(1), 0));

const moveDoubleword: InstructionDefinition[] = [['Ey', 'to', toVector] as const, ['Ey', 'from', fromVector] as const].flatMap(
  ([general, direction, semantics]) => {
    const summary = `Move 32 or 64 bits ${direction} a vector register`;
    const form = (register: string) => (direction === 'to' ? `0F 6E ${register},${general}` : `0F 7E ${general},${register}`);
    return [
      { mnemonic: 'MOVD', summary, forms: [form('Kq')], feature: 'mmx', registers: 'mmx', semantics: withMmx(semantics) },
      ...twins('MOVD', summary, 'sse2', [`66 ${form('Vo')}`], [`VEX 66 ${form('Vo')} L0`], semantics),
    ];
  },
);

/** The highest bits of lanes as a number. */
function masks(
  mnemonic: string,
  summary: string,
  feature: string,
  encoding: string,
  width: 8 | 32 | 64,
): InstructionDefinition[] {
  const semantics = (s: Semantics) => {
    const v = s.vector;
    const [low, high] = parts(v).map((part) => v.signs(width, v.read(1, part)));
    if (!low) throw new Error('no vector has no parts');
    s.write(0, high ? s.or(low, s.shl(high, s.constant(128 / width))) : low);
  };
  return twins(mnemonic, summary, feature, [`${encoding} Gd,Ux`], [`VEX ${encoding} Gd,Ux`], semantics, {
    feature256: width === 8 ? 'avx2' : 'avx',
  });
}

// --- lanes by number --------------------------------------------------------------------------------------------------------

/** Number of the lane that the immediate names, of lanes of `size` bytes. */
function laneNumber(s: Semantics, size: number): Value {
  return s.and(s.vector.immediate(), s.constant(s.vector.length === 64 ? 8 / size - 1 : 16 / size - 1));
}

/** A lane chosen at run time, zero-extended. */
function selectedLane(s: Semantics, vector: VectorValue, size: 1 | 2 | 4 | 8): Value {
  const v = s.vector;
  const first = v.splat(8, s.mul(laneNumber(s, size), s.constant(size)));
  const moved = v.lanes('i8x16.swizzle', vector, v.lanes('i8x16.add', iota(v), first));
  return v.extract((size * 8) as 8 | 16 | 32 | 64, moved, 0);
}

/** All bits of the lane that the immediate names. */
function laneMask(s: Semantics, size: 1 | 2 | 4 | 8): VectorValue {
  const v = s.vector;
  const lane = laneNumber(s, size);
  if (size === 1) return v.lanes('i8x16.eq', iota(v), v.splat(8, lane));
  const width = (size * 8) as 16 | 32 | 64;
  const numbers = constants(
    v,
    width,
    Array.from({ length: 16 / size }, (_, index) => index),
  );
  return v.lanes(({ 16: 'i16x8.eq', 32: 'i32x4.eq', 64: 'i64x2.eq' } as const)[width], numbers, v.splat(width, lane));
}

function doublewordOrQuadword(s: Semantics, operand: number): 4 | 8 {
  return s.operandSize(operand) === 64 ? 8 : 4;
}

function extraction(
  mnemonic: string,
  feature: string,
  legacy: FormText[],
  vex: FormText[],
  size?: 1 | 2,
): InstructionDefinition[] {
  return twins(mnemonic, 'Extract a lane', feature, legacy, vex, (s) =>
    s.write(0, selectedLane(s, s.vector.read(1), size ?? doublewordOrQuadword(s, 0))),
  );
}

function insertLane(fixed?: 1 | 2): (s: Semantics) => void {
  return (s) => {
    const v = s.vector;
    const source = v.isVex ? 2 : 1;
    const size = fixed ?? doublewordOrQuadword(s, source);
    const value = s.keep(s.read(source));
    const base = v.read(v.isVex ? 1 : 0);
    v.write(0, v.lanes('v128.bitselect', v.splat((size * 8) as 8 | 16 | 32 | 64, value), base, laneMask(s, size)));
  };
}

function insertion(mnemonic: string, feature: string, opcode: string, operand: string, size?: 1 | 2): InstructionDefinition[] {
  const vex = `VEX 66 ${opcode} Vo,Ho,${operand},Ib L0`;
  return twins(mnemonic, 'Insert a lane', feature, [`66 ${opcode} Vo,${operand},Ib`], [vex], insertLane(size));
}

const insertSingle = (s: Semantics) => {
  const v = s.vector;
  const immediate = v.immediate();
  const field = (shift: number) => s.and(s.shr(immediate, s.constant(shift)), s.constant(3));
  const source = v.isVex ? 2 : 1;
  const base = v.read(v.isVex ? 1 : 0);
  const from = v.read(source);
  const first = s.isMemory(source) ? s.constant(0) : s.shl(field(6), s.constant(2));
  const chosen = v.lanes(
    'i8x16.swizzle',
    from,
    v.lanes('v128.and', v.lanes('i8x16.add', v.splat(8, first), iota(v)), lanesOf(v, 8, 15n)),
  );
  const lanes = constants(v, 32, [0, 1, 2, 3]);
  const place = v.lanes('i32x4.eq', lanes, v.splat(32, field(4)));
  const single = v.shuffle(v.keep(chosen), v.bytes([]), byLanes(4, [0, 0, 0, 0]));
  const bits = constants(v, 32, [1, 2, 4, 8]);
  const cleared = v.lanes('i32x4.eq', v.lanes('v128.and', v.splat(32, immediate), bits), bits);
  v.write(0, v.lanes('v128.andnot', v.lanes('v128.bitselect', single, base, place), cleared));
};

// --- sign and zero extension --------------------------------------------------------------------------------------------------

function extensions(sign: 's' | 'u'): InstructionDefinition[] {
  const name = sign === 's' ? 'S' : 'Z';
  const base = sign === 's' ? 0x20 : 0x30;
  const words = (v: VectorSemantics, x: VectorValue) => v.lanes(`i16x8.extend_low_i8x16_${sign}`, x);
  const doublewords = (v: VectorSemantics, x: VectorValue) => v.lanes(`i32x4.extend_low_i16x8_${sign}`, x);
  const quadwords = (v: VectorSemantics, x: VectorValue) => v.lanes(`i64x2.extend_low_i32x4_${sign}`, x);
  type Step = (v: VectorSemantics, x: VectorValue) => VectorValue;
  const rows: readonly (readonly [string, string, number, readonly Step[]])[] = [
    ['BW', 'h', 8, [words]],
    ['BD', 't', 4, [words, doublewords]],
    ['BQ', 'e', 2, [words, doublewords, quadwords]],
    ['WD', 'h', 8, [doublewords]],
    ['WQ', 't', 4, [doublewords, quadwords]],
    ['DQ', 'h', 8, [quadwords]],
  ];
  return rows.flatMap(([suffix, width, bytes, steps], index) => {
    const semantics = (s: Semantics) => {
      const v = s.vector;
      const source = v.read(1);
      const from = (part: number) => {
        if (part === 0) return source;
        return v.shuffle(
          source,
          source,
          Array.from({ length: 16 }, (_, byte) => (byte + bytes) & 15),
        );
      };
      v.write(0, ...parts(v).map((part) => steps.reduce((value, step) => step(v, value), from(part))));
    };
    const opcode = `66 0F 38 ${(base + index).toString(16)}`;
    const summary = `${sign === 's' ? 'Sign' : 'Zero'}-extend packed integers`;
    return twins(
      `PMOV${name}X${suffix}`,
      summary,
      'sse4_1',
      [`${opcode} Vx,W${width}`],
      [`VEX ${opcode} Vx,W${width}`],
      semantics,
      {
        feature256: 'avx2',
      },
    );
  });
}

// --- bytes by a mask ------------------------------------------------------------------------------------------------------------

/** Stores the bytes whose mask is negative at DS:rDI. All of them must be writable, as on AMD's processors: which ones is left open. */
const maskedStore = (s: Semantics) => {
  const v = s.vector;
  const value = v.read(0);
  const signs = s.keep(v.signs(8, v.read(1)));
  const address = s.keep(s.register(7, s.addressSize));
  const bytes = v.length === 64 ? 8 : 16;
  const at = (byte: number) => s.zeroExtend(s.add(address, s.constant(byte)), s.addressSize);
  const each = (work: (byte: number) => void) => {
    for (let byte = 0; byte < bytes; byte++) s.when(s.and(s.shr(signs, s.constant(byte)), s.constant(1)), () => work(byte));
  };
  for (let byte = 0; byte < bytes; byte += 8) s.keep(s.loadForWrite('operand', at(byte), 64));
  each((byte) => s.store('operand', at(byte), 8, v.extract(8, value, byte)));
};

/** Moves of vectors, of parts of them, and of lanes. */
export const vectorMoves: readonly InstructionDefinition[] = [
  ...wholes(),
  ...nonTemporal('MOVNTPS', 'Store packed singles past the caches', 'sse', '0F 2B'),
  ...nonTemporal('MOVNTPD', 'Store packed doubles past the caches', 'sse2', '66 0F 2B'),
  ...nonTemporal('MOVNTDQ', 'Store a vector past the caches', 'sse2', '66 0F E7'),
  ...twins('MOVNTDQA', 'Load a vector past the caches', 'sse4_1', ['66 0F 38 2A Vx,Mx'], ['VEX 66 0F 38 2A Vx,Mx'], copy, {
    ...{ alignment: 'always', feature256: 'avx2' },
  }),
  ...twins('LDDQU', 'Load an unaligned vector', 'sse3', ['F2 0F F0 Vx,Mx'], ['VEX F2 0F F0 Vx,Mx'], copy, {
    ...{ alignment: 'never', feature256: 'avx' },
  }),
  ...scalar('MOVSS', 'Move a single', 'sse', 'F3', 'd'),
  ...scalar('MOVSD', 'Move a double', 'sse2', 'F2', 'q'),
  ...halves('MOVLPS', 'Move the low half', 'sse', '', '12', false),
  ...halves('MOVHPS', 'Move the high half', 'sse', '', '16', true),
  ...halves('MOVLPD', 'Move the low double', 'sse2', '66 ', '12', false),
  ...halves('MOVHPD', 'Move the high double', 'sse2', '66 ', '16', true),
  ...crossing('MOVHLPS', 'Move the high half to the low one', '12', [3, 1]),
  ...crossing('MOVLHPS', 'Move the low half to the high one', '16', [0, 2]),
  ...moveDoubleword,
  ...[
    { forms: ['0F 6F Kq,Qq'], semantics: withMmx(copy) },
    { forms: ['0F 7F Qq,Kq'], semantics: withMmx(copy) },
  ].map((definition) => ({
    mnemonic: 'MOVQ',
    summary: 'Move 64 bits',
    feature: 'mmx',
    registers: 'mmx' as const,
    ...definition,
  })),
  ...twins(
    'MOVQ',
    'Move 64 bits, clearing the upper half',
    'sse2',
    ['F3 0F 7E Vo,Wq', '66 0F D6 Wq,Vo'],
    ['VEX F3 0F 7E Vo,Wq L0', 'VEX 66 0F D6 Wq,Vo L0'],
    (s) => {
      const v = s.vector;
      v.write(0, v.shuffle(v.read(1), v.bytes([]), byLanes(8, [0, 2])));
    },
  ),
  {
    ...{ mnemonic: 'MOVNTI', summary: 'Store a register past the caches', forms: ['0F C3 My,Gy'], feature: 'sse2' },
    semantics: (s) => s.write(0, s.read(1)),
  },
  {
    ...{ mnemonic: 'MOVNTQ', summary: 'Store 64 bits past the caches', forms: ['0F E7 Mq,Kq'], feature: 'sse' },
    ...{ registers: 'mmx', semantics: withMmx(copy) },
  },
  {
    ...{ mnemonic: 'MOVQ2DQ', summary: 'Move from an MMX to an XMM register', forms: ['F3 0F D6 Vo,Nq'], feature: 'sse2' },
    ...{ registers: 'mmx', semantics: withMmx(copy) },
  },
  {
    ...{ mnemonic: 'MOVDQ2Q', summary: 'Move from an XMM to an MMX register', forms: ['F2 0F D6 Kq,Uo'], feature: 'sse2' },
    ...{ registers: 'mmx', semantics: withMmx(copy) },
  },
  ...masks('MOVMSKPS', 'Signs of packed singles', 'sse', '0F 50', 32),
  ...masks('MOVMSKPD', 'Signs of packed doubles', 'sse2', '66 0F 50', 64),
  ...masks('PMOVMSKB', 'Highest bits of packed bytes', 'sse2', '66 0F D7', 8),
  {
    ...{
      mnemonic: 'PMOVMSKB',
      summary: 'Highest bits of packed bytes',
      forms: ['0F D7 Gd,Nq'],
      feature: 'sse',
      registers: 'mmx',
    },
    semantics: withMmx((s) => s.write(0, s.and(s.vector.signs(8, s.vector.read(1)), s.constant(0xff)))),
  },
  ...extraction(
    'PEXTRB',
    'sse4_1',
    ['66 0F 3A 14 Rd,Vo,Ib', '66 0F 3A 14 Mb,Vo,Ib'],
    ['VEX 66 0F 3A 14 Rd,Vo,Ib L0', 'VEX 66 0F 3A 14 Mb,Vo,Ib L0'],
    1,
  ),
  ...extraction(
    'PEXTRW',
    'sse4_1',
    ['66 0F 3A 15 Rd,Vo,Ib', '66 0F 3A 15 Mw,Vo,Ib'],
    ['VEX 66 0F 3A 15 Rd,Vo,Ib L0', 'VEX 66 0F 3A 15 Mw,Vo,Ib L0'],
    2,
  ),
  ...extraction('PEXTRW', 'sse2', ['66 0F C5 Gd,Uo,Ib'], ['VEX 66 0F C5 Gd,Uo,Ib L0'], 2),
  {
    ...{ mnemonic: 'PEXTRW', summary: 'Extract a lane', forms: ['0F C5 Gd,Nq,Ib'], feature: 'sse', registers: 'mmx' },
    semantics: withMmx((s) => s.write(0, selectedLane(s, s.vector.read(1), 2))),
  },
  ...extraction('PEXTRD', 'sse4_1', ['66 0F 3A 16 Ey,Vo,Ib'], ['VEX 66 0F 3A 16 Ey,Vo,Ib L0']),
  ...extraction('EXTRACTPS', 'sse4_1', ['66 0F 3A 17 Ed,Vo,Ib'], ['VEX 66 0F 3A 17 Ed,Vo,Ib L0']),
  ...insertion('PINSRB', 'sse4_1', '0F 3A 20', 'Rd', 1),
  ...insertion('PINSRB', 'sse4_1', '0F 3A 20', 'Mb', 1),
  ...insertion('PINSRW', 'sse2', '0F C4', 'Rd', 2),
  ...insertion('PINSRW', 'sse2', '0F C4', 'Mw', 2),
  ...insertion('PINSRD', 'sse4_1', '0F 3A 22', 'Ey'),
  ...['Rd', 'Mw'].map((operand) => ({
    ...{
      mnemonic: 'PINSRW',
      summary: 'Insert a lane',
      forms: [`0F C4 Kq,${operand},Ib`],
      feature: 'sse',
      registers: 'mmx' as const,
    },
    semantics: withMmx(insertLane(2)),
  })),
  ...twins(
    'INSERTPS',
    'Insert a single and clear others',
    'sse4_1',
    ['66 0F 3A 21 Vo,Wd,Ib'],
    ['VEX 66 0F 3A 21 Vo,Ho,Wd,Ib L0'],
    insertSingle,
  ),
  ...extensions('s'),
  ...extensions('u'),
  ...twins('MASKMOVDQU', 'Store bytes by a mask', 'sse2', ['66 0F F7 Vo,Uo'], ['VEX 66 0F F7 Vo,Uo L0'], maskedStore, {
    varies: ['address'],
  }),
  {
    ...{ mnemonic: 'MASKMOVQ', summary: 'Store bytes by a mask', forms: ['0F F7 Kq,Nq'], feature: 'sse', registers: 'mmx' },
    ...{ varies: ['address'], semantics: withMmx(maskedStore) },
  },
];
