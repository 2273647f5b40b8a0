import type { Processor } from '../../processor/processor.ts';
import { Flag } from '../../processor/state/cpu-state.ts';
import * as L from '../../processor/state/layout.ts';
import { hex } from '../../x86/address.ts';

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
const CONTROL: Readonly<Record<string, number>> = { cr0: L.CR0, cr2: L.CR2, cr3: L.CR3, cr4: L.CR4, efer: L.EFER, xcr0: L.XCR0 };

/** A register that can be read and written by name. */
export interface NamedRegister {
  readonly name: string;
  readonly bits: number;
  get(): bigint;
  set(value: bigint): void;
}

/** Part of a general register: `bits` from `shift` on. A 32-bit part clears the upper half when written, as the processor does. */
function part(processor: Processor, name: string, index: number, bits: number, shift: bigint): NamedRegister {
  const { state } = processor;
  const mask = (1n << BigInt(bits)) - 1n;
  return {
    name,
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

/** Finds a register by the name that assembly and manuals use. */
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
    return { name, bits: 32, get: () => BigInt(state.rflags), set: (value) => (state.rflags = Number(value & 0xffff_ffffn)) };
  if (name === 'iopl')
    return {
      name,
      bits: 2,
      get: () => BigInt((state.rflags >> 12) & 3),
      set: (value) => (state.rflags = (state.rflags & ~Flag.IOPL) | (Number(value & 3n) << 12)),
    };
  if (name === 'cpl') return { name, bits: 2, get: () => BigInt(state.cpl), set: (value) => (state.cpl = Number(value & 3n)) };
  const flag = FLAG_NAMES.find(([known]) => known === name)?.[1];
  if (flag !== undefined)
    return {
      name,
      bits: 1,
      get: () => (state.rflags & flag ? 1n : 0n),
      set: (value) => (state.rflags = value !== 0n ? state.rflags | flag : state.rflags & ~flag),
    };
  const segment = segmentIndex(name);
  if (segment >= 0)
    return {
      name,
      bits: 16,
      get: () => BigInt(state.segment(segment).selector),
      set: (value) => state.setSegment(segment, { ...state.segment(segment), selector: Number(value & 0xffffn) }),
    };
  const base = /^(es|cs|ss|ds|fs|gs|ldtr|tr)\.base$/.exec(name)?.[1];
  if (base !== undefined) {
    const index = segmentIndex(base);
    return {
      name,
      bits: 64,
      get: () => state.segment(index).base,
      set: (value) => state.setSegment(index, { ...state.segment(index), base: value }),
    };
  }
  const control = CONTROL[name];
  if (control !== undefined)
    return { name, bits: 64, get: () => state.get64(control), set: (value) => state.set64(control, value) };
  const debug = /^dr([0-367])$/.exec(name)?.[1];
  if (debug !== undefined)
    return {
      name,
      bits: 64,
      get: () => state.get64(L.DR + Number(debug) * 8),
      set: (value) => state.set64(L.DR + Number(debug) * 8, value),
    };
  if (name === 'gdtr.base' || name === 'gdtr')
    return { name, bits: 64, get: () => state.get64(L.GDTR_BASE), set: (value) => state.set64(L.GDTR_BASE, value) };
  if (name === 'idtr.base' || name === 'idtr')
    return { name, bits: 64, get: () => state.get64(L.IDTR_BASE), set: (value) => state.set64(L.IDTR_BASE, value) };
  return undefined;
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
