import { GuestFault, Vector } from '../faults/guest-fault.ts';
import { checkTarget, requireCode } from '../segmentation/code-segment.ts';
import { findDescriptor, isNull, markAccessed, Rights, readDescriptor, rpl, segmentValue } from '../segmentation/descriptor.ts';
import { dataSegment, loadLdt, setBusy, stackSegment } from '../segmentation/load.ts';
import { Flag } from '../state/cpu-state.ts';
import * as L from '../state/layout.ts';
import type { SystemContext } from '../system/context.ts';

/** Offsets of a 32-bit TSS (Intel SDM vol. 3, figure 8-2) and of a 16-bit one (figure 8-10). */
const TSS_32 = { size: 0x67, cr3: 0x1c, eip: 0x20, eflags: 0x24, registers: 0x28, segments: 0x48, ldt: 0x60, step: 4 } as const;
const TSS_16 = { size: 0x2b, cr3: -1, eip: 0x0e, eflags: 0x10, registers: 0x12, segments: 0x22, ldt: 0x2a, step: 2 } as const;

/**
 * Switches tasks (Intel SDM vol. 3, 8.3). `source` tells what nesting and busy bits become. Throws #GP, #NP or #TS with the
 * selector before the switch is committed, #TS, #NP or #SS after it for a bad new state.
 */
export function switchTask(
  context: SystemContext,
  selector: number,
  source: 'call' | 'jmp' | 'iret' | 'gate',
  external = 0,
): void {
  const { state } = context;
  const wrong = source === 'iret' ? Vector.TS : Vector.GP;
  const error = (selector & 0xfffc) | external;
  const descriptor = isNull(selector) || selector & 4 ? undefined : findDescriptor(context, selector);
  const busy = source === 'iret' ? 2 : 0;
  if (!descriptor?.isSystem || (descriptor.type & ~8) !== (1 | busy)) throw new GuestFault(wrong, error);
  if (!descriptor.present) throw new GuestFault(Vector.NP, error);
  const wide = (descriptor.type & 8) !== 0;
  const form = wide ? TSS_32 : TSS_16;
  if (descriptor.limit < form.size) throw new GuestFault(Vector.TS, error);

  const nested = source === 'call' || source === 'gate';
  saveTask(context, source === 'iret');
  const old = state.segment(L.Segment.TR);
  const table = state.get64(L.GDTR_BASE);
  if (!nested) setBusy(context, table + BigInt(old.selector & 0xfff8), false);
  if (source !== 'iret') setBusy(context, descriptor.address, true);
  if (nested) context.writeLinear(descriptor.base, 2, BigInt(old.selector), false);

  const read = (offset: number) => context.readLinear(descriptor.base + BigInt(offset), form.step, false);
  const cr3 = wide ? read(form.cr3) : 0n;
  const rip = read(form.eip);
  let flags = Number(read(form.eflags));
  const registers = [0, 1, 2, 3, 4, 5, 6, 7].map((index) => read(form.registers + index * form.step));
  const count = wide ? 6 : 4;
  const selectors = Array.from({ length: count }, (_, index) => Number(read(form.segments + index * form.step) & 0xffffn));
  const ldt = Number(read(form.ldt) & 0xffffn);
  const trap = wide && (context.readLinear(descriptor.base + 0x64n, 2, false) & 1n) !== 0n;

  state.setSegment(L.Segment.TR, { selector, base: descriptor.base, limit: descriptor.limit, rights: descriptor.rights | 2 });
  state.set64(L.CR0, state.cr0 | 8n);
  if (wide && (state.cr0 & (1n << 31n)) !== 0n && cr3 !== state.cr3) {
    state.set64(L.CR3, cr3);
    context.flushTlb(false);
  }
  if (nested) flags |= Flag.NT;
  state.rflags = flags;
  state.rip = rip;
  registers.forEach((value, index) => {
    state.setGpr(index, value);
  });
  loadSegments(context, selectors, ldt);
  checkTarget(context, state.segment(L.Segment.CS), rip);
  if (trap) throw new GuestFault(Vector.DB, undefined, undefined, 1n << 15n);
}

/** Writes the running task into its TSS; RIP is already what it shall continue at. */
function saveTask(context: SystemContext, clearNested: boolean): void {
  const { state } = context;
  const tss = state.segment(L.Segment.TR);
  const form = tss.rights & 8 ? TSS_32 : TSS_16;
  const write = (offset: number, value: bigint) => context.writeLinear(tss.base + BigInt(offset), form.step, value, false);
  write(form.eip, state.rip);
  write(form.eflags, BigInt(clearNested ? state.rflags & ~Flag.NT : state.rflags));
  for (let index = 0; index < 8; index++) write(form.registers + index * form.step, state.gpr(index) & 0xffff_ffffn);
  const count = form.step === 4 ? 6 : 4;
  for (let index = 0; index < count; index++)
    context.writeLinear(tss.base + BigInt(form.segments + index * form.step), 2, BigInt(state.segment(index).selector), false);
}

function loadSegments(context: SystemContext, selectors: readonly number[], ldt: number): void {
  const { state } = context;
  try {
    loadLdt(context, ldt);
  } catch {
    throw new GuestFault(Vector.TS, ldt & 0xfffc);
  }
  const [es = 0, cs = 0, ss = 0, ds = 0, fs = 0, gs = 0] = selectors;
  if ((state.rflags & Flag.VM) !== 0) {
    [es, cs, ss, ds, fs, gs].forEach((selector, index) => {
      state.setSegment(index, { selector, base: BigInt(selector << 4), limit: 0xffff, rights: 0xf3 });
    });
    state.cpl = 3;
    context.modeChanged();
    return;
  }
  if (isNull(cs)) throw new GuestFault(Vector.TS, 0);
  const code = readDescriptor(context, cs, Vector.TS);
  requireCode(context, code, Vector.TS);
  const conforming = (code.type & Rights.CONFORMING) !== 0;
  if (conforming ? code.dpl > rpl(cs) : code.dpl !== rpl(cs)) throw new GuestFault(Vector.TS, cs & 0xfffc);
  state.cpl = rpl(cs);
  markAccessed(context, code);
  state.setSegment(L.Segment.CS, segmentValue(code, cs));
  state.setSegment(L.Segment.SS, stackSegment(context, ss, state.cpl, Vector.TS));
  for (const [index, selector] of [
    [L.Segment.ES, es],
    [L.Segment.DS, ds],
    [L.Segment.FS, fs],
    [L.Segment.GS, gs],
  ] as const)
    state.setSegment(index, dataSegment(context, index, selector, state.cpl, Vector.TS));
  context.modeChanged();
}
