import type { InstructionDefinition } from '../notation.ts';
import type { Semantics } from '../semantics.ts';

const RAX = 0;
const RCX = 1;
const RDX = 2;
const RBX = 3;
const RSP = 4;
const RBP = 5;
const SS = 2;
const GENERAL_PROTECTION = 13;

const copy = (s: Semantics): void => s.write(0, s.read(1));

/** Width in bits of a push, pop or near branch: the operand size. */
const pushAll = (s: Semantics): void => {
  const bytes = s.size / 8;
  const sp = s.keep(s.register(RSP, s.stackWidth));
  const whole = s.keep(s.register(RSP, s.size));
  for (let index = 0; index < 8; index++)
    s.store(
      SS,
      s.zeroExtend(s.sub(sp, s.constant(bytes * (index + 1))), s.stackWidth),
      s.size,
      index === RSP ? whole : s.register(index, s.size),
    );
  s.setRegister(RSP, s.stackWidth, s.sub(sp, s.constant(bytes * 8)));
};

const popAll = (s: Semantics): void => {
  const bytes = s.size / 8;
  const sp = s.keep(s.register(RSP, s.stackWidth));
  const values = [7, 6, 5, 4, 3, 2, 1, 0].map((register, index) => ({
    register,
    value: s.load(SS, s.zeroExtend(s.add(sp, s.constant(bytes * index)), s.stackWidth), s.size),
  }));
  for (const { register, value } of values) if (register !== RSP) s.setRegister(register, s.size, value);
  s.setRegister(RSP, s.stackWidth, s.add(sp, s.constant(bytes * 8)));
};

/** CMPXCHG16B: the operand must be aligned. */
const exchange16 = (s: Semantics): void => {
  const eight = s.constant(8);
  s.when(s.and(s.effectiveAddress(), s.constant(15)), () => s.raise(GENERAL_PROTECTION));
  const low = s.keep(s.loadForWrite('operand', s.effectiveAddress(), 64));
  const high = s.keep(s.loadForWrite('operand', s.add(s.effectiveAddress(), eight), 64));
  const same = s.keep(s.and(s.equal(low, s.register(RAX, 64)), s.equal(high, s.register(RDX, 64))));
  s.store('operand', s.effectiveAddress(), 64, s.select(same, s.register(RBX, 64), low));
  s.store('operand', s.add(s.effectiveAddress(), eight), 64, s.select(same, s.register(RCX, 64), high));
  s.when(s.isZero(same), () => {
    s.setRegister(RAX, 64, low);
    s.setRegister(RDX, 64, high);
  });
  s.flags.setZero(same);
};

