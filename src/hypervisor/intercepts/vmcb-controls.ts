import { type VirtualInterrupt, WINDOW_INTERRUPT } from '../../processor/events/virtual-interrupt.ts';
import { IoBitmap } from './io-bitmap.ts';
import { MsrBitmap } from './msr-bitmap.ts';
import { SVM_OFFSETS, type SvmBit, type SvmOffset, svmExitCode, vector4 } from './places.ts';
import type { InterceptSettings } from './settings.ts';
import { DERIVED_SVM, SETTING_ROWS, SETTINGS } from './table.ts';

/** The fields of a VMCB's control area that say what leaves the guest (AMD APM vol. 2, table B-1). */
export interface VmcbControls {
  /** Intercept vectors 0 to 5 at offsets 000h to 014h, and the words at 060h, 090h and 0B8h. */
  readonly words: Readonly<Record<SvmOffset, number>>;
  /** V_INTR_VECTOR at 064h. */
  readonly interruptVector: number;
  readonly pauseFilterThreshold: number;
  readonly pauseFilterCount: number;
  /** I/O permission map of 12 KiB; only with the intercept of IN and OUT. */
  readonly iopm: Uint8Array | undefined;
  /** MSR permission map of 8 KiB; only with the intercept of RDMSR and WRMSR. */
  readonly msrpm: Uint8Array | undefined;
}

const CR4 = 1 << 4;
const CR8 = 1 << 8;
/** V_INTR_PRIO in the word at 060h. */
const PRIORITY_SHIFT = 16;
/** Traps of writes of CR0 to CR15 in intercept vector 4. */
const TRAPS_SHIFT = 16;
/** TS and MP: what the selective write of CR0 lets through. */
const SELECTIVE_PASSES = 0xan;

/**
 * Settings as a VMCB has them. SVM has no masks and shadows of CR0 and CR4, no targets of CR3 and no filter of page faults: writes,
 * reads and faults of that kind leave altogether.
 */
export function toVmcb(settings: InterceptSettings): VmcbControls {
  const { on, cr, cr0, cr4, dr, io, msrs, pauseLoop, pageFaults } = settings;
  const words = Object.fromEntries(SVM_OFFSETS.map((offset) => [offset, 0])) as Record<SvmOffset, number>;
  const put = ({ offset, bit }: SvmBit, isOn: boolean) => {
    if (isOn) words[offset] = (words[offset] | (1 << bit)) >>> 0;
  };
  for (const [name, { svm }] of SETTING_ROWS) if (typeof svm === 'object') put(svm, on.has(name));
  const selective = cr0.mask !== 0n && (cr0.mask & SELECTIVE_PASSES) === 0n;
  put(SETTINGS['cr0-selective-write'].svm, on.has('cr0-selective-write') || selective);
  put(SETTINGS.pause.svm, on.has('pause') || pauseLoop !== undefined);
  put(DERIVED_SVM.io, io !== 'none');
  put(DERIVED_SVM.msr, msrs !== 'none');
  const reads = cr.reads | readsFor(cr0, 1) | readsFor(cr4, CR4);
  // Without a threshold each write of CR8 must leave that might be below it.
  const threshold = on.has('tpr-shadow') && settings.tprThreshold !== 0 ? CR8 : 0;
  const writes = cr.writes | threshold | (cr0.mask !== 0n && !selective ? 1 : 0) | (cr4.mask === 0n ? 0 : CR4);
  words[0x00] = (((writes & 0xffff) << 16) | (reads & 0xffff)) >>> 0;
  words[0x10] = (words[0x10] | ((settings.crTraps & 0xffff) << TRAPS_SHIFT)) >>> 0;
  words[0x04] = (((dr.writes & 0xffff) << 16) | (dr.reads & 0xffff)) >>> 0;
  // Where some page faults are wanted, all must be.
  const somePageFaults = pageFaults.mask !== 0 || pageFaults.match !== 0;
  words[0x08] = (settings.exceptions | (somePageFaults ? 1 << 14 : 0)) >>> 0;
  // A window is the intercept of a virtual interrupt, so there must be one.
  const interrupt = settings.virtualInterrupt ?? (on.has('interrupt-window') ? WINDOW_INTERRUPT : undefined);
  put(DERIVED_SVM.virtualInterrupt, interrupt !== undefined);
  put(DERIVED_SVM.virtualNmi, settings.virtualNmi);
  put(DERIVED_SVM.ignoresTpr, interrupt?.ignoresTpr === true);
  words[0x60] = (words[0x60] | ((interrupt?.priority ?? 0) << PRIORITY_SHIFT)) >>> 0;
  const isFilter = pauseLoop !== undefined && !on.has('pause');
  return {
    words,
    interruptVector: interrupt?.vector ?? 0,
    pauseFilterThreshold: isFilter ? pauseLoop.gap : 0,
    pauseFilterCount: isFilter ? pauseLoop.count : 0,
    iopm: io === 'none' ? undefined : (io === 'all' ? IoBitmap.filled(true) : io).toPermissionMap(),
    msrpm: msrs === 'none' ? undefined : (msrs === 'all' ? MsrBitmap.filled(true) : msrs).toPermissionMap(),
  };
}

