import { findRegister } from '../debugger/inspection/registers.ts';
import type { CodeMode, Processor } from '../processor/processor.ts';

/** A register of the target description, in gdb's order. */
export interface GdbRegister {
  readonly name: string;
  readonly bits: number;
  readonly type: string;
  readonly group?: string;
  /** Undefined for a part of the processor that isn't there: it reads as zero. */
  read(processor: Processor): bigint | undefined;
  /** False when it can't be set. Throws ExpressionError for a value that the processor would refuse. */
  write(processor: Processor, value: bigint): boolean;
}

interface Feature {
  readonly name: string;
  readonly registers: readonly GdbRegister[];
}

/** What a client is told of the processor, and the registers that its numbers mean. */
export interface TargetDescription {
  readonly mode: CodeMode;
  readonly xml: string;
  readonly registers: readonly GdbRegister[];
}

const SEGMENTS = ['cs', 'ss', 'ds', 'es', 'fs', 'gs'];
const X87_CONTROL = ['fctrl', 'fstat', 'ftag', 'fiseg', 'fioff', 'foseg', 'fooff', 'fop'];
const GENERAL_64 = 'rax rbx rcx rdx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15'.split(' ');
const GENERAL_32 = 'eax ecx edx ebx esp ebp esi edi'.split(' ');
const SYSTEM = ['cr0', 'cr2', 'cr3', 'cr4', 'efer', 'dr0', 'dr1', 'dr2', 'dr3', 'dr6', 'dr7'];

/** A register that the debugger knows by the same name. */
function named(name: string, bits: number, type: string, own = name, group?: string): GdbRegister {
  return {
    name,
    bits,
    type,
    group,
    read: (processor) => findRegister(processor, own)?.get(),
    write: (processor, value) => {
      const register = findRegister(processor, own);
      if (!register) return false;
      register.set(BigInt.asUintN(register.bits, value));
      processor.stateChanged();
      return true;
    },
  };
}

/** RIP as a linear address: where segments have bases, that is what breakpoints and `x/i $pc` need. */
function instructionPointer(name: string, bits: number): GdbRegister {
  return {
    name,
    bits,
    type: 'code_ptr',
    read: (processor) => processor.linearRip,
    write: (processor, value) => {
      const { state } = processor;
      state.rip = BigInt.asUintN(64, value - (processor.linearRip - state.rip));
      processor.stateChanged();
      return true;
    },
  };
}

function coreFeature(mode: CodeMode): Feature {
  const is64 = mode === 64;
  const bits = is64 ? 64 : 32;
  const general = (is64 ? GENERAL_64 : GENERAL_32).map((name) =>
    named(name, bits, /^.(bp|sp)$/.test(name) ? 'data_ptr' : is64 ? 'int64' : 'int32'),
  );
  return {
    name: 'org.gnu.gdb.i386.core',
    registers: [
      ...general,
      instructionPointer(is64 ? 'rip' : 'eip', bits),
      named('eflags', 32, 'i386_eflags'),
      ...SEGMENTS.map((name) => named(name, 32, 'int32')),
      ...Array.from({ length: 8 }, (_, index) => named(`st${index}`, 80, 'i387_ext', `st${index}`, 'float')),
      ...X87_CONTROL.map((name) => named(name, 32, 'int', name, 'float')),
    ],
  };
}

/** The upper half of a YMM register, which gdb puts together with XMM. */
function upperHalf(number: number): GdbRegister {
  const whole = (processor: Processor) => findRegister(processor, `ymm${number}`);
  const half = 128n;
  return {
    name: `ymm${number}h`,
    bits: 128,
    type: 'uint128',
    group: 'vector',
    read: (processor) => (whole(processor)?.get() ?? 0n) >> half,
    write: (processor, value) => {
      const register = whole(processor);
      if (!register) return false;
      register.set(BigInt.asUintN(128, register.get()) | (BigInt.asUintN(128, value) << half));
      processor.stateChanged();
      return true;
    },
  };
}

/** The vector registers of a processor that has any. */
function vectorFeatures({ model }: Processor, mode: CodeMode): readonly Feature[] {
  const numbers = Array.from({ length: mode === 64 ? 16 : 8 }, (_, index) => index);
  const sse = {
    name: 'org.gnu.gdb.i386.sse',
    registers: [
      ...numbers.map((number) => named(`xmm${number}`, 128, 'vec128', `xmm${number}`, 'vector')),
      named('mxcsr', 32, 'i386_mxcsr', 'mxcsr', 'vector'),
    ],
  };
  const avx = { name: 'org.gnu.gdb.i386.avx', registers: numbers.map(upperHalf) };
  return model.has('avx') ? [sse, avx] : model.has('sse') ? [sse] : [];
}

