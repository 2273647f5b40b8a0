/** Names that NASM has and the opcode table doesn't, and what is peculiar to some instructions. */

/** Another name; with a predicate, the last immediate operand. */
export interface Alias {
  readonly mnemonic: string;
  readonly immediate?: number;
}

/** The conditions that have more than one name: other name → the table's. */
const CONDITIONS: Readonly<Record<string, string>> = {
  z: 'e',
  nz: 'ne',
  c: 'b',
  nae: 'b',
  nc: 'ae',
  nb: 'ae',
  na: 'be',
  nbe: 'a',
  pe: 'p',
  po: 'np',
  nge: 'l',
  nl: 'ge',
  ng: 'le',
  nle: 'g',
};

function conditional(prefix: string, suffix = ''): Record<string, Alias> {
  return Object.fromEntries(
    Object.entries(CONDITIONS).map(([name, other]) => [prefix + name + suffix, { mnemonic: prefix + other + suffix }]),
  );
}

/** CMPccXADD, whose names in the table are others. */
function compareAndAdd(): Record<string, Alias> {
  const names: Readonly<Record<string, string>> = {
    ae: 'nb',
    nc: 'nb',
    ne: 'nz',
    a: 'nbe',
    ge: 'nl',
    g: 'nle',
    e: 'z',
    c: 'b',
    nae: 'b',
    na: 'be',
    pe: 'p',
    po: 'np',
    nge: 'l',
    ng: 'le',
  };
  return Object.fromEntries(Object.entries(names).map(([name, other]) => [`cmp${name}xadd`, { mnemonic: `cmp${other}xadd` }]));
}

/** CMPPS … with the predicate in the name (Intel SDM vol. 2, CMPPD and VCMPPD). */
function comparisons(): Record<string, Alias> {
  const legacy = ['eq', 'lt', 'le', 'unord', 'neq', 'nlt', 'nle', 'ord'];
  const wide = [
    ...legacy,
    'eq_uq',
    'nge',
    'ngt',
    'false',
    'neq_oq',
    'ge',
    'gt',
    'true',
    'eq_os',
    'lt_oq',
    'le_oq',
    'unord_s',
    'neq_us',
    'nlt_uq',
    'nle_uq',
    'ord_s',
    'eq_us',
    'nge_uq',
    'ngt_uq',
    'false_os',
    'neq_os',
    'ge_oq',
    'gt_oq',
    'true_us',
  ];
  const full = ['eq_oq', 'lt_os', 'le_os', 'unord_q', 'neq_uq', 'nlt_us', 'nle_us', 'ord_q'];
  const more: Readonly<Record<string, number>> = { nge_us: 9, ngt_us: 10, false_oq: 11, ge_os: 13, gt_os: 14, true_uq: 15 };
  const types = ['ps', 'pd', 'ss', 'sd'];
  const result: Record<string, Alias> = {};
  for (const type of types) {
    legacy.forEach((name, immediate) => {
      result[`cmp${name}${type}`] = { mnemonic: `cmp${type}`, immediate };
    });
    wide.forEach((name, immediate) => {
      result[`vcmp${name}${type}`] = { mnemonic: `vcmp${type}`, immediate };
    });
    full.forEach((name, immediate) => {
      result[`vcmp${name}${type}`] = { mnemonic: `vcmp${type}`, immediate };
    });
    for (const [name, immediate] of Object.entries(more)) result[`vcmp${name}${type}`] = { mnemonic: `vcmp${type}`, immediate };
  }
  return result;
}

