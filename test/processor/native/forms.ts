import {
  Code,
  CodeExt,
  CpuidFeature,
  EncodingKind,
  Instruction,
  MandatoryPrefix,
  Mnemonic,
  OpCodeOperandKind,
  OpCodeTableKind,
} from 'iced-x86';

/** An instruction form, as far as it is needed to encode it. */
export interface InstructionForm {
  /** Name of the form in iced-x86: `Add_rm64_r64`. */
  readonly name: string;
  readonly code: Code;
  /** Size of the code that it is for: 64-bit mode, or compatibility mode with 32-bit or 16-bit code. */
  readonly bits: 16 | 32 | 64;
  /** Lower case. MOVSD and CMPSD of SSE2 have `_xmm` behind, to tell them from string instructions. */
  readonly mnemonic: string;
  /** It is of MMX, SSE or AVX. */
  readonly vector: boolean;
  /** As manuals write it: `ADD r/m64, r64`. */
  readonly text: string;
  readonly vex: boolean;
  /** Opcode with its escape bytes; a second opcode byte that is a whole ModRM byte is the last of them. */
  readonly opcode: readonly number[];
  /** Number of the opcode map for VEX: 1 0F, 2 0F38, 3 0F3A. */
  readonly map: number;
  readonly mandatoryPrefix: 0 | 0x66 | 0xf2 | 0xf3;
  readonly operandSize16: boolean;
  /** It needs an operand-size prefix. */
  readonly operandPrefix: boolean;
  readonly rexW: boolean;
  /** Bits that VEX has to have, or either. */
  readonly vexL: 0 | 1 | 'any';
  readonly vexW: 0 | 1 | 'any';
  /** It needs an address-size prefix. */
  readonly addressPrefix: boolean;
  /** ModRM.reg that belongs to the opcode, or -1. */
  readonly group: number;
  readonly operands: readonly string[];
  readonly modrm: 'none' | 'any' | 'memory' | 'register';
  readonly lockable: boolean;
  readonly repeatable: boolean;
  readonly repeatableWhileNotEqual: boolean;
}

/** CPUID features of iced-x86 that make up the integer instruction set, with the name that Linux gives to each extension. */
const FEATURES: Readonly<Record<string, string | undefined>> = {
  INTEL8086: '',
  INTEL186: '',
  INTEL286: '',
  INTEL386: '',
  INTEL486: '',
  X64: '',
  PAUSE: '',
  MULTIBYTENOP: '',
  MSR: '',
  SYSCALL: '',
  CMOV: 'cmov',
  CX8: 'cx8',
  CMPXCHG16B: 'cx16',
  POPCNT: 'popcnt',
  LZCNT: 'abm',
  BMI1: 'bmi1',
  BMI2: 'bmi2',
  ADX: 'adx',
  MOVBE: 'movbe',
  PREFETCHW: '3dnowprefetch',
  CET_IBT: '',
  FSGSBASE: 'fsgsbase',
  SMAP: 'smap',
};

/** The same of MMX, SSE and AVX. */
const VECTOR_FEATURES: Readonly<Record<string, string | undefined>> = {
  MMX: 'mmx',
  SSE: 'sse',
  SSE2: 'sse2',
  SSE3: 'pni',
  SSSE3: 'ssse3',
  SSE4_1: 'sse4_1',
  SSE4_2: 'sse4_2',
  AES: 'aes',
  PCLMULQDQ: 'pclmulqdq',
  SHA: 'sha_ni',
  AVX: 'avx',
  AVX2: 'avx2',
  FMA: 'fma',
  F16C: 'f16c',
};

/** Forms that can't be compared in user mode, and why. */
const LEFT_OUT: readonly (readonly [RegExp, string])[] = [
  [/^(INVALID|Declare)/, 'not an instruction'],
  [/^Syscall/, 'enters the kernel of the host'],
  [/^(Sldt|Str|Smsw|Sgdt|Sidt)_/, 'shows tables of the host, or is emulated by its kernel'],
  [/^Wait/, 'floating point'],
  [/^Int1$/, 'hypervisors below the host differ in the RIP that they report'],
  [/^Ud0$/, 'on AMD processors another form of the same opcode'],
  [/^(Clac|Stac|Endbr32|Sysret)/, 'depends on how the host is set up'],
];

function leftOut(name: string): boolean {
  return LEFT_OUT.some(([pattern]) => pattern.test(name));
}

function modrmOf(operands: readonly string[], group: number): InstructionForm['modrm'] {
  if (operands.some((kind) => kind.endsWith('_or_mem'))) return 'any';
  if (operands.some((kind) => /^mem(_vsib.*)?$/.test(kind))) return 'memory';
  if (operands.some((kind) => kind.endsWith('_rm') || kind.endsWith('_reg'))) return 'register';
  return group >= 0 ? 'any' : 'none';
}

