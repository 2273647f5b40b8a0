import { Privilege } from './privileges.ts';

/** Hyper-V's synthetic MSRs (TLFS, appendix "Virtual processor register names" and the chapters of each). */

export const Msr = {
  GUEST_OS_ID: 0x4000_0000,
  HYPERCALL: 0x4000_0001,
  VP_INDEX: 0x4000_0002,
  RESET: 0x4000_0003,
  VP_RUNTIME: 0x4000_0010,
  TIME_REF_COUNT: 0x4000_0020,
  REFERENCE_TSC: 0x4000_0021,
  TSC_FREQUENCY: 0x4000_0022,
  APIC_FREQUENCY: 0x4000_0023,
  EOI: 0x4000_0070,
  ICR: 0x4000_0071,
  TPR: 0x4000_0072,
  VP_ASSIST_PAGE: 0x4000_0073,
  SCONTROL: 0x4000_0080,
  SVERSION: 0x4000_0081,
  SIEFP: 0x4000_0082,
  SIMP: 0x4000_0083,
  EOM: 0x4000_0084,
  SIRBP: 0x4000_0085,
  /** The first of 16. */
  SINT0: 0x4000_0090,
  /** The first of four pairs of CONFIG and COUNT. */
  STIMER0_CONFIG: 0x4000_00b0,
  STIMER0_COUNT: 0x4000_00b1,
  POWER_STATE_TRIGGER_C1: 0x4000_00c1,
  POWER_STATE_TRIGGER_C2: 0x4000_00c2,
  POWER_STATE_TRIGGER_C3: 0x4000_00c3,
  GUEST_IDLE: 0x4000_00f0,
  SYNDBG_CONTROL: 0x4000_00f1,
  SYNDBG_STATUS: 0x4000_00f2,
  SYNDBG_SEND_BUFFER: 0x4000_00f3,
  SYNDBG_RECEIVE_BUFFER: 0x4000_00f4,
  SYNDBG_PENDING_BUFFER: 0x4000_00f5,
  SYNDBG_OPTIONS: 0x4000_00ff,
  /** The first of five. */
  CRASH_P0: 0x4000_0100,
  CRASH_CTL: 0x4000_0105,
  REENLIGHTENMENT_CONTROL: 0x4000_0106,
  TSC_EMULATION_CONTROL: 0x4000_0107,
  TSC_EMULATION_STATUS: 0x4000_0108,
  STIME_UNHALTED_TIMER_CONFIG: 0x4000_0114,
  STIME_UNHALTED_TIMER_COUNT: 0x4000_0115,
  TSC_INVARIANT_CONTROL: 0x4000_0118,
  NESTED_SCONTROL: 0x4000_1080,
  NESTED_SVERSION: 0x4000_1081,
  NESTED_SIEFP: 0x4000_1082,
  NESTED_SIMP: 0x4000_1083,
  NESTED_EOM: 0x4000_1084,
  /** The first of 16. */
  NESTED_SINT0: 0x4000_1090,
} as const;

export const SINT_COUNT = 16;
export const STIMER_COUNT = 4;
export const CRASH_PARAMETERS = 5;

/** What is known of a synthetic MSR before it is accessed. */
export interface SyntheticMsr {
  readonly index: number;
  /** As the TLFS has it: `HV_X64_MSR_…`. */
  readonly name: string;
  readonly description: string;
  readonly access: 'read' | 'write' | 'read-write';
  /** Bit of the privilege mask that it takes; undefined for those that a CPUID feature alone tells of. */
  readonly privilege: number | undefined;
  /** Whether each virtual processor has one of its own. */
  readonly scope: 'partition' | 'vp';
}

type Row = readonly [
  index: number,
  name: string,
  access: SyntheticMsr['access'],
  privilege: number | undefined,
  scope: SyntheticMsr['scope'],
  description: string,
];

const P = Privilege;

