import { describeFault } from '../../hypervisor/exits/describe.ts';
import type { Processor, RegisterTarget, WriteRefusal } from '../../processor/processor.ts';
import { Flag } from '../../processor/state/cpu-state.ts';
import * as L from '../../processor/state/layout.ts';
import { Segment } from '../../processor/state/layout.ts';
import { hex, isCanonical, MASK_32 } from '../../x86/address.ts';
import { ExpressionError } from '../expressions/evaluator.ts';
import { fpuRegister } from './fpu-registers.ts';
import { vectorRegister } from './vector-registers.ts';

const NAMES_64 = [
  'rax',
  'rcx',
  'rdx',
  'rbx',
  'rsp',
  'rbp',
  'rsi',
  'rdi',
  'r8',
  'r9',
  'r10',
  'r11',
  'r12',
  'r13',
  'r14',
  'r15',
] as const;
const ORDER = [0, 3, 1, 2, 6, 7, 5, 4, 8, 9, 10, 11, 12, 13, 14, 15] as const;
const NAMES_32 = ['eax', 'ecx', 'edx', 'ebx', 'esp', 'ebp', 'esi', 'edi'] as const;
const NAMES_16 = ['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di'] as const;
const NAMES_8 = ['al', 'cl', 'dl', 'bl'] as const;
const NAMES_8_HIGH = ['ah', 'ch', 'dh', 'bh'] as const;
export const SEGMENT_NAMES = ['es', 'cs', 'ss', 'ds', 'fs', 'gs', 'ldtr', 'tr'] as const;
/** Number of a segment register in encoding order (LDTR 6, TR 7), or -1. */
export function segmentIndex(name: string): number {
  return (SEGMENT_NAMES as readonly string[]).indexOf(name);
}

const FLAG_NAMES: readonly (readonly [string, number])[] = [
  ['cf', Flag.CF],
  ['pf', Flag.PF],
  ['af', Flag.AF],
  ['zf', Flag.ZF],
  ['sf', Flag.SF],
  ['tf', Flag.TF],
  ['if', Flag.IF],
  ['df', Flag.DF],
  ['of', Flag.OF],
  ['nt', Flag.NT],
  ['rf', Flag.RF],
  ['vm', Flag.VM],
  ['ac', Flag.AC],
  ['vif', Flag.VIF],
  ['vip', Flag.VIP],
  ['id', Flag.ID],
];
const CONTROL: Readonly<Record<number, number>> = { 0: L.CR0, 2: L.CR2, 3: L.CR3, 4: L.CR4 };

/** A register that can be read and written by name. */
export interface NamedRegister {
  readonly name: string;
  /** Of a general register or a part of one: its number in encodings. */
  readonly number?: number;
  readonly bits: number;
  get(): bigint;
  set(value: bigint): void;
  /** What its bits mean, where that is not plain. */
  note?(): string;
  /** Bits for a text that is no expression, such as a decimal fraction; undefined for one that is. */
  parse?(text: string): bigint | undefined;
}

/** Part of a general register: `bits` from `shift` on. A 32-bit part clears the upper half when written, as the processor does. */
function part(processor: Processor, name: string, index: number, bits: number, shift: bigint): NamedRegister {
  const { state } = processor;
  const mask = (1n << BigInt(bits)) - 1n;
  return {
    name,
    number: index,
    bits,
    get: () => (state.gpr(index) >> shift) & mask,
    set: (value) => {
      const kept = bits >= 32 ? 0n : state.gpr(index) & ~(mask << shift);
      state.setGpr(index, kept | ((value & mask) << shift));
    },
  };
}

