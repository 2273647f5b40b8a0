import type { ExitReason, VmExit } from '../../processor/exit.ts';
import { packText } from '../expressions/evaluator.ts';

/** A kind of VM exit that can be stopped at, as an exception breakpoint of the editor. */
export interface ExitFilter {
  readonly id: string;
  readonly label: string;
  readonly description: string;
  readonly conditionHint: string;
  /** Reasons that it covers; undefined for all. */
  readonly reasons?: readonly ExitReason[];
  /** Guest exceptions that it covers, as a bit for each vector, whether or not they exit. */
  readonly exceptions?: number;
  readonly default: boolean;
}

const ALL_EXCEPTIONS = 0xffff_ffff;
/** Faults that a healthy guest does not take: all but #DB, NMI, #BP, #OF, #NM and #PF. */
const UNUSUAL = ALL_EXCEPTIONS & ~((1 << 1) | (1 << 2) | (1 << 3) | (1 << 4) | (1 << 7) | (1 << 14));

export const exitFilters: readonly ExitFilter[] = [
  {
    id: 'any',
    label: 'Any VM exit',
    description: 'Stops at every VM exit, before its handler begins.',
    conditionHint: "reason and every register; for example: reason == 'msr-write' && rip >= 0x100000",
    default: false,
  },
  {
    id: 'hypercall',
    label: 'Hypercall',
    description: 'VMCALL and VMMCALL.',
    conditionHint: 'for example: rax == 5',
    reasons: ['hypercall'],
    default: false,
  },
  {
    id: 'io',
    label: 'I/O',
    description: 'IN, OUT, INS and OUTS.',
    conditionHint: 'port, size, write, value; for example: port == 0x3f8 && write',
    reasons: ['io'],
    default: false,
  },
  {
    id: 'mmio',
    label: 'MMIO',
    description: 'Accesses to device memory.',
    conditionHint: 'gpa, gva, size, write, value; for example: gpa >= 0xfee00000',
    reasons: ['mmio', 'apic'],
    default: false,
  },
  {
    id: 'msr',
    label: 'MSR',
    description: 'RDMSR and WRMSR.',
    conditionHint: 'msr, write, value; for example: msr == 0x4b564d01',
    reasons: ['msr-read', 'msr-write'],
    default: false,
  },
  {
    id: 'cpuid',
    label: 'CPUID',
    description: 'CPUID.',
    conditionHint: 'leaf, subleaf; for example: leaf == 0x40000000',
    reasons: ['cpuid'],
    default: false,
  },
  {
    id: 'cr',
    label: 'Control register',
    description: 'Moves to and from control registers, CLTS, LMSW.',
    conditionHint: 'register, write, value; for example: register == 3',
    reasons: ['cr'],
    default: false,
  },
  {
    id: 'hlt',
    label: 'HLT',
    description: 'HLT.',
    conditionHint: 'for example: rip > 0x100000',
    reasons: ['hlt'],
    default: false,
  },
  {
    id: 'second-level',
    label: 'EPT/NPT violation',
    description: 'Violations and misconfigurations of second-level translation, full dirty logs.',
    conditionHint: 'gpa, gva, access, write; for example: gpa >= 0xfee00000 && write',
    reasons: ['second-level-violation', 'second-level-misconfiguration', 'dirty-log'],
    default: false,
  },
  {
    id: 'interrupt-window',
    label: 'Interrupt window',
    description: 'The guest became ready for an interrupt or NMI that waits.',
    conditionHint: 'rip, rflags',
    reasons: ['interrupt-window', 'nmi-window', 'external-interrupt'],
    default: false,
  },
  {
    id: 'exception',
    label: 'Guest exception',
    description: 'Any exception of the guest, before it is delivered.',
    conditionHint: 'vector, errorCode, payload; for example: vector == 14',
    reasons: ['exception'],
    exceptions: ALL_EXCEPTIONS,
    default: false,
  },
  {
    id: 'fault',
    label: 'Unexpected guest exception',
    description: 'Exceptions that a healthy guest does not take, such as #UD and #GP.',
    conditionHint: 'vector, errorCode',
    reasons: ['exception'],
    exceptions: UNUSUAL,
    default: false,
  },
  {
    id: 'unhandled',
    label: 'Unhandled guest exception',
    description: 'Exceptions of a 64-bit guest that has no IDT of its own, with the state before the fault.',
    conditionHint: 'none',
    reasons: [],
    default: true,
  },
  {
    id: 'guest-panic',
    label: 'Kernel panic',
    description: "A panic or an oops of a Linux guest's kernel, with its message.",
    conditionHint: 'none',
    reasons: [],
    default: true,
  },
  {
    id: 'triple-fault',
    label: 'Triple fault',
    description: 'The vCPU shuts down, with the state before the fault.',
    conditionHint: 'rip, cr2',
    reasons: ['triple-fault', 'shutdown'],
    default: true,
  },
];

export function filterById(id: string): ExitFilter | undefined {
  return exitFilters.find((filter) => filter.id === id);
}

/** What an exit gives to conditions, by name. */
export function exitVariable(exit: VmExit, name: string): bigint | undefined {
  const bool = (value: boolean) => (value ? 1n : 0n);
  const detail: Readonly<Record<string, unknown>> = { ...exit };
  if (name === 'write') {
    if (exit.reason === 'msr-write') return 1n;
    if (exit.reason === 'msr-read') return 0n;
    if (exit.reason === 'cr') return bool(exit.access !== 'mov-from' && exit.access !== 'smsw');
    if ('duringWalk' in exit) return bool(exit.access.endsWith('write'));
    if ('write' in exit) return bool(exit.write);
    return undefined;
  }
  if (name === 'read' && 'write' in exit) return bool(!exit.write);
  const value = Object.hasOwn(detail, name) ? detail[name] : undefined;
  if (typeof value === 'bigint') return value;
  if (typeof value === 'number') return BigInt(value < 0 ? value >>> 0 : value);
  if (typeof value === 'string') return packText(value);
  return typeof value === 'boolean' ? bool(value) : undefined;
}

/** The filters that an exit falls under. */
export function matchingFilters(
  exit: VmExit,
  enabled: ReadonlyMap<string, string | undefined>,
): readonly { readonly filter: ExitFilter; readonly condition: string | undefined }[] {
  return exitFilters
    .filter(({ id }) => enabled.has(id))
    .filter(({ reasons, exceptions }) => {
      if (exit.reason === 'exception' && exceptions !== undefined) return (exceptions & (1 << exit.vector)) !== 0;
      return reasons === undefined || reasons.includes(exit.reason);
    })
    .map((filter) => ({ filter, condition: enabled.get(filter.id) }));
}