const ROWS: readonly Row[] = [
  [
    Msr.GUEST_OS_ID,
    'GUEST_OS_ID',
    'read-write',
    P.ACCESS_HYPERCALL_MSRS,
    'partition',
    'which system the guest runs; 0 switches the hypercall page off',
  ],
  [
    Msr.HYPERCALL,
    'HYPERCALL',
    'read-write',
    P.ACCESS_HYPERCALL_MSRS,
    'partition',
    'page number of the hypercall page; bit 0 enables it, bit 1 locks it',
  ],
  [Msr.VP_INDEX, 'VP_INDEX', 'read', P.ACCESS_VP_INDEX, 'vp', 'number of the virtual processor'],
  [Msr.RESET, 'RESET', 'read-write', P.ACCESS_RESET, 'partition', 'bit 0 resets the partition'],
  [Msr.VP_RUNTIME, 'VP_RUNTIME', 'read', P.ACCESS_VP_RUN_TIME, 'vp', 'time that the virtual processor has run, in 100 ns'],
  [
    Msr.TIME_REF_COUNT,
    'TIME_REF_COUNT',
    'read',
    P.ACCESS_REFERENCE_COUNTER,
    'partition',
    'reference time: 100 ns since the partition was made',
  ],
  [
    Msr.REFERENCE_TSC,
    'REFERENCE_TSC',
    'read-write',
    P.ACCESS_REFERENCE_TSC,
    'partition',
    'page number of the reference TSC page; bit 0 enables it',
  ],
  [Msr.TSC_FREQUENCY, 'TSC_FREQUENCY', 'read', P.ACCESS_FREQUENCIES, 'partition', 'frequency of the TSC in Hz'],
  [Msr.APIC_FREQUENCY, 'APIC_FREQUENCY', 'read', P.ACCESS_FREQUENCIES, 'partition', 'frequency of the local APIC’s timer in Hz'],
  [Msr.EOI, 'EOI', 'write', P.ACCESS_INTERRUPT_CONTROL, 'vp', 'end of interrupt, without the APIC’s page'],
  [
    Msr.ICR,
    'ICR',
    'read-write',
    P.ACCESS_INTERRUPT_CONTROL,
    'vp',
    'the local APIC’s interrupt command register, both halves at once',
  ],
  [Msr.TPR, 'TPR', 'read-write', P.ACCESS_INTERRUPT_CONTROL, 'vp', 'the local APIC’s task priority'],
  [
    Msr.VP_ASSIST_PAGE,
    'VP_ASSIST_PAGE',
    'read-write',
    P.ACCESS_INTERRUPT_CONTROL,
    'vp',
    'page number of the VP assist page; bit 0 enables it',
  ],
  [Msr.SCONTROL, 'SCONTROL', 'read-write', P.ACCESS_SYNIC, 'vp', 'bit 0 enables the synthetic interrupt controller'],
  [Msr.SVERSION, 'SVERSION', 'read', P.ACCESS_SYNIC, 'vp', 'version of the synthetic interrupt controller'],
  [Msr.SIEFP, 'SIEFP', 'read-write', P.ACCESS_SYNIC, 'vp', 'page number of the event flags page; bit 0 enables it'],
  [Msr.SIMP, 'SIMP', 'read-write', P.ACCESS_SYNIC, 'vp', 'page number of the message page; bit 0 enables it'],
  [Msr.EOM, 'EOM', 'read-write', P.ACCESS_SYNIC, 'vp', 'any write: message slots are empty, others may come'],
  [
    Msr.SIRBP,
    'SIRBP',
    'read-write',
    P.ACCESS_SYNIC,
    'vp',
    'page number of the event rings of a root partition; bit 0 enables it',
  ],
  [Msr.POWER_STATE_TRIGGER_C1, 'C1', 'read', P.CPU_MANAGEMENT, 'vp', 'a read puts the processor into power state C1'],
  [Msr.POWER_STATE_TRIGGER_C2, 'C2', 'read', P.CPU_MANAGEMENT, 'vp', 'a read puts the processor into power state C2'],
  [Msr.POWER_STATE_TRIGGER_C3, 'C3', 'read', P.CPU_MANAGEMENT, 'vp', 'a read puts the processor into power state C3'],
  [Msr.GUEST_IDLE, 'GUEST_IDLE', 'read', P.ACCESS_GUEST_IDLE, 'vp', 'a read waits for any interrupt, masked or not'],
  [Msr.SYNDBG_CONTROL, 'SYNDBG_CONTROL', 'read-write', P.DEBUGGING, 'partition', 'synthetic debugger: sends or receives'],
  [Msr.SYNDBG_STATUS, 'SYNDBG_STATUS', 'read', P.DEBUGGING, 'partition', 'synthetic debugger: what came of it'],
  [
    Msr.SYNDBG_SEND_BUFFER,
    'SYNDBG_SEND_BUFFER',
    'read-write',
    P.DEBUGGING,
    'partition',
    'synthetic debugger: GPA of what is sent',
  ],
  [
    Msr.SYNDBG_RECEIVE_BUFFER,
    'SYNDBG_RECEIVE_BUFFER',
    'read-write',
    P.DEBUGGING,
    'partition',
    'synthetic debugger: GPA for what is received',
  ],
  [
    Msr.SYNDBG_PENDING_BUFFER,
    'SYNDBG_PENDING_BUFFER',
    'read-write',
    P.DEBUGGING,
    'partition',
    'synthetic debugger: GPA of a byte that says whether something waits',
  ],
  [Msr.SYNDBG_OPTIONS, 'SYNDBG_OPTIONS', 'read-write', P.DEBUGGING, 'partition', 'synthetic debugger: options'],
  [
    Msr.CRASH_CTL,
    'CRASH_CTL',
    'read-write',
    undefined,
    'partition',
    'bit 63 reports a crash, bit 62 says that P3 and P4 are GPA and length of a message',
  ],
  [
    Msr.REENLIGHTENMENT_CONTROL,
    'REENLIGHTENMENT_CONTROL',
    'read-write',
    P.ACCESS_REENLIGHTENMENT,
    'partition',
    'vector and virtual processor that are told of another TSC frequency',
  ],
  [
    Msr.TSC_EMULATION_CONTROL,
    'TSC_EMULATION_CONTROL',
    'read-write',
    P.ACCESS_REENLIGHTENMENT,
    'partition',
    'bit 0: the TSC is emulated after a migration',
  ],
  [
    Msr.TSC_EMULATION_STATUS,
    'TSC_EMULATION_STATUS',
    'read-write',
    P.ACCESS_REENLIGHTENMENT,
    'partition',
    'bit 0: the TSC is being emulated',
  ],
  [
    Msr.STIME_UNHALTED_TIMER_CONFIG,
    'STIME_UNHALTED_TIMER_CONFIG',
    'read-write',
    P.ACCESS_SYNTHETIC_TIMERS,
    'vp',
    'timer that only counts while the virtual processor runs: vector, bit 8 enables it',
  ],
  [
    Msr.STIME_UNHALTED_TIMER_COUNT,
    'STIME_UNHALTED_TIMER_COUNT',
    'read-write',
    P.ACCESS_SYNTHETIC_TIMERS,
    'vp',
    'period of the unhalted timer',
  ],
  [
    Msr.TSC_INVARIANT_CONTROL,
    'TSC_INVARIANT_CONTROL',
    'read-write',
    P.ACCESS_TSC_INVARIANT,
    'partition',
    'bit 0: CPUID says that the TSC is invariant',
  ],
  [Msr.NESTED_SCONTROL, 'NESTED_SCONTROL', 'read-write', P.ACCESS_SYNIC, 'vp', 'SCONTROL of the hypervisor beneath a nested one'],
  [Msr.NESTED_SVERSION, 'NESTED_SVERSION', 'read', P.ACCESS_SYNIC, 'vp', 'SVERSION of the hypervisor beneath a nested one'],
  [Msr.NESTED_SIEFP, 'NESTED_SIEFP', 'read-write', P.ACCESS_SYNIC, 'vp', 'SIEFP of the hypervisor beneath a nested one'],
  [Msr.NESTED_SIMP, 'NESTED_SIMP', 'read-write', P.ACCESS_SYNIC, 'vp', 'SIMP of the hypervisor beneath a nested one'],
  [Msr.NESTED_EOM, 'NESTED_EOM', 'read-write', P.ACCESS_SYNIC, 'vp', 'EOM of the hypervisor beneath a nested one'],
];

