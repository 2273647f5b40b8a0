import { isCanonical } from '../../x86/address.ts';
import { GuestFault, Vector } from '../faults/guest-fault.ts';
import * as L from '../state/layout.ts';
import type { SystemContext } from '../system/context.ts';

/** A model-specific register that the processor owns. What is not here is the platform's. */
export interface Msr {
  readonly index: number;
  readonly name: string;
  readonly description: string;
  read(context: SystemContext): bigint;
  /** Throws #GP(0) for what can't be written. */
  write(context: SystemContext, value: bigint): void;
}

const refuse = (): never => {
  throw new GuestFault(Vector.GP, 0);
};

/** An MSR that is a slot of the state; `writable` are its bits that may be set, others fault. */
function slot(index: number, name: string, description: string, offset: number, writable = 0xffff_ffff_ffff_ffffn): Msr {
  return {
    index,
    name,
    description,
    read: ({ state }) => state.get64(offset),
    write: ({ state }, value) => {
      if ((value & ~writable) !== 0n) refuse();
      state.set64(offset, value);
    },
  };
}

/** As {@link slot}, for a linear address that must be canonical. */
function address(index: number, name: string, description: string, offset: number): Msr {
  const plain = slot(index, name, description, offset);
  return {
    ...plain,
    write: (context, value) => {
      if (!isCanonical(value)) refuse();
      plain.write(context, value);
    },
  };
}

function constant(index: number, name: string, description: string, value: bigint, ignoresWrites = false): Msr {
  return { index, name, description, read: () => value, write: () => (ignoresWrites ? undefined : refuse()) };
}

function segmentBase(index: number, name: string, segment: number): Msr {
  return {
    index,
    name,
    description: `Base of ${name.slice(0, 2)}`,
    read: ({ state }) => state.segment(segment).base,
    write: (context, value) => {
      if (!isCanonical(value)) refuse();
      context.state.setSegment(segment, { ...context.state.segment(segment), base: value });
      context.modeChanged();
    },
  };
}

const EFER_SCE = 1n;
const EFER_LME = 1n << 8n;
const EFER_LMA = 1n << 10n;
const EFER_NXE = 1n << 11n;

const efer: Msr = {
  index: 0xc000_0080,
  name: 'EFER',
  description: 'Extended features: SCE, LME, LMA, NXE',
  read: ({ state }) => state.efer,
  write: (context, value) => {
    const { state } = context;
    if ((value & ~(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)) !== 0n) refuse();
    const paging = (state.cr0 & (1n << 31n)) !== 0n;
    if (paging && ((value ^ state.efer) & EFER_LME) !== 0n) refuse();
    state.set64(L.EFER, (value & ~EFER_LMA) | (state.efer & EFER_LMA));
    context.flushTlb(true);
    context.modeChanged();
  },
};

const tsc: Msr = {
  index: 0x10,
  name: 'TSC',
  description: 'Time-stamp counter',
  read: (context) => context.readTsc(),
  write: (context, value) => {
    const { state } = context;
    state.set64(L.TSC_OFFSET, BigInt.asUintN(64, state.get64(L.TSC_OFFSET) + value - context.readTsc()));
  },
};

const tscAdjust: Msr = {
  index: 0x3b,
  name: 'TSC_ADJUST',
  description: 'Added to the time-stamp counter',
  read: ({ state }) => state.get64(L.MSR_TSC_ADJUST),
  write: ({ state }, value) => {
    const change = value - state.get64(L.MSR_TSC_ADJUST);
    state.set64(L.MSR_TSC_ADJUST, value);
    state.set64(L.TSC_OFFSET, BigInt.asUintN(64, state.get64(L.TSC_OFFSET) + change));
  },
};

const pat: Msr = {
  ...slot(0x277, 'PAT', 'Page attribute table', L.MSR_PAT),
  write: ({ state }, value) => {
    for (let byte = 0n; byte < 64n; byte += 8n) if (![0n, 1n, 4n, 5n, 6n, 7n].includes((value >> byte) & 0xffn)) refuse();
    state.set64(L.MSR_PAT, value);
  },
};

const FIXED_MTRRS = [0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f];

const rows: readonly Msr[] = [
  tsc,
  constant(0x17, 'PLATFORM_ID', 'Platform identification', 0n),
  slot(0x1b, 'APIC_BASE', 'Base and mode of the local APIC', L.MSR_APIC_BASE, 0xf_ffff_fd00n),
  constant(0x3a, 'FEATURE_CONTROL', 'VMX enable and lock', 1n),
  tscAdjust,
  constant(0x8b, 'BIOS_SIGN_ID', 'Microcode revision', 1n << 32n, true),
  constant(0xfe, 'MTRRCAP', 'Memory type ranges: 8 variable, fixed, write-combining', 0x508n),
  slot(0x174, 'SYSENTER_CS', 'Code segment of SYSENTER', L.MSR_SYSENTER_CS, 0xffff_ffffn),
  address(0x175, 'SYSENTER_ESP', 'Stack pointer of SYSENTER', L.MSR_SYSENTER_ESP),
  address(0x176, 'SYSENTER_EIP', 'Entry point of SYSENTER', L.MSR_SYSENTER_EIP),
  constant(0x179, 'MCG_CAP', 'Machine check banks: none', 0n),
  constant(0x17a, 'MCG_STATUS', 'Machine check status', 0n, true),
  slot(0x1a0, 'MISC_ENABLE', 'Miscellaneous features', L.MSR_MISC_ENABLE),
  slot(0x1d9, 'DEBUGCTL', 'Debug control', L.MSR_DEBUGCTL, 3n),
  pat,
  slot(0x2ff, 'MTRR_DEF_TYPE', 'Default memory type', L.MSR_MTRR_DEF_TYPE, 0xcffn),
  ...FIXED_MTRRS.map((index, at) =>
    slot(index, `MTRR_FIX_${index.toString(16)}`, 'Fixed memory type range', L.MSR_MTRR_FIXED + at * 8),
  ),
  ...Array.from({ length: 16 }, (_, at) =>
    slot(
      0x200 + at,
      `MTRR_PHYS${at & 1 ? 'MASK' : 'BASE'}${at >> 1}`,
      'Variable memory type range',
      L.MSR_MTRR_VARIABLE + at * 8,
    ),
  ),
  efer,
  slot(0xc000_0081, 'STAR', 'Segments of SYSCALL and SYSRET', L.MSR_STAR),
  address(0xc000_0082, 'LSTAR', 'Entry point of SYSCALL from 64-bit code', L.MSR_LSTAR),
  address(0xc000_0083, 'CSTAR', 'Entry point of SYSCALL from compatibility mode', L.MSR_CSTAR),
  slot(0xc000_0084, 'SFMASK', 'Flags that SYSCALL clears', L.MSR_SFMASK, 0xffff_ffffn),
  segmentBase(0xc000_0100, 'FS_BASE', L.Segment.FS),
  segmentBase(0xc000_0101, 'GS_BASE', L.Segment.GS),
  address(0xc000_0102, 'KERNEL_GS_BASE', 'What SWAPGS exchanges with the base of GS', L.MSR_KERNEL_GS_BASE),
  slot(0xc000_0103, 'TSC_AUX', 'What RDTSCP gives in ECX', L.MSR_TSC_AUX, 0xffff_ffffn),
];

const byIndex = new Map(rows.map((row) => [row.index, row]));

/** The MSR with an index, if the processor owns it. */
export function findMsr(index: number): Msr | undefined {
  return byIndex.get(index);
}

/** All of them, for register views and completion. */
export function msrReference(): readonly Msr[] {
  return rows;
}