function generalRegister(processor: Processor, name: string): NamedRegister | undefined {
  const find = (names: readonly string[]) => names.indexOf(name);
  if (find(NAMES_64) >= 0) return part(processor, name, find(NAMES_64), 64, 0n);
  if (find(NAMES_32) >= 0) return part(processor, name, find(NAMES_32), 32, 0n);
  if (find(NAMES_16) >= 0) return part(processor, name, find(NAMES_16), 16, 0n);
  if (find(NAMES_8) >= 0) return part(processor, name, find(NAMES_8), 8, 0n);
  if (find(NAMES_8_HIGH) >= 0) return part(processor, name, find(NAMES_8_HIGH), 8, 8n);
  const numbered = /^r(\d+)([bwd]?)$/.exec(name);
  const index = Number(numbered?.[1]);
  if (numbered && index >= 8 && index < 16)
    return part(processor, name, index, { b: 8, w: 16, d: 32 }[numbered[2] ?? ''] ?? 64, 0n);
  const low = ['spl', 'bpl', 'sil', 'dil'].indexOf(name);
  return low >= 0 ? part(processor, name, low + 4, 8, 0n) : undefined;
}

/** Bits of RFLAGS that exist; bit 1 is always set. */
const FLAGS_WRITABLE = FLAG_NAMES.reduce((bits, [, bit]) => bits | bit, Flag.IOPL);
const FLAGS_FIXED = 2;
const EFER_MSR = 0xc000_0080;
const EFER_LMA = 1n << 10n;

/** A register whose writes the processor checks. */
function checked(processor: Processor, name: string, bits: number, target: RegisterTarget, get: () => bigint): NamedRegister {
  return {
    name,
    bits,
    get,
    set: (value) => {
      const refusal = processor.writeRegister(target, value);
      if (refusal !== undefined) throw new ExpressionError(refused(name, value, refusal));
    },
  };
}

/** Why a write was refused, as a sentence. */
export function refused(name: string, value: bigint, refusal: WriteRefusal): string {
  const what = `${name} can't be ${hex(value)}`;
  if (refusal === 'no such register') return `${name} can't be written.`;
  if (refusal === 'unreadable') return `${what}: the descriptor lies in device memory.`;
  return `${what}: the guest's own write would raise ${describeFault(refusal.vector, refusal.errorCode)}.`;
}

function segmentRegister(processor: Processor, name: string, index: number): NamedRegister {
  const get = () => BigInt(processor.state.segment(index).selector);
  if (index !== Segment.CS) return checked(processor, name, 16, { kind: 'segment', number: index }, get);
  const sentence = 'cs is loaded by far jumps alone; set cs.base, cs.limit or cs.rights, or rip.';
  return { name, bits: 16, get, set: () => refuse(sentence) };
}

function refuse(sentence: string): never {
  throw new ExpressionError(sentence);
}

/** `cs.base`, `gs.limit`, `ldtr.rights`: the hidden parts of a segment register. */
function hiddenPart(processor: Processor, name: string, index: number, part: string): NamedRegister {
  const { state } = processor;
  const change = (parts: object) => state.setSegment(index, { ...state.segment(index), ...parts });
  if (part === 'limit')
    return {
      name,
      bits: 32,
      get: () => BigInt(state.segment(index).limit >>> 0),
      set: (value) => change({ limit: Number(value) }),
    };
  if (part === 'rights')
    return { name, bits: 17, get: () => BigInt(state.segment(index).rights), set: (value) => change({ rights: Number(value) }) };
  return {
    name,
    bits: 64,
    get: () => state.segment(index).base,
    set: (value) => {
      checkBase(processor, name, value);
      change({ base: value });
    },
  };
}

function checkBase({ state }: Processor, name: string, value: bigint): void {
  const isLong = (state.efer & EFER_LMA) !== 0n;
  if (isLong && !isCanonical(value)) refuse(`${name} can't be ${hex(value)}: it is not canonical.`);
  if (!isLong && value > MASK_32) refuse(`${name} can't be ${hex(value)}: outside of long mode it has 32 bits.`);
}

/** `gdtr.base`, `idtr.limit`. */
function tableRegister(processor: Processor, name: string, part: string): NamedRegister {
  const { state } = processor;
  const isGdt = name.startsWith('gdtr');
  if (part === 'limit') {
    const offset = isGdt ? L.GDTR_LIMIT : L.IDTR_LIMIT;
    return { name, bits: 16, get: () => BigInt(state.get32(offset)), set: (value) => state.set32(offset, Number(value)) };
  }
  const offset = isGdt ? L.GDTR_BASE : L.IDTR_BASE;
  return {
    name,
    bits: 64,
    get: () => state.get64(offset),
    set: (value) => {
      checkBase(processor, name, value);
      state.set64(offset, value);
    },
  };
}