/** `count` rows from a first number on. */
function series(count: number, row: (number: number) => Row): readonly Row[] {
  return Array.from({ length: count }, (_, number) => row(number));
}

const SERIES: readonly Row[] = [
  ...series(SINT_COUNT, (n) => [
    Msr.SINT0 + n,
    `SINT${n}`,
    'read-write',
    P.ACCESS_SYNIC,
    'vp',
    `synthetic interrupt source ${n}: vector, bit 16 masks it, bit 17 ends the interrupt by itself`,
  ]),
  ...series(STIMER_COUNT, (n) => [
    Msr.STIMER0_CONFIG + 2 * n,
    `STIMER${n}_CONFIG`,
    'read-write',
    P.ACCESS_SYNTHETIC_TIMERS,
    'vp',
    `synthetic timer ${n}: bit 0 enables it, bit 1 makes it periodic, bit 12 sends its vector directly`,
  ]),
  ...series(STIMER_COUNT, (n) => [
    Msr.STIMER0_COUNT + 2 * n,
    `STIMER${n}_COUNT`,
    'read-write',
    P.ACCESS_SYNTHETIC_TIMERS,
    'vp',
    `synthetic timer ${n}: reference time at which it expires, or its period, in 100 ns`,
  ]),
  ...series(CRASH_PARAMETERS, (n) => [
    Msr.CRASH_P0 + n,
    `CRASH_P${n}`,
    'read-write',
    undefined,
    'partition',
    `parameter ${n} of a crash that the guest reports`,
  ]),
  ...series(SINT_COUNT, (n) => [
    Msr.NESTED_SINT0 + n,
    `NESTED_SINT${n}`,
    'read-write',
    P.ACCESS_SYNIC,
    'vp',
    `SINT${n} of the hypervisor beneath a nested one`,
  ]),
];

