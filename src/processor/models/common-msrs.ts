import * as L from '../state/layout.ts';
import { addressSlot, constant, type Msr, refuse, segmentBase, slot } from './msr.ts';
import { xdDisabled } from './xd-disable.ts';

/** MSRs that both vendors' processors have (Intel SDM vol. 4; AMD APM vol. 2, appendix A). */

const EFER_SCE = 1n;
const EFER_LME = 1n << 8n;
const EFER_LMA = 1n << 10n;
const EFER_NXE = 1n << 11n;
const CR0_PG = 1n << 31n;

const efer: Msr = {
  index: 0xc000_0080,
  name: 'EFER',
  description: 'Extended features: SCE, LME, LMA, NXE',
  read: ({ state }) => state.efer,
  write: (context, value) => {
    const { state, model } = context;
    let known = EFER_LMA;
    if (model.has('syscall')) known |= EFER_SCE;
    if (model.has('lm')) known |= EFER_LME;
    if (model.has('nx') && !xdDisabled(state)) known |= EFER_NXE;
    if ((value & ~known) !== 0n) refuse();
    if ((state.cr0 & CR0_PG) !== 0n && ((value ^ state.efer) & EFER_LME) !== 0n) refuse();
    // LMA is the processor's: what is written there is ignored.
    state.set64(L.EFER, (value & ~EFER_LMA) | (state.efer & EFER_LMA));
    context.flushTlb(true);
    context.modeChanged();
  },
};

/** TSC: writing it moves TSC_ADJUST by as much (Intel SDM vol. 3, 18.17.3). */
const tsc: Msr = {
  index: 0x10,
  name: 'TSC',
  description: 'Time-stamp counter',
  read: (context) => context.readTsc(),
  write: (context, value) => {
    const { state } = context;
    const change = value - context.readTsc();
    state.set64(L.TSC_OFFSET, BigInt.asUintN(64, state.get64(L.TSC_OFFSET) + change));
    state.set64(L.MSR_TSC_ADJUST, BigInt.asUintN(64, state.get64(L.MSR_TSC_ADJUST) + change));
  },
};

const APIC_ENABLE = 1n << 11n;
const APIC_X2 = 1n << 10n;

/** Modes of the local APIC: x2APIC, if there is one, only from xAPIC, back only through off (Intel SDM vol. 3, 11.12.5). */
function apicModeAllowed(old: bigint, value: bigint, hasX2: boolean): boolean {
  const enabled = (value & APIC_ENABLE) !== 0n;
  const x2 = (value & APIC_X2) !== 0n;
  if (x2 && !(enabled && hasX2)) return false;
  if ((old & APIC_X2) !== 0n) return x2 || !enabled;
  return !(x2 && (old & APIC_ENABLE) === 0n);
}

const MEMORY_TYPES: readonly bigint[] = [0n, 1n, 4n, 5n, 6n];

function memoryTypesOnly(value: bigint, types: readonly bigint[]): boolean {
  for (let byte = 0n; byte < 64n; byte += 8n) if (!types.includes((value >> byte) & 0xffn)) return false;
  return true;
}

const FIXED_MTRRS: readonly (readonly [index: number, name: string])[] = [
  [0x250, '64K_00000'],
  [0x258, '16K_80000'],
  [0x259, '16K_A0000'],
  [0x268, '4K_C0000'],
  [0x269, '4K_C8000'],
  [0x26a, '4K_D0000'],
  [0x26b, '4K_D8000'],
  [0x26c, '4K_E0000'],
  [0x26d, '4K_E8000'],
  [0x26e, '4K_F0000'],
  [0x26f, '4K_F8000'],
];