/** Finds a register by the name that assembly and manuals use. Its `set` throws ExpressionError for what can't be. */
export function findRegister(processor: Processor, raw: string): NamedRegister | undefined {
  const name = raw.toLowerCase();
  const { state } = processor;
  const general = generalRegister(processor, name);
  if (general) return general;
  if (name === 'rip' || name === 'eip' || name === 'ip') {
    const bits = name === 'rip' ? 64 : name === 'eip' ? 32 : 16;
    return { name, bits, get: () => BigInt.asUintN(bits, state.rip), set: (value) => (state.rip = BigInt.asUintN(bits, value)) };
  }
  if (name === 'rflags' || name === 'eflags')
    return {
      name,
      bits: 32,
      get: () => BigInt(state.rflags),
      set: (value) => (state.rflags = (Number(value) & FLAGS_WRITABLE) | FLAGS_FIXED),
    };
  if (name === 'iopl')
    return {
      name,
      bits: 2,
      get: () => BigInt((state.rflags >> 12) & 3),
      set: (value) => (state.rflags = (state.rflags & ~Flag.IOPL) | (Number(value & 3n) << 12)),
    };
  if (name === 'cpl')
    return {
      name,
      bits: 2,
      get: () => BigInt(state.cpl),
      set: () => refuse('The CPL follows from the code that runs; it is set by far transfers alone.'),
    };
  const flag = FLAG_NAMES.find(([known]) => known === name)?.[1];
  if (flag !== undefined)
    return {
      name,
      bits: 1,
      get: () => (state.rflags & flag ? 1n : 0n),
      set: (value) => (state.rflags = value !== 0n ? state.rflags | flag : state.rflags & ~flag),
    };
  return systemRegister(processor, name);
}

function systemRegister(processor: Processor, name: string): NamedRegister | undefined {
  const { state } = processor;
  const segment = segmentIndex(name);
  if (segment >= 0) return segmentRegister(processor, name, segment);
  const [, owner = '', part = ''] = /^(\w+)\.(base|limit|rights)$/.exec(name) ?? [];
  if (segmentIndex(owner) >= 0) return hiddenPart(processor, name, segmentIndex(owner), part);
  const table = /^(?:gdtr|idtr)(?:\.(base|limit))?$/.exec(name);
  if (table) return tableRegister(processor, name, table[1] ?? 'base');
  const control = /^cr([0234])$/.exec(name)?.[1];
  if (control !== undefined) {
    const number = Number(control);
    return checked(processor, name, 64, { kind: 'control', number }, () => state.get64(CONTROL[number] ?? L.CR0));
  }
  if (name === 'efer') return checked(processor, name, 64, { kind: 'msr', index: EFER_MSR }, () => state.efer);
  if (name === 'xcr0')
    return {
      name,
      bits: 64,
      get: () => state.get64(L.XCR0),
      set: (value) => {
        // XSETBV: x87 state is always there (Intel SDM vol. 1, 13.3).
        if ((value & 1n) === 0n || value > 7n) refuse(`xcr0 can't be ${hex(value)}: XSETBV would raise #GP(0).`);
        state.set64(L.XCR0, value);
      },
    };
  const debug = /^dr([0-367])$/.exec(name)?.[1];
  if (debug === undefined) return fpuRegister(processor, name) ?? vectorRegister(processor, name);
  const number = Number(debug);
  return checked(processor, name, 64, { kind: 'debug', number }, () => state.get64(L.DR + number * 8));
}

/**
 * Sets a register by a value as expressions give it: 64 bits, a negative one in two's complement. Throws ExpressionError
 * when the register has no room for it, or when the processor would refuse it.
 */
export function setRegister(processor: Processor, register: NamedRegister, value: bigint): void {
  register.set(fitted(register.name, register.bits, value));
  processor.stateChanged();
}

