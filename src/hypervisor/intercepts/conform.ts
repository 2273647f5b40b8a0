import type { InterceptSettings } from './settings.ts';
import { fromVmcb, toVmcb } from './vmcb-controls.ts';
import { fromVmcs, toVmcs } from './vmcs-controls.ts';

/**
 * What a vendor's processor does when it is asked for these settings: what it always does is on, what it can't do is off, and what it
 * can only do together with more is on with that.
 */
export function conform(settings: InterceptSettings, vendor: 'intel' | 'amd'): InterceptSettings {
  return vendor === 'intel' ? fromVmcs(toVmcs(settings)) : fromVmcb(toVmcb(settings));
}
