import type { VirtualInterrupt } from '../../processor/events/virtual-interrupt.ts';
import type { IoBitmap } from './io-bitmap.ts';
import type { MsrBitmap } from './msr-bitmap.ts';
import { SETTING_ROWS, type SettingName } from './table.ts';

/** Bits of CR0 or CR4 that belong to the hypervisor. */
export interface OwnedBits {
  /** A write that would give one of these bits another value than its shadow leaves. */
  readonly mask: bigint;
  /** What the guest reads of them. Undefined: the hypervisor keeps it equal to the register. */
  readonly shadow: bigint | undefined;
}

/** Exits for guests that spin. */
export interface PauseLoop {
  /** Ticks between two PAUSEs up to which they belong to one loop: VMX's PLE_Gap, SVM's pause filter threshold. */
  readonly gap: number;
  /** Ticks that a loop may last: VMX's PLE_Window. */
  readonly window: number;
  /** PAUSEs that a loop may do: SVM's pause filter count. */
  readonly count: number;
}

/**
 * What makes a vCPU leave its guest, in neither vendor's form: what VMCS controls or a VMCB's intercept vectors say
 * (vmcs-controls.ts, vmcb-controls.ts).
 */
export interface InterceptSettings {
  /** Settings that are on. */
  readonly on: ReadonlySet<SettingName>;
  /** Exceptions that leave before they are delivered, bit = vector. */
  readonly exceptions: number;
  /**
   * With bit 14 of `exceptions` set, page faults leave whose error code under the mask is the match; with it clear, the others do
   * (VMX alone; Intel SDM vol. 3, 26.2).
   */
  readonly pageFaults: { readonly mask: number; readonly match: number };
  /** Bit n: any MOV from or to CRn leaves. VMX has this for CR3 and CR8 alone. */
  readonly cr: { readonly reads: number; readonly writes: number };
  /** Bit n: a write of CRn leaves behind its instruction. SVM alone. */
  readonly crTraps: number;
  readonly cr0: OwnedBits;
  readonly cr4: OwnedBits;
  /** Values that may be loaded into CR3 all the same: at most four, VMX alone. */
  readonly cr3Targets: readonly bigint[];
  /** Bit n: any MOV from or to DRn leaves. VMX has one bit for all. */
  readonly dr: { readonly reads: number; readonly writes: number };
  readonly io: 'none' | 'all' | IoBitmap;
  readonly msrs: 'none' | 'all' | MsrBitmap;
  readonly pauseLoop: PauseLoop | undefined;
  /** Ticks from a VM entry to the exit of `preemption-timer`, 0 to 2^32-1. VMX alone. */
  readonly preemptionTimer: number;
  /** With `tpr-shadow`: task priorities (CR8) below it leave, 0 to 15. VMX alone. */
  readonly tprThreshold: number;
  /** An interrupt that waits in the guest at its first entry. SVM alone. */
  readonly virtualInterrupt: VirtualInterrupt | undefined;
  /** With `virtual-nmis`: so does an NMI. SVM alone. */
  readonly virtualNmi: boolean;
}

const NOTHING: InterceptSettings = {
  on: new Set(),
  exceptions: 0,
  pageFaults: { mask: 0, match: 0 },
  cr: { reads: 0, writes: 0 },
  crTraps: 0,
  cr0: { mask: 0n, shadow: undefined },
  cr4: { mask: 0n, shadow: undefined },
  cr3Targets: [],
  dr: { reads: 0, writes: 0 },
  io: 'none',
  msrs: 'none',
  pauseLoop: undefined,
  preemptionTimer: 0,
  tprThreshold: 0,
  virtualInterrupt: undefined,
  virtualNmi: false,
};

/** Settings of which nothing leaves but what is named. */
export function interceptSettings(
  on: Iterable<SettingName> = [],
  values: Partial<Omit<InterceptSettings, 'on'>> = {},
): InterceptSettings {
  return { ...NOTHING, ...values, on: new Set(on) };
}

/** What is on that a vendor's processors can't do. */
export function missingOn(vendor: 'intel' | 'amd', { on }: InterceptSettings): SettingName[] {
  return SETTING_ROWS.filter(([name, row]) => on.has(name) && (vendor === 'intel' ? row.vmx : row.svm) === 'none').map(
    ([name]) => name,
  );
}
