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

function features(mode: CodeMode): readonly Feature[] {
  const system: Feature = {
    name: 'org.hyperscope.system',
    registers: SYSTEM.map((name) => named(name, 64, 'uint64', name, 'system')),
  };
  if (mode !== 64) return [coreFeature(mode), system];
  const bases: Feature = {
    name: 'org.gnu.gdb.i386.segments',
    registers: ['fs', 'gs'].map((name) => named(`${name}_base`, 64, 'int', `${name}.base`)),
  };
  return [coreFeature(mode), bases, system];
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

function featureXml({ name, registers }: Feature): string {
  const flags =
    name === 'org.gnu.gdb.i386.core'
      ? `<flags id="i386_eflags" size="4">${FLAGS.map(([flag, bit]) => `<field name="${flag}" start="${bit}" end="${bit}"/>`).join('')}</flags>`
      : '';
  const rows = registers.map(({ name: register, bits, type, group }) => {
    const inGroup = group === undefined ? '' : ` group="${group}"`;
    return `<reg name="${register}" bitsize="${bits}" type="${type}"${inGroup}/>`;
  });
  return `<feature name="${name}">${flags}${rows.join('')}</feature>`;
}

/** The architectures by the mode that a guest starts in; a client can't change its mind later. */
const ARCHITECTURES: Readonly<Record<CodeMode, string>> = { 16: 'i8086', 32: 'i386', 64: 'i386:x86-64' };

/** The description of a processor whose guest starts in a mode (GDB manual, appendix "Target Descriptions"). */
export function describeTarget(mode: CodeMode): TargetDescription {
  const own = features(mode);
  const xml = [
    '<?xml version="1.0"?><!DOCTYPE target SYSTEM "gdb-target.dtd">',
    `<target version="1.0"><architecture>${ARCHITECTURES[mode]}</architecture>`,
    ...own.map(featureXml),
    '</target>',
  ].join('');
  return { xml, registers: own.flatMap(({ registers }) => registers) };
}
