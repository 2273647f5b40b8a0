import { changeIntercepts } from '../../hypervisor/intercepts/changes.ts';
import { MsrBitmap } from '../../hypervisor/intercepts/msr-bitmap.ts';
import { type InterceptSettings, interceptSettings } from '../../hypervisor/intercepts/settings.ts';

const MSR_TSC = 0x10;
const ALL_REGISTERS = 0xffff;
const ALL_BITS = 0xffff_ffff_ffff_ffffn;

/** MSRs that go to the hardware without an exit, as KVM's MSR bitmaps have them. */
const PASSED_THROUGH: Readonly<Record<'intel' | 'amd', readonly number[]>> = {
  intel: [0x174, 0x175, 0x176, 0xc000_0100, 0xc000_0101, 0xc000_0102],
  amd: [0x174, 0xc000_0081, 0xc000_0082, 0xc000_0083, 0xc000_0084, 0xc000_0100, 0xc000_0101, 0xc000_0102],
};

/** Bits that the guest may change by itself with EPT: TS and WP; TSD, DE, PGE, PCE, OSFXSR, OSXMMEXCPT, FSGSBASE. */
const CR0_GUEST_OWNED = 0x1_0008n;
const CR4_GUEST_OWNED = 0x1_078cn;

/**
 * What KVM (kernel 6.1) asks for, with EPT and APICv or with nested paging and without AVIC. It also intercepts exceptions that it
 * gives back to the guest (#UD, #DB, #AC, #MC); these are left to the guest here. `changes`: what a user wants otherwise; `allows`:
 * what a filter lets the guest do with MSRs by itself.
 */
export function kvmIntercepts(
  vendor: 'intel' | 'amd',
  changes: readonly string[] = [],
  allows: (msr: number, write: boolean) => boolean = () => true,
): InterceptSettings {
  const { on, ...values } = changeIntercepts(usual(vendor, allows), changes, vendor);
  // As with the module's parameter enable_apicv=0: there is nowhere to post to.
  return interceptSettings(
    [...on].filter((name) => name !== 'posted-interrupts' || on.has('virtual-interrupts')),
    values,
  );
}

function usual(vendor: 'intel' | 'amd', allows: (msr: number, write: boolean) => boolean): InterceptSettings {
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
