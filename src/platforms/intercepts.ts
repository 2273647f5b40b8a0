import { changeIntercepts } from '../hypervisor/intercepts/changes.ts';
import { MsrBitmap } from '../hypervisor/intercepts/msr-bitmap.ts';
import { type InterceptSettings, interceptSettings } from '../hypervisor/intercepts/settings.ts';
import { type InterceptSet, noIntercepts } from '../processor/intercepts.ts';

/** Turns all optional exits off. */
export function clearIntercepts(intercepts: InterceptSet): void {
  Object.assign(intercepts, noIntercepts());
}

const MSR_TSC = 0x10;
const ALL_REGISTERS = 0xffff;
const ALL_BITS = 0xffff_ffff_ffff_ffffn;

/** MSRs that go to the hardware without an exit. */
const PASSED_THROUGH: Readonly<Record<'intel' | 'amd', readonly number[]>> = {
  intel: [0x174, 0x175, 0x176, 0xc000_0100, 0xc000_0101, 0xc000_0102],
  amd: [0x174, 0xc000_0081, 0xc000_0082, 0xc000_0083, 0xc000_0084, 0xc000_0100, 0xc000_0101, 0xc000_0102],
};

/** Bits that the guest may change by itself with EPT: TS and WP; TSD, DE, PGE, PCE, OSFXSR, OSXMMEXCPT, FSGSBASE. */
const CR0_GUEST_OWNED = 0x1_0008n;
const CR4_GUEST_OWNED = 0x1_078cn;

/**
 * What a hypervisor asks for that gives its guest a virtual local APIC: with EPT and APICv, or with nested paging and without AVIC. All
 * I/O ports and most MSRs leave. `allows`: what the guest may do with MSRs by itself where the hypervisor would let it.
 */
export function usualIntercepts(
  vendor: 'intel' | 'amd',
  allows: (msr: number, write: boolean) => boolean = () => true,
): InterceptSettings {
  const msrs = MsrBitmap.filled(true);
  for (const msr of PASSED_THROUGH[vendor]) msrs.set(msr, { read: !allows(msr, false), write: !allows(msr, true) });
  const dr = { reads: ALL_REGISTERS, writes: ALL_REGISTERS };
  if (vendor === 'amd') return interceptSettings(AMD, { io: 'all', msrs, dr, cr: { reads: 1 << 4, writes: 1 << 4 } });
  msrs.set(MSR_TSC, { read: !allows(MSR_TSC, false) });
  return interceptSettings(INTEL, {
    io: 'all',
    msrs,
    dr,
    cr0: { mask: ALL_BITS & ~CR0_GUEST_OWNED, shadow: undefined },
    cr4: { mask: ALL_BITS & ~CR4_GUEST_OWNED, shadow: undefined },
  });
}

/** The same with what a user wants otherwise. Without a virtual APIC there is nowhere to post interrupts to. */
export function changedIntercepts(
  vendor: 'intel' | 'amd',
  changes: readonly string[],
  allows?: (msr: number, write: boolean) => boolean,
): InterceptSettings {
  const { on, ...values } = changeIntercepts(usualIntercepts(vendor, allows), changes, vendor);
  const isPossible = (name: string) => name !== 'posted-interrupts' || on.has('virtual-interrupts');
  return interceptSettings([...on].filter(isPossible), values);
}

const INTEL = [
  'external-interrupt',
  'nmi',
  'virtual-nmis',
  'posted-interrupts',
  'hlt',
  'rdpmc',
  'monitor',
  'mwait',
  'tsc-offset',
  'tpr-shadow',
  'apic-access-page',
  'second-level-translation',
  'enable-rdtscp',
  'address-space-tags',
  'unrestricted-guest',
  'virtual-interrupts',
  'enable-invpcid',
  'enable-xsaves',
  'save-debug-controls',
  'host-64-bit',
  'acknowledge-interrupt',
  'exit-save-efer',
  'exit-load-efer',
  'entry-load-debug-controls',
  'entry-load-efer',
] as const;

const AMD = [
  'external-interrupt',
  'nmi',
  'smi',
  'init',
  'cr0-selective-write',
  'rdpmc',
  'cpuid',
  'rsm',
  'invd',
  'hlt',
  'invlpga',
  'task-switch',
  'triple-fault',
  'vmrun',
  'hypercall',
  'vmload',
  'vmsave',
  'stgi',
  'clgi',
  'skinit',
  'wbinvd',
  'monitor',
  'mwait',
  'xsetbv',
  'rdpru',
  'interrupt-masking',
  'second-level-translation',
] as const;