function variableMtrr(at: number, physicalAddressBits: number): Msr {
  const pages = ((1n << BigInt(physicalAddressBits)) - 1n) & ~0xfffn;
  const isMask = (at & 1) !== 0;
  const name = `MTRR_PHYS${isMask ? 'MASK' : 'BASE'}${at >> 1}`;
  const offset = L.MSR_MTRR_VARIABLE + at * 8;
  if (isMask) return slot(0x200 + at, name, 'Variable memory type range: mask', offset, pages | 0x800n);
  return slot(0x200 + at, name, 'Variable memory type range: base and type', offset, pages | 0xffn, (value) =>
    MEMORY_TYPES.includes(value & 0xffn),
  );
}

/** No component of the supervisor's can be switched on. */
const xss: Msr = {
  index: 0xda0,
  name: 'XSS',
  description: 'Components that XSAVES saves beside those of XCR0: none',
  read: () => 0n,
  write: (_context, value) => {
    if (value !== 0n) refuse();
  },
};

export function commonMsrs(physicalAddressBits: number): readonly Msr[] {
  const pages = ((1n << BigInt(physicalAddressBits)) - 1n) & ~0xfffn;
  return [
    tsc,
    slot(0x1b, 'APIC_BASE', 'Base and mode of the local APIC', L.MSR_APIC_BASE, pages | 0xd00n, (value, { state, model }) =>
      apicModeAllowed(state.get64(L.MSR_APIC_BASE), value, model.has('x2apic')),
    ),
    constant(0xfe, 'MTRRCAP', 'Memory type ranges: 8 variable, fixed, write-combining', 0x508n),
    slot(0x174, 'SYSENTER_CS', 'Code segment of SYSENTER', L.MSR_SYSENTER_CS, 0xffff_ffffn),
    addressSlot(0x175, 'SYSENTER_ESP', 'Stack pointer of SYSENTER', L.MSR_SYSENTER_ESP),
    addressSlot(0x176, 'SYSENTER_EIP', 'Entry point of SYSENTER', L.MSR_SYSENTER_EIP),
    constant(0x179, 'MCG_CAP', 'Machine check banks: none', 0n),
    constant(0x17a, 'MCG_STATUS', 'Machine check status', 0n, 'ignored'),
    slot(0x1d9, 'DEBUGCTL', 'Debug control: no branch records', L.MSR_DEBUGCTL, 3n),
    slot(0x277, 'PAT', 'Page attribute table', L.MSR_PAT, undefined, (value) => memoryTypesOnly(value, [...MEMORY_TYPES, 7n])),
    slot(0x2ff, 'MTRR_DEF_TYPE', 'Default memory type', L.MSR_MTRR_DEF_TYPE, 0xcffn, (value) =>
      MEMORY_TYPES.includes(value & 0xffn),
    ),
    ...FIXED_MTRRS.map(([index, name], at) =>
      slot(index, `MTRR_FIX${name}`, 'Fixed memory type range', L.MSR_MTRR_FIXED + at * 8, undefined, (value) =>
        memoryTypesOnly(value, MEMORY_TYPES),
      ),
    ),
    xss,
    ...Array.from({ length: 16 }, (_, at) => variableMtrr(at, physicalAddressBits)),
    efer,
    slot(0xc000_0081, 'STAR', 'Segments of SYSCALL and SYSRET', L.MSR_STAR),
    addressSlot(0xc000_0082, 'LSTAR', 'Entry point of SYSCALL from 64-bit code', L.MSR_LSTAR),
    addressSlot(0xc000_0083, 'CSTAR', 'Entry point of SYSCALL from compatibility mode (AMD)', L.MSR_CSTAR),
    slot(0xc000_0084, 'SFMASK', 'Flags that SYSCALL clears', L.MSR_SFMASK, 0xffff_ffffn),
    segmentBase(0xc000_0100, 'FS_BASE', L.Segment.FS),
    segmentBase(0xc000_0101, 'GS_BASE', L.Segment.GS),
    addressSlot(0xc000_0102, 'KERNEL_GS_BASE', 'What SWAPGS exchanges with the base of GS', L.MSR_KERNEL_GS_BASE),
    slot(0xc000_0103, 'TSC_AUX', 'What RDTSCP gives in ECX', L.MSR_TSC_AUX, 0xffff_ffffn),
  ];
}