export const moves: readonly InstructionDefinition[] = [
  {
    mnemonic: 'MOV',
    summary: 'Move',
    frequent: true,
    forms: [
      '88 Eb,Gb',
      '89 Ev,Gv',
      '8A Gb,Eb',
      '8B Gv,Ev',
      'B0+ Zb,Ib',
      'B8+ Zv,Iv',
      'C6/0 Eb,Ib',
      'C7/0 Ev,Iz',
      'A0 Ab,Ob',
      'A1 Av,Ov',
      'A2 Ob,Ab',
      'A3 Ov,Av',
    ],
    semantics: copy,
  },
  {
    mnemonic: 'MOVZX',
    summary: 'Move with zero extension',
    frequent: true,
    forms: ['0F B6 Gv,Eb', '0F B7 Gv,Ew'],
    semantics: copy,
  },
  {
    mnemonic: 'MOVSX',
    summary: 'Move with sign extension',
    frequent: true,
    forms: ['0F BE Gv,Eb', '0F BF Gv,Ew'],
    semantics: (s) => s.write(0, s.signExtend(s.read(1), s.operandSize(1))),
  },
  {
    mnemonic: 'MOVSXD',
    summary: 'Move doubleword with sign extension',
    frequent: true,
    forms: ['63 Gv,Ed o64'],
    semantics: (s) => s.write(0, s.signExtend(s.read(1), 32)),
  },
  {
    mnemonic: 'LEA',
    summary: 'Load effective address',
    forms: ['8D Gv,Mv'],
    semantics: (s) => s.write(0, s.effectiveAddress()),
  },
  {
    mnemonic: 'XCHG',
    summary: 'Exchange',
    forms: ['86 Eb,Gb', '87 Ev,Gv'],
    lock: true,
    semantics: (s) => {
      const a = s.readForWrite(0);
      const b = s.read(1);
      s.write(0, b);
      s.write(1, a);
    },
  },
  // Before XCHG, whose form with register 0 it is: it leaves the upper half of RAX alone.
  { mnemonic: 'NOP', summary: 'No operation', forms: ['90 Ab'], semantics: () => {} },
  {
    mnemonic: 'XCHG',
    summary: 'Exchange',
    forms: ['90+ Zv,Av'],
    semantics: (s) => {
      const a = s.read(0);
      const b = s.read(1);
      s.write(0, b);
      s.write(1, a);
    },
  },
  { mnemonic: 'BSWAP', summary: 'Byte swap', forms: ['0F C8+ Zv'], semantics: byteSwap },
  {
    mnemonic: 'MOVBE',
    summary: 'Move with bytes swapped',
    forms: ['0F 38 F0 Gv,Mv', '0F 38 F1 Mv,Gv'],
    feature: 'movbe',
    semantics: (s) => s.write(0, swapped(s, s.read(1))),
  },
  {
    mnemonic: 'PUSH',
    summary: 'Push onto the stack',
    forms: ['50+ Zv d64', 'FF/6 Ev d64'],
    varies: ['stack'],
    semantics: (s) => s.push(s.read(0), s.size),
  },
  {
    mnemonic: 'PUSH',
    summary: 'Push onto the stack',
    forms: ['68 Iz d64', '6A Is d64'],
    varies: ['stack'],
    semantics: (s) => s.push(s.read(0), s.size),
  },
  {
    mnemonic: 'POP',
    summary: 'Pop from the stack',
    forms: ['58+ Zv d64'],
    varies: ['stack'],
    semantics: (s) => {
      const value = s.pop(s.size);
      s.commitPop(s.size);
      s.write(0, value);
    },
  },
  { mnemonic: 'POP', summary: 'Pop from the stack', forms: ['8F/0 Ev d64'], helper: 'pop_memory' },
  { mnemonic: 'PUSHA', summary: 'Push all general registers', forms: ['60 Av i64'], varies: ['stack'], semantics: pushAll },
  { mnemonic: 'POPA', summary: 'Pop all general registers', forms: ['61 Av i64'], varies: ['stack'], semantics: popAll },
  { mnemonic: 'ENTER', summary: 'Make a stack frame', forms: ['C8 Iw,Ib d64'], helper: 'enter' },
  {
    mnemonic: 'LEAVE',
    summary: 'Release the stack frame',
    forms: ['C9 Av d64'],
    varies: ['stack'],
    semantics: (s) => {
      const frame = s.keep(s.register(RBP, s.stackWidth));
      const value = s.load(SS, frame, s.size);
      s.setRegister(RSP, s.stackWidth, s.add(frame, s.constant(s.size / 8)));
      s.setRegister(RBP, s.size, value);
    },
  },
  {
    mnemonic: 'XLAT',
    summary: 'Table look-up',
    forms: ['D7 Ab'],
    varies: ['address'],
    semantics: (s) => {
      const offset = s.zeroExtend(s.add(s.register(RBX, s.addressSize), s.register(RAX, 8)), s.addressSize);
      s.setRegister(RAX, 8, s.load('operand', offset, 8));
    },
  },
  { mnemonic: 'MOV', summary: 'Move a segment register', forms: ['8C Ev,Sw'], semantics: (s) => s.write(0, s.read(1)) },
  { mnemonic: 'MOV', summary: 'Load a segment register', forms: ['8E Sw,Ew'], helper: 'mov_to_seg', endsBlock: true },
  ...[
    ['06 Av i64', 0],
    ['0E Av i64', 1],
    ['16 Av i64', 2],
    ['1E Av i64', 3],
    ['0F A0 Av d64', 4],
    ['0F A8 Av d64', 5],
  ].map(
    ([form, segment]): InstructionDefinition => ({
      mnemonic: 'PUSH',
      summary: 'Push a segment register',
      forms: [String(form)],
      varies: ['stack'],
      semantics: (s) => s.push(s.segmentSelector(Number(segment)), s.size),
    }),
  ),
  {
    mnemonic: 'POP',
    summary: 'Pop a segment register',
    forms: ['07 Av i64', '17 Av i64', '1F Av i64', '0F A1 Av d64', '0F A9 Av d64'],
    helper: 'pop_seg',
    endsBlock: true,
  },
  {
    mnemonic: 'LDS',
    summary: 'Load a far pointer (LDS, LES, LSS, LFS, LGS)',
    forms: ['C5 Gv,Mv i64', 'C4 Gv,Mv i64', '0F B2 Gv,Mv', '0F B4 Gv,Mv', '0F B5 Gv,Mv'],
    helper: 'load_far_pointer',
    endsBlock: true,
  },
  {
    mnemonic: 'CMPXCHG8B',
    summary: 'Compare and exchange 8 (16) bytes',
    forms: ['0F C7/1 My'],
    flags: 'w:Z',
    feature: 'cx8',
    wideFeature: 'cx16',
    lock: true,
    semantics: (s) => {
      if (s.size === 64) return exchange16(s);
      const old = s.keep(s.loadForWrite('operand', s.effectiveAddress(), 64));
      const expected = s.keep(s.or(s.shl(s.register(RDX, 32), s.constant(32)), s.register(RAX, 32)));
      const same = s.keep(s.equal(old, expected));
      const wanted = s.or(s.shl(s.register(RCX, 32), s.constant(32)), s.register(RBX, 32));
      s.store('operand', s.effectiveAddress(), 64, s.select(same, wanted, old));
      s.when(s.isZero(same), () => {
        s.setRegister(RAX, 32, old);
        s.setRegister(RDX, 32, s.shr(old, s.constant(32)));
      });
      s.flags.setZero(same);
    },
  },
  {
    mnemonic: 'NOP',
    summary: 'No operation',
    forms: ['0F 1F Ev', '0F 18 Ev', '0F 19 Ev', '0F 1A Ev', '0F 1B Ev', '0F 1C Ev', '0F 1D Ev', '0F 1E Ev', '0F 0D Mb'],
    semantics: () => {},
  },
  {
    mnemonic: 'LFENCE',
    summary: 'Fences (LFENCE, MFENCE, SFENCE): nothing to do on a machine that executes in order',
    forms: ['0F AE/5 Rd', '0F AE/6 Rd', '0F AE/7 Rd'],
    semantics: () => {},
  },
  {
    mnemonic: 'CLFLUSH',
    summary: 'Flush a cache line',
    forms: ['0F AE/7 Mb'],
    feature: 'clflush',
    semantics: (s) => void s.keep(s.load('operand', s.effectiveAddress(), 8)),
  },
];

function swapped(s: Semantics, value: ReturnType<Semantics['read']>): ReturnType<Semantics['read']> {
  let result = s.constant(0);
  for (let shift = 0; shift < s.size; shift += 8)
    result = s.or(result, s.shl(s.and(s.shr(value, s.constant(shift)), s.constant(0xff)), s.constant(s.size - 8 - shift)));
  return s.keep(result);
}

/** BSWAP of a 16-bit register is undefined; AMD's and Intel's processors clear it. */
function byteSwap(s: Semantics): void {
  if (s.size === 16) s.write(0, s.constant(0));
  else s.write(0, swapped(s, s.read(0)));
}