/** Carry-less multiplication and AVX-512 comparisons of integers, with the immediate in the name. */
function otherPredicates(): Record<string, Alias> {
  const result: Record<string, Alias> = {};
  const halves = { lqlq: 0x00, hqlq: 0x01, lqhq: 0x10, hqhq: 0x11 };
  for (const [name, immediate] of Object.entries(halves))
    for (const prefix of ['', 'v']) result[`${prefix}pclmul${name}dq`] = { mnemonic: `${prefix}pclmulqdq`, immediate };
  const relations = ['eq', 'lt', 'le', '', 'neq', 'nlt', 'nle'];
  for (const type of ['b', 'w', 'd', 'q', 'ub', 'uw', 'ud', 'uq'])
    relations.forEach((name, immediate) => {
      if (name !== '' && !(name === 'eq' && !type.startsWith('u')))
        result[`vpcmp${name}${type}`] = { mnemonic: `vpcmp${type}`, immediate };
    });
  return result;
}

export const aliases: ReadonlyMap<string, Alias> = new Map(
  Object.entries({
    ...Object.fromEntries(
      Object.entries({
        sal: 'shl',
        retn: 'ret',
        loopz: 'loope',
        loopnz: 'loopne',
        xlat: 'xlatb',
        icebp: 'int1',
        int01: 'int1',
        int03: 'int3',
        ud2a: 'ud2',
        ud2b: 'ud1',
        fwait: 'wait',
      }).map(([name, mnemonic]) => [name, { mnemonic }]),
    ),
    ...conditional('j'),
    ...conditional('set'),
    ...conditional('cmov'),
    ...compareAndAdd(),
    ...comparisons(),
    ...otherPredicates(),
  } satisfies Record<string, Alias>),
);

/** Names whose width is that of the mode. */
export const modeAliases: ReadonlyMap<string, Readonly<Record<16 | 32 | 64, string>>> = new Map([
  ['iret', { 16: 'iret', 32: 'iretd', 64: 'iretd' }],
  ['iretw', { 16: 'iret', 32: 'iret', 64: 'iret' }],
  ['pushf', { 16: 'pushf', 32: 'pushfd', 64: 'pushfq' }],
  ['popf', { 16: 'popf', 32: 'popfd', 64: 'popfq' }],
  ['pushfw', { 16: 'pushf', 32: 'pushf', 64: 'pushf' }],
  ['popfw', { 16: 'popf', 32: 'popf', 64: 'popf' }],
  ['pusha', { 16: 'pusha', 32: 'pushad', 64: 'pushad' }],
  ['popa', { 16: 'popa', 32: 'popad', 64: 'popad' }],
  ['pushaw', { 16: 'pusha', 32: 'pusha', 64: 'pusha' }],
  ['popaw', { 16: 'popa', 32: 'popa', 64: 'popa' }],
]);

/** Returns that say their size. */
export const sizedNames: ReadonlyMap<string, { readonly mnemonic: string; readonly size: 16 | 32 | 64 }> = new Map(
  ['ret', 'retn', 'retf'].flatMap((name) =>
    (
      [
        ['w', 16],
        ['d', 32],
        ['q', 64],
      ] as const
    ).map(([suffix, size]) => [name + suffix, { mnemonic: name === 'retn' ? 'ret' : name, size }] as const),
  ),
);

/** Operands that may be written though the instruction implies them, by register names. */
export const impliedOperands: ReadonlyMap<string, readonly (readonly string[])[]> = new Map([
  ['monitor', [['ax', 'eax', 'rax'], ['ecx'], ['edx']]],
  ['monitorx', [['ax', 'eax', 'rax'], ['ecx'], ['edx']]],
  ['mwait', [['eax'], ['ecx']]],
  ['mwaitx', [['eax'], ['ecx'], ['ebx']]],
  ['invlpga', [['ax', 'eax', 'rax'], ['ecx']]],
  ['clzero', [['ax', 'eax', 'rax']]],
]);

/** Instructions whose last operand XMM0 is implied. */
export const impliedXmm0: ReadonlySet<string> = new Set(['pblendvb', 'blendvps', 'blendvpd', 'sha256rnds2']);

/** System instructions whose 16-bit register operand needs no prefix. */
export const noOperandPrefix: ReadonlySet<string> = new Set(['lldt', 'ltr', 'lmsw', 'verr', 'verw']);

