import { IoBitmap } from './io-bitmap.ts';
import { MsrBitmap } from './msr-bitmap.ts';
import { VMX_FIELDS, type VmxBit, type VmxField } from './places.ts';
import type { InterceptSettings, OwnedBits } from './settings.ts';
import { DERIVED_VMX, SETTING_ROWS, SETTINGS, VMX_RESERVED_ONES } from './table.ts';

/** The fields of a VMCS that say what leaves the guest, in VMX's form (Intel SDM vol. 3, 25.6 to 25.8). */
export interface VmcsControls {
  readonly words: Readonly<Record<VmxField, number>>;
  readonly exceptionBitmap: number;
  readonly pfecMask: number;
  readonly pfecMatch: number;
  /** Guest/host masks with their read shadows. */
  readonly cr0: OwnedBits;
  readonly cr4: OwnedBits;
  readonly cr3Targets: readonly bigint[];
  /** I/O bitmaps A and B; only with "Use I/O bitmaps". */
  readonly ioBitmaps: readonly [a: Uint8Array, b: Uint8Array] | undefined;
  /** Only with "Use MSR bitmaps". */
  readonly msrBitmap: Uint8Array | undefined;
  readonly pleGap: number;
  readonly pleWindow: number;
  readonly tprThreshold: number;
  /** VMX-preemption timer value. It is a field of the guest's state. */
  readonly preemptionTimer: number;
}

const CR3 = 1 << 3;
const CR8 = 1 << 8;
const ALL_BITS = 0xffff_ffff_ffff_ffffn;
/** TS and MP: what SVM's selective write of CR0 lets through. */
const SELECTIVE_PASSES = 0xan;
const ALL_REGISTERS = 0xffff;

/**
 * Settings as a VMCS has them. What VMX can only ask for together with more is asked for with that: exits are added, none is lost,
 * except of what VMX doesn't have (`missingOn`; reads of CR0 and CR4, accesses to CR2).
 */
export function toVmcs(settings: InterceptSettings): VmcsControls {
  const { on, cr, dr, io, msrs, pauseLoop } = settings;
  // What should leave behind a write leaves before it.
  const writes = cr.writes | settings.crTraps;
  const words = { ...VMX_RESERVED_ONES } as Record<VmxField, number>;
  const put = ({ field, bit }: VmxBit, isOn: boolean) => {
    if (isOn) words[field] = (words[field] | (1 << bit)) >>> 0;
  };
  for (const [name, { vmx }] of SETTING_ROWS) if (typeof vmx === 'object') put(vmx, on.has(name));
  put(DERIVED_VMX.cr3Load, (writes & CR3) !== 0);
  put(DERIVED_VMX.cr3Store, (cr.reads & CR3) !== 0);
  put(DERIVED_VMX.cr8Load, (writes & CR8) !== 0);
  put(DERIVED_VMX.cr8Store, (cr.reads & CR8) !== 0);
  put(DERIVED_VMX.movDr, (dr.reads | dr.writes) !== 0);
  put(DERIVED_VMX.unconditionalIo, io === 'all');
  put(DERIVED_VMX.ioBitmaps, typeof io === 'object');
  put(DERIVED_VMX.msrBitmaps, msrs !== 'all');
  put(DERIVED_VMX.pauseLoop, pauseLoop !== undefined);
  put(DERIVED_VMX.tertiary, words.tertiary !== 0);
  put(DERIVED_VMX.secondary, words.secondary !== 0);
  return {
    words,
    exceptionBitmap: settings.exceptions >>> 0,
    pfecMask: settings.pageFaults.mask,
    pfecMatch: settings.pageFaults.match,
    cr0: owned(settings.cr0, writes & 1 ? ALL_BITS : on.has('cr0-selective-write') ? ALL_BITS & ~SELECTIVE_PASSES : 0n),
    cr4: owned(settings.cr4, writes & (1 << 4) ? ALL_BITS : 0n),
    cr3Targets: settings.cr3Targets.slice(0, 4),
    ioBitmaps: typeof io === 'object' ? io.toPages() : undefined,
    msrBitmap: msrs === 'all' ? undefined : (msrs === 'none' ? MsrBitmap.filled(false) : msrs).toPage(),
    pleGap: pauseLoop?.gap ?? 0,
    pleWindow: pauseLoop?.window ?? 0,
    tprThreshold: settings.tprThreshold >>> 0,
    preemptionTimer: settings.preemptionTimer >>> 0,
  };
}