/** A 64-bit value cut to the bits of what it is for. Throws ExpressionError where that would lose some. */
export function fitted(name: string, bits: number, value: bigint): bigint {
  const isSmall = value < 1n << BigInt(bits);
  const isNegative = bits > 2 && value >= (1n << 64n) - (1n << BigInt(bits - 1));
  if (!isSmall && !isNegative)
    throw new ExpressionError(`${hex(value)} doesn't fit into ${name}, which has ${bits} bit${bits === 1 ? '' : 's'}.`);
  return BigInt.asUintN(bits, value);
}

/** The general registers of the current mode, in the order that people read them, with RIP and the flags. */
export function generalRegisters(processor: Processor): NamedRegister[] {
  const { mode } = processor;
  const table: readonly string[] = mode === 64 ? NAMES_64 : mode === 32 ? NAMES_32 : NAMES_16;
  const names = ORDER.slice(0, table.length).map((index) => table[index] ?? '');
  const all = [...names, mode === 64 ? 'rip' : mode === 32 ? 'eip' : 'ip', mode === 64 ? 'rflags' : 'eflags'];
  return all.map((name) => findRegister(processor, name)).filter((register) => register !== undefined);
}

export function flagRegisters(processor: Processor): NamedRegister[] {
  return [...FLAG_NAMES.map(([name]) => name), 'iopl']
    .map((name) => findRegister(processor, name))
    .filter((register) => register !== undefined);
}

/** `CF ZF IF`: the flags that are set. */
export function flagSummary(rflags: number): string {
  const set = FLAG_NAMES.filter(([, bit]) => rflags & bit).map(([name]) => name.toUpperCase());
  return set.join(' ');
}

export function formatRegister({ bits, get }: NamedRegister): string {
  return bits === 1 ? get().toString() : hex(get(), Math.ceil(bits / 4));
}

/** Bits of CR0, CR4 and EFER by name. */
const CONTROL_BITS: Readonly<Record<string, readonly (readonly [number, string])[]>> = {
  cr0: [
    [0, 'PE'],
    [1, 'MP'],
    [2, 'EM'],
    [3, 'TS'],
    [4, 'ET'],
    [5, 'NE'],
    [16, 'WP'],
    [18, 'AM'],
    [29, 'NW'],
    [30, 'CD'],
    [31, 'PG'],
  ],
  cr4: [
    [0, 'VME'],
    [1, 'PVI'],
    [2, 'TSD'],
    [3, 'DE'],
    [4, 'PSE'],
    [5, 'PAE'],
    [6, 'MCE'],
    [7, 'PGE'],
    [8, 'PCE'],
    [9, 'OSFXSR'],
    [11, 'UMIP'],
    [13, 'VMXE'],
    [16, 'FSGSBASE'],
    [17, 'PCIDE'],
    [18, 'OSXSAVE'],
    [20, 'SMEP'],
    [21, 'SMAP'],
  ],
  efer: [
    [0, 'SCE'],
    [8, 'LME'],
    [10, 'LMA'],
    [11, 'NXE'],
  ],
};

export function describeControl(name: string, value: bigint): string {
  const bits = CONTROL_BITS[name] ?? [];
  return bits
    .filter(([bit]) => (value >> BigInt(bit)) & 1n)
    .map(([, text]) => text)
    .join(' ');
}

/** Hidden part of a segment register in words. */
export function describeSegment(processor: Processor, index: number): string {
  const { selector, base, limit, rights } = processor.state.segment(index);
  if (rights & (1 << 16)) return `${hex(selector, 4)} unusable`;
  const code = rights & 8;
  const kind = rights & 16 ? (code ? 'code' : 'data') : 'system';
  const size = code && rights & (1 << 13) ? ' 64-bit' : rights & (1 << 14) ? ' 32-bit' : rights & 16 ? ' 16-bit' : '';
  return `${hex(selector, 4)} base ${hex(base)} limit ${hex(limit)} ${kind}${size} DPL ${(rights >> 5) & 3}${rights & 128 ? '' : ' not present'}`;
}