/** A 64-bit register here doesn't need REX.W or VEX.W, since the upper half is cleared anyway. */
export const narrowRegister: ReadonlySet<string> = new Set([
  'sldt',
  'vmovmskps',
  'vmovmskpd',
  'vpmovmskb',
  'pextrb',
  'vpextrb',
  'vpextrw',
]);

/** NASM writes REX.W though the instruction doesn't need it. */
export const superfluousRexW: ReadonlySet<string> = new Set(['invpcid', 'enqcmd', 'enqcmds']);

/** Of the VEX and the EVEX form NASM takes the latter, unless `{vex}` stands in front. */
export const evexFirst: ReadonlySet<string> = new Set([
  'vpdpbusd',
  'vpdpbusds',
  'vpdpwssd',
  'vpdpwssds',
  'vpmadd52luq',
  'vpmadd52huq',
  'vcvtneps2bf16',
]);

/** x87 instructions whose other operand is ST0 or ST1 when it isn't written. */
export const x87ZeroOperands: ReadonlySet<string> = new Set([
  'fadd',
  'fmul',
  'fsub',
  'fsubr',
  'fdiv',
  'fdivr',
  'fcom',
  'fcomp',
  'fxch',
  'fucom',
  'fucomp',
  'fucomi',
  'fucomip',
  'fcomi',
  'fcomip',
  'faddp',
  'fmulp',
  'fsubp',
  'fsubrp',
  'fdivp',
  'fdivrp',
  'fcmovb',
  'fcmove',
  'fcmovbe',
  'fcmovu',
  'fcmovnb',
  'fcmovne',
  'fcmovnbe',
  'fcmovnu',
]);

/** Names with WAIT in front, as `fstsw` is `wait` and `fnstsw`. */
export const waiting: ReadonlyMap<string, string> = new Map([
  ['fstsw', 'fnstsw'],
  ['fstcw', 'fnstcw'],
  ['fstenv', 'fnstenv'],
  ['fsave', 'fnsave'],
  ['fclex', 'fnclex'],
  ['finit', 'fninit'],
  ['feni', 'fneni'],
  ['fdisi', 'fndisi'],
]);

const REX_W = 0x48;
type ByMode = (mode: 16 | 32 | 64) => readonly number[];

function element(opcode: number, size: 8 | 16 | 32 | 64): ByMode {
  return (mode) => {
    if (size === 64) return [REX_W, opcode + 1];
    if (size === 8) return [opcode];
    const needsPrefix = (size === 16) !== (mode === 16);
    return needsPrefix ? [0x66, opcode + 1] : [opcode + 1];
  };
}

/** String instructions, whose operands are implied, and others without an opcode of the table when they have no operands. */
export const stringInstructions: ReadonlyMap<string, (mode: 16 | 32 | 64) => Uint8Array> = new Map<
  string,
  (mode: 16 | 32 | 64) => Uint8Array
>(
  (
    [
      ['movs', 0xa4, true],
      ['cmps', 0xa6, true],
      ['stos', 0xaa, true],
      ['lods', 0xac, true],
      ['scas', 0xae, true],
      ['ins', 0x6c, false],
      ['outs', 0x6e, false],
    ] as const
  ).flatMap(([name, opcode, hasQword]) =>
    (
      [
        ['b', 8],
        ['w', 16],
        ['d', 32],
        ['q', 64],
      ] as const
    )
      .filter(([, size]) => size !== 64 || hasQword)
      .map(([suffix, size]): [string, (mode: 16 | 32 | 64) => Uint8Array] => {
        const bytes = element(opcode, size);
        return [name + suffix, (mode) => Uint8Array.from(bytes(mode))];
      }),
  ),
)
  .set('xlatb', () => Uint8Array.of(0xd7))
  .set('ud0', () => Uint8Array.of(0x0f, 0xff))
  .set('ud1', () => Uint8Array.of(0x0f, 0xb9));