/** One row per MSR, by their numbers: for the handlers, register views and completion. */
export const MSR_REFERENCE: readonly SyntheticMsr[] = [...ROWS, ...SERIES]
  .map(([index, name, access, privilege, scope, description]): SyntheticMsr => {
    const prefix = name.startsWith('NESTED')
      ? 'HV_X64_MSR'
      : name.startsWith('C') && name.length === 2
        ? 'HV_X64_MSR_POWER_STATE_TRIGGER'
        : 'HV_X64_MSR';
    return { index, name: `${prefix}_${name}`, access, privilege, scope, description };
  })
  .sort((a, b) => a.index - b.index);

const BY_INDEX = new Map(MSR_REFERENCE.map((row) => [row.index, row]));

/** The row of a number; undefined for one that isn't a synthetic MSR. */
export function syntheticMsr(index: number): SyntheticMsr | undefined {
  return BY_INDEX.get(index);
}

/** Whether a number is of the range that the hypervisor keeps for its MSRs, with or without one there. */
export function isSyntheticRange(index: number): boolean {
  return index >>> 13 === 0x4000_0000 >>> 13;
}

/** Bit 0 of the MSRs that place an overlay page, and the page's address in the others. */
export const PAGE_ENABLED = 1n;
export const PAGE_ADDRESS = ~0xfffn;