/** What the guest shall not see of a register, it mustn't read by itself. */
function readsFor({ mask, shadow }: InterceptSettings['cr0'], bit: number): number {
  return mask !== 0n && shadow !== undefined ? bit : 0;
}

/** What a processor with SVM does with the controls: settings that it always has are on. Unknown bits mean nothing. */
export function fromVmcb(controls: VmcbControls): InterceptSettings {
  const { words, pauseFilterCount, pauseFilterThreshold } = controls;
  const isOn = ({ offset, bit }: SvmBit) => ((words[offset] >>> bit) & 1) === 1;
  const on = SETTING_ROWS.filter(([, { svm }]) => svm === 'always' || (typeof svm === 'object' && isOn(svm)));
  const isFilter = isOn(SETTINGS.pause.svm) && pauseFilterCount > 0;
  return {
    on: new Set(on.map(([name]) => name).filter((name) => !(isFilter && name === 'pause'))),
    exceptions: words[0x08],
    pageFaults: { mask: 0, match: 0 },
    cr: { reads: words[0x00] & 0xffff, writes: words[0x00] >>> 16 },
    crTraps: words[0x10] >>> TRAPS_SHIFT,
    cr0: { mask: 0n, shadow: undefined },
    cr4: { mask: 0n, shadow: undefined },
    cr3Targets: [],
    dr: { reads: words[0x04] & 0xffff, writes: words[0x04] >>> 16 },
    io: isOn(DERIVED_SVM.io) && controls.iopm !== undefined ? IoBitmap.fromPermissionMap(controls.iopm) : 'none',
    msrs: isOn(DERIVED_SVM.msr) && controls.msrpm !== undefined ? MsrBitmap.fromPermissionMap(controls.msrpm) : 'none',
    pauseLoop: isFilter ? { gap: pauseFilterThreshold, window: 0, count: pauseFilterCount } : undefined,
    preemptionTimer: 0,
    tprThreshold: 0,
    virtualInterrupt: isOn(DERIVED_SVM.virtualInterrupt) ? virtualInterruptOf(controls) : undefined,
    virtualNmi: isOn(DERIVED_SVM.virtualNmi),
  };
}

function virtualInterruptOf({ words, interruptVector }: VmcbControls): VirtualInterrupt {
  const ignoresTpr = ((words[0x60] >>> DERIVED_SVM.ignoresTpr.bit) & 1) === 1;
  return { vector: interruptVector, priority: (words[0x60] >>> PRIORITY_SHIFT) & 15, ignoresTpr };
}

const CR_TRAPS = Array.from({ length: 16 }, (_, register) => vector4(TRAPS_SHIFT + register, `CR${register}_WRITE_TRAP`));

/** Bits of a word that have a name, lowest first. */
export function svmBitNames(offset: SvmOffset): readonly SvmBit[] {
  const places = [...Object.values(SETTINGS).map(({ svm }) => svm), ...Object.values(DERIVED_SVM), ...CR_TRAPS];
  return places
    .filter((place): place is SvmBit => typeof place === 'object' && place.offset === offset)
    .sort((a, b) => a.bit - b.bit);
}

/** Codes of exits that no intercept bit makes (AMD APM vol. 2, appendix C), and of I/O and MSRs, whose bits have other names. */
const OTHER_CODES: Readonly<Record<number, string>> = {
  [-1]: 'INVALID',
  123: 'IOIO',
  124: 'MSR',
  1024: 'NPF',
  1025: 'AVIC_INCOMPLETE_IPI',
  1026: 'AVIC_NOACCEL',
};
const WORD_NAMES = ['CR', 'DR', 'EXCP'] as const;
const EVENT_NAMES = new Map(
  [0x0c, 0x10, 0x14].flatMap((offset) => svmBitNames(offset as SvmOffset)).map((bit) => [svmExitCode(bit), bit.name]),
);

/** Name of an SVM exit code without its prefix VMEXIT_: `CR0_WRITE`, `EXCP14`, `IOIO`, `NPF`. */
export function svmCodeName(code: number): string {
  const named = OTHER_CODES[code] ?? EVENT_NAMES.get(code);
  if (named !== undefined) return named;
  const word = WORD_NAMES[code >> 5];
  if (word === undefined) return `code ${code}`;
  return word === 'EXCP' ? `${word}${code & 0x1f}` : `${word}${code & 15}_${code & 0x10 ? 'WRITE' : 'READ'}`;
}
