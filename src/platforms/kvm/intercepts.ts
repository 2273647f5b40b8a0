import { changeIntercepts } from '../../hypervisor/intercepts/changes.ts';
import { type InterceptSettings, interceptSettings } from '../../hypervisor/intercepts/settings.ts';
import { usualIntercepts } from '../intercepts.ts';

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
  const { on, ...values } = changeIntercepts(usualIntercepts(vendor, allows), changes, vendor);
  // As with the module's parameter enable_apicv=0: there is nowhere to post to.
  return interceptSettings(
    [...on].filter((name) => name !== 'posted-interrupts' || on.has('virtual-interrupts')),
    values,
  );
}
