import type { InterceptSet } from '../../processor/intercepts.ts';
import type { InterceptSettings } from './settings.ts';
import type { SettingName } from './table.ts';

/** The settings with the windows that a hypervisor waits for at the moment: it asks the processor for those at each entry. */
export function withWindows(settings: InterceptSettings, intercepts: InterceptSet): InterceptSettings {
  const on = new Set<SettingName>(settings.on);
  const set = (name: SettingName, isOn: boolean) => (isOn ? on.add(name) : on.delete(name));
  set('interrupt-window', intercepts.interruptWindow);
  set('nmi-window', intercepts.nmiWindow);
  return { ...settings, on };
}
