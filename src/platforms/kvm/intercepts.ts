import type { InterceptSettings } from '../../hypervisor/intercepts/settings.ts';
import { changedIntercepts } from '../intercepts.ts';

/**
 * What KVM (kernel 6.1) asks for, with EPT and APICv or with nested paging and without AVIC. It also intercepts exceptions that it
 * gives back to the guest (#UD, #DB, #AC, #MC); these are left to the guest here. `changes`: what a user wants otherwise (without APICv it
 * is as with the module's parameter enable_apicv=0); `allows`: what a filter lets the guest do with MSRs by itself.
 */
export function kvmIntercepts(
  vendor: 'intel' | 'amd',
  changes: readonly string[] = [],
  allows: (msr: number, write: boolean) => boolean = () => true,
): InterceptSettings {
  return changedIntercepts(vendor, changes, allows);
}