function owned({ mask, shadow }: OwnedBits, more: bigint): OwnedBits {
  return { mask: mask | more, shadow };
}

/** What a processor with VMX does with the controls: settings that it always has are on. Unknown bits mean nothing. */
export function fromVmcs(controls: VmcsControls): InterceptSettings {
  const { words } = controls;
  // Without their activation the secondary and tertiary controls count as 0.
  const active: Record<VmxField, boolean> = {
    pin: true,
    primary: true,
    exit: true,
    entry: true,
    secondary: has(words.primary, DERIVED_VMX.secondary),
    tertiary: has(words.primary, DERIVED_VMX.tertiary),
  };
  const isOn = (place: VmxBit) => active[place.field] && has(words[place.field], place);
  const on = SETTING_ROWS.filter(([, { vmx }]) => vmx === 'always' || (typeof vmx === 'object' && isOn(vmx)));
  const registers = (three: VmxBit, eight: VmxBit) => (isOn(three) ? CR3 : 0) | (isOn(eight) ? CR8 : 0);
  const allDr = isOn(DERIVED_VMX.movDr) ? ALL_REGISTERS : 0;
  return {
    on: new Set(on.map(([name]) => name)),
    exceptions: controls.exceptionBitmap,
    pageFaults: { mask: controls.pfecMask, match: controls.pfecMatch },
    cr: {
      reads: registers(DERIVED_VMX.cr3Store, DERIVED_VMX.cr8Store),
      writes: registers(DERIVED_VMX.cr3Load, DERIVED_VMX.cr8Load),
    },
    crTraps: 0,
    cr0: controls.cr0,
    cr4: controls.cr4,
    cr3Targets: controls.cr3Targets,
    dr: { reads: allDr, writes: allDr },
    io: ioOf(controls),
    msrs: isOn(DERIVED_VMX.msrBitmaps) && controls.msrBitmap !== undefined ? MsrBitmap.fromPage(controls.msrBitmap) : 'all',
    pauseLoop: isOn(DERIVED_VMX.pauseLoop) ? { gap: controls.pleGap, window: controls.pleWindow, count: 0 } : undefined,
    preemptionTimer: controls.preemptionTimer,
    tprThreshold: controls.tprThreshold,
    virtualInterrupt: undefined,
    virtualNmi: false,
  };
}

function has(word: number, { bit }: VmxBit): boolean {
  return ((word >>> bit) & 1) === 1;
}

/** With I/O bitmaps in use, unconditional I/O exiting is ignored. */
function ioOf({ words, ioBitmaps }: VmcsControls): InterceptSettings['io'] {
  if (has(words.primary, DERIVED_VMX.ioBitmaps) && ioBitmaps !== undefined) return IoBitmap.fromPages(...ioBitmaps);
  return has(words.primary, DERIVED_VMX.unconditionalIo) ? 'all' : 'none';
}

/** All bits of a control word that have a name, each once, lowest first. */
export function vmxBitNames(field: VmxField): readonly VmxBit[] {
  return VMX_BITS[field];
}

const VMX_BITS = Object.fromEntries(
  Object.keys(VMX_FIELDS).map((field) => {
    const places = [...Object.values(SETTINGS).map(({ vmx }) => vmx), ...Object.values(DERIVED_VMX)];
    const bits = places.filter((place): place is VmxBit => typeof place === 'object' && place.field === field);
    return [field, [...new Map(bits.map((place) => [place.bit, place])).values()].sort((a, b) => a.bit - b.bit)];
  }),
) as unknown as Readonly<Record<VmxField, readonly VmxBit[]>>;