function features(processor: Processor, mode: CodeMode): readonly Feature[] {
  const system: Feature = {
    name: 'org.hyperscope.system',
    registers: SYSTEM.map((name) => named(name, 64, 'uint64', name, 'system')),
  };
  if (mode !== 64) return [coreFeature(mode), ...vectorFeatures(processor, mode), system];
  const bases: Feature = {
    name: 'org.gnu.gdb.i386.segments',
    registers: ['fs', 'gs'].map((name) => named(`${name}_base`, 64, 'int', `${name}.base`)),
  };
  return [coreFeature(mode), ...vectorFeatures(processor, mode), bases, system];
}

const FLAGS: readonly (readonly [name: string, bit: number])[] = [
  ['CF', 0],
  ['', 1],
  ['PF', 2],
  ['AF', 4],
  ['ZF', 6],
  ['SF', 7],
  ['TF', 8],
  ['IF', 9],
  ['DF', 10],
  ['OF', 11],
  ['NT', 14],
  ['RF', 16],
  ['VM', 17],
  ['AC', 18],
  ['VIF', 19],
  ['VIP', 20],
  ['ID', 21],
];

const MXCSR: readonly (readonly [name: string, bit: number])[] = [
  ...['IE', 'DE', 'ZE', 'OE', 'UE', 'PE', 'DAZ', 'IM', 'DM', 'ZM', 'OM', 'UM', 'PM'].map((flag, bit) => [flag, bit] as const),
  ['FZ', 15],
];

function flagsXml(id: string, flags: readonly (readonly [name: string, bit: number])[]): string {
  const fields = flags.map(([flag, bit]) => `<field name="${flag}" start="${bit}" end="${bit}"/>`);
  return `<flags id="${id}" size="4">${fields.join('')}</flags>`;
}

/** The ways in which gdb shows a vector of 128 bits. */
const VECTOR_VIEWS: readonly (readonly [id: string, type: string, count: number, field: string])[] = [
  ['v4f', 'ieee_single', 4, 'v4_float'],
  ['v2d', 'ieee_double', 2, 'v2_double'],
  ['v16i8', 'int8', 16, 'v16_int8'],
  ['v8i16', 'int16', 8, 'v8_int16'],
  ['v4i32', 'int32', 4, 'v4_int32'],
  ['v2i64', 'int64', 2, 'v2_int64'],
];

function vectorXml(): string {
  const vectors = VECTOR_VIEWS.map(([id, type, count]) => `<vector id="${id}" type="${type}" count="${count}"/>`);
  const fields = VECTOR_VIEWS.map(([id, , , field]) => `<field name="${field}" type="${id}"/>`);
  return `${vectors.join('')}<union id="vec128">${fields.join('')}<field name="uint128" type="uint128"/></union>`;
}

/** Types that the registers of a feature have. */
const TYPES: Readonly<Record<string, () => string>> = {
  'org.gnu.gdb.i386.core': () => flagsXml('i386_eflags', FLAGS),
  'org.gnu.gdb.i386.sse': () => vectorXml() + flagsXml('i386_mxcsr', MXCSR),
};

function featureXml({ name, registers }: Feature): string {
  const rows = registers.map(({ name: register, bits, type, group }) => {
    const inGroup = group === undefined ? '' : ` group="${group}"`;
    return `<reg name="${register}" bitsize="${bits}" type="${type}"${inGroup}/>`;
  });
  return `<feature name="${name}">${TYPES[name]?.() ?? ''}${rows.join('')}</feature>`;
}

/** The architectures by the mode that a description is for. */
const ARCHITECTURES: Readonly<Record<CodeMode, string>> = { 16: 'i8086', 32: 'i386', 64: 'i386:x86-64' };

/** The mode that an architecture's name is for; undefined for a name that is none. */
export function modeOfArchitecture(name: string): CodeMode | undefined {
  return ([16, 32, 64] as const).find((mode) => ARCHITECTURES[mode] === name);
}

/** The description of a processor as it is in one of its modes (GDB manual, appendix "Target Descriptions"). */
export function describeTarget(processor: Processor, mode: CodeMode): TargetDescription {
  const own = features(processor, mode);
  const xml = [
    '<?xml version="1.0"?><!DOCTYPE target SYSTEM "gdb-target.dtd">',
    `<target version="1.0"><architecture>${ARCHITECTURES[mode]}</architecture>`,
    ...own.map(featureXml),
    '</target>',
  ].join('');
  return { mode, xml, registers: own.flatMap(({ registers }) => registers) };
}
