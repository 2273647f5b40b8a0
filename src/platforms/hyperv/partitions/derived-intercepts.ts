import { MsrBitmap } from '../../../hypervisor/intercepts/msr-bitmap.ts';
import type { InterceptSettings } from '../../../hypervisor/intercepts/settings.ts';
import type { InstalledIntercepts } from './installed-intercepts.ts';

/**
 * Has a guest leave wherever its parent has installed an intercept, in settings that nobody else has. I/O, CPUID and HLT always leave.
 */
export function withIntercepts(settings: InterceptSettings, installed: InstalledIntercepts): InterceptSettings {
  const { msrs } = settings;
  if (msrs instanceof MsrBitmap)
    for (const msr of installed.msrs) {
      if (installed.ofMsr(msr, false)) msrs.set(msr, { read: true });
      if (installed.ofMsr(msr, true)) msrs.set(msr, { write: true });
    }
  return { ...settings, exceptions: settings.exceptions | installed.exceptions };
}