const ESCAPES: Readonly<Record<number, readonly number[] | undefined>> = {
  [OpCodeTableKind.Normal]: [],
  [OpCodeTableKind.T0F]: [0x0f],
  [OpCodeTableKind.T0F38]: [0x0f, 0x38],
  [OpCodeTableKind.T0F3A]: [0x0f, 0x3a],
};

const PREFIXES: Readonly<Record<number, 0x66 | 0xf2 | 0xf3 | undefined>> = {
  [MandatoryPrefix.P66]: 0x66,
  [MandatoryPrefix.PF2]: 0xf2,
  [MandatoryPrefix.PF3]: 0xf3,
};

function readForm(name: string, code: Code, bits: 16 | 32 | 64, vector: boolean): InstructionForm | undefined {
  const info = CodeExt.opCode(code);
  try {
    const fits = bits === 64 ? info.mode64 : bits === 32 ? info.mode32 : info.mode16;
    if (!fits || !info.isInstruction || leftOut(name)) return undefined;
    if (info.encoding !== EncodingKind.Legacy && info.encoding !== EncodingKind.VEX) return undefined;
    const escapes = ESCAPES[info.table];
    if (!escapes) return undefined;
    const operands = Array.from({ length: info.opCount }, (_, index) => OpCodeOperandKind[info.opKind(index)] ?? '');
    const opcode = [...escapes, ...(info.opCodeLength === 2 ? [info.opCode >> 8, info.opCode & 0xff] : [info.opCode])];
    const rexW = bits === 64 && ((info.operandSize === 64 && !info.defaultOpSize64 && !info.forceOpSize64) || info.W === 1);
    const mnemonic = (Mnemonic[info.mnemonic] ?? '').toLowerCase();
    return {
      name,
      code,
      bits,
      mnemonic: vector && /^(movsd|cmpsd)$/.test(mnemonic) ? `${mnemonic}_xmm` : mnemonic,
      vector,
      text: info.instructionString,
      vex: info.encoding === EncodingKind.VEX,
      opcode,
      map: escapes.length === 0 ? 0 : escapes.length === 1 ? 1 : escapes[1] === 0x38 ? 2 : 3,
      mandatoryPrefix: PREFIXES[info.mandatoryPrefix] ?? 0,
      operandSize16: info.operandSize === 16,
      operandPrefix: info.operandSize === (bits === 16 ? 32 : 16),
      rexW,
      vexL: info.isLIG ? 'any' : info.L === 1 ? 1 : 0,
      // Intel's processors ignore W outside 64-bit mode where AMD's raise #UD.
      vexW: info.isWIG ? 'any' : info.W === 1 || rexW ? 1 : 0,
      addressPrefix: info.addressSize === (bits === 32 ? 16 : 32),
      group: info.groupIndex,
      operands,
      modrm: modrmOf(operands, info.groupIndex),
      lockable: info.canUseLockPrefix,
      repeatable: info.canUseRepPrefix,
      repeatableWhileNotEqual: info.canUseRepnePrefix,
    };
  } finally {
    info.free();
  }
}

/** The forms of 64-bit mode, or of 32-bit or 16-bit code, whose features a table names and a processor has. */
function formsOf(
  table: Readonly<Record<string, string | undefined>>,
  features: ReadonlySet<string>,
  bits: 16 | 32 | 64,
  vector: boolean,
): InstructionForm[] {
  const forms: InstructionForm[] = [];
  const instruction = new Instruction();
  for (const [name, code] of Object.entries(Code)) {
    if (typeof code !== 'number') continue;
    instruction.code = code;
    const needed = [...instruction.cpuidFeatures()].map((feature) => table[CpuidFeature[feature] ?? '']);
    if (needed.some((feature) => feature === undefined || (feature !== '' && !features.has(feature)))) continue;
    const form = readForm(name, code, bits, vector);
    if (form) forms.push(form);
  }
  instruction.free();
  return forms;
}

/**
 * Every integer instruction form of 64-bit mode, or of 32-bit or 16-bit code, that can be compared in user mode on a processor with these features (as
 * Linux names them). The list comes from iced-x86, not from the project's own definitions: a form that those miss shows up.
 */
export function integerForms(features: ReadonlySet<string>, bits: 16 | 32 | 64 = 64): InstructionForm[] {
  return formsOf(FEATURES, features, bits, false);
}

/** The same of what came with MMX, SSE and AVX, whether it has vector operands or not. */
export function vectorForms(features: ReadonlySet<string>, bits: 16 | 32 | 64 = 64): InstructionForm[] {
  return formsOf(VECTOR_FEATURES, features, bits, true);
}

/** Names, as Linux has them, of the features of vector forms that a processor lacks. */
export function missingVectorFeatures(features: ReadonlySet<string>): string[] {
  return Object.values(VECTOR_FEATURES).filter((name) => name !== undefined && !features.has(name)) as string[];
}
