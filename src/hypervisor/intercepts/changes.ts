import { conform } from './conform.ts';
import { type InterceptSettings, interceptSettings, missingOn } from './settings.ts';
import { SETTING_ROWS, type SettingName } from './table.ts';

/** A change that can't be made. One sentence that says what is wrong and how to mend it. */
export class InterceptChangeError extends Error {}

/** What makes no exit by itself and can be chosen all the same. */
const CHOSEN: ReadonlySet<SettingName> = new Set<SettingName>(['virtual-interrupts', 'exit-save-timer']);
/** A hypervisor asks for these when it waits for them. */
const WINDOWS: ReadonlySet<SettingName> = new Set<SettingName>(['interrupt-window', 'nmi-window']);
const LONGEST_TIMER = 0xffff_ffff;

/** Settings that a user can switch on and off, in the order of their table. */
export const CHANGEABLE: readonly SettingName[] = SETTING_ROWS.filter(
  ([name, { reason }]) => (reason !== undefined && !WINDOWS.has(name)) || CHOSEN.has(name),
).map(([name]) => name);

type Vendor = 'intel' | 'amd';
const NAMES_OF_VENDORS: Readonly<Record<Vendor, string>> = { intel: 'VMX', amd: 'SVM' };

/**
 * Settings with changes that a user asks for, each `NAME` to switch a setting of the table on, `-NAME` to switch it off,
 * `preemption-timer=TICKS`, or `crN-read`, `crN-write`, `crN-write-trap`. Throws InterceptChangeError.
 */
export function changeIntercepts(settings: InterceptSettings, changes: readonly string[], vendor: Vendor): InterceptSettings {
  return changes.reduce((changed, change) => changeOne(changed, change, vendor), settings);
}

function changeOne(settings: InterceptSettings, change: string, vendor: Vendor): InterceptSettings {
  const [, timer] = /^preemption-timer=(.*)$/.exec(change) ?? [];
  if (timer !== undefined) return { ...switched(settings, 'preemption-timer', true, vendor), preemptionTimer: ticks(timer) };
  const [, register, kind] = /^cr(\d+)-(read|write|write-trap)$/.exec(change) ?? [];
  if (register !== undefined) return withRegister(settings, change, Number(register), kind ?? '', vendor);
  const isOn = !change.startsWith('-');
  const name = CHANGEABLE.find((candidate) => candidate === (isOn ? change : change.slice(1)));
  if (name === undefined) throw new InterceptChangeError(`"${change}" is no intercept; ${similar(change)}`);
  if (name === 'preemption-timer' && isOn)
    throw new InterceptChangeError('"preemption-timer" needs its ticks; write for example preemption-timer=10000.');
  return switched(settings, name, isOn, vendor);
}

function switched(settings: InterceptSettings, name: SettingName, isOn: boolean, vendor: Vendor): InterceptSettings {
  const on = new Set(settings.on);
  if (isOn) on.add(name);
  else on.delete(name);
  if (isOn && missingOn(vendor, interceptSettings([name])).length > 0) throw absent(name, vendor);
  return { ...settings, on };
}

function absent(name: string, vendor: Vendor): InterceptChangeError {
  const other = vendor === 'intel' ? 'amd' : 'intel';
  return new InterceptChangeError(
    `"${name}" is nothing that ${NAMES_OF_VENDORS[vendor]} intercepts; leave it out, or choose the vendor ${other}.`,
  );
}

function ticks(text: string): number {
  const value = /^\d{1,10}$/.test(text) ? Number(text) : 0;
  if (value < 1 || value > LONGEST_TIMER)
    throw new InterceptChangeError(`A preemption timer counts 1 to ${LONGEST_TIMER} ticks, not "${text}".`);
  return value;
}

const REGISTERS: readonly number[] = [0, 2, 3, 4, 8];

function withRegister(
  settings: InterceptSettings,
  change: string,
  register: number,
  kind: string,
  vendor: Vendor,
): InterceptSettings {
  if (!REGISTERS.includes(register))
    throw new InterceptChangeError(`"${change}" names no control register; there are CR0, CR2, CR3, CR4 and CR8.`);
  const bit = 1 << register;
  const field = { read: { reads: bit }, write: { writes: bit }, 'write-trap': {} }[kind] ?? {};
  const add = ({ cr, crTraps, ...others }: InterceptSettings): InterceptSettings => ({
    ...others,
    cr: { reads: cr.reads | (field.reads ?? 0), writes: cr.writes | (field.writes ?? 0) },
    crTraps: crTraps | (kind === 'write-trap' ? bit : 0),
  });
  // What a vendor can't do is lost when the settings are rendered for it; masks take the place of writes of CR0 and CR4.
  const { cr, crTraps, cr0, cr4 } = conform(add(interceptSettings()), vendor);
  const isThere = cr.reads | cr.writes | crTraps || cr0.mask !== 0n || cr4.mask !== 0n;
  if (!isThere || (kind === 'write-trap' && crTraps === 0)) throw absent(change, vendor);
  return add(settings);
}

/** The names that look most like one. */
function similar(change: string): string {
  const plain = change.replace(/^-/, '');
  const near = CHANGEABLE.filter((name) => name.includes(plain) || plain.includes(name) || name.startsWith(plain.slice(0, 3)));
  const names = near.length > 0 && near.length <= 6 ? near : ['cpuid', 'rdtsc', 'pause', 'monitor-trap', 'cr3-write'];
  return `choose a name of docs/intercepts.md, such as ${names.join(', ')}.`;
}
