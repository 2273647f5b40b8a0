import type { Processor } from '../../processor/processor.ts';
import type { InterceptSettings } from './settings.ts';
import type { SettingName } from './table.ts';

/** The settings with what a hypervisor asks the processor for at each entry: the windows that it waits for, its virtual interrupt, the TPR threshold. */
export function withWindows(
  settings: InterceptSettings,
  { intercepts, virtualInterrupt, virtualNmi }: Processor,
): InterceptSettings {
  const on = new Set<SettingName>(settings.on);
  const set = (name: SettingName, isOn: boolean) => (isOn ? on.add(name) : on.delete(name));
  set('interrupt-window', intercepts.interruptWindow);
  set('nmi-window', intercepts.nmiWindow);
  return { ...settings, on, virtualInterrupt, virtualNmi, tprThreshold: intercepts.tprThreshold };
}
