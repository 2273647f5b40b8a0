import { GuestFault, Vector } from '../faults/guest-fault.ts';
import { Mmu } from '../mmu/mmu.ts';
import { checkTarget, requireCode } from '../segmentation/code-segment.ts';
import { findDescriptor, isNull, markAccessed, Rights, readDescriptor, rpl, segmentValue } from '../segmentation/descriptor.ts';
import { dataSegment, loadLdt, setBusy, stackSegment } from '../segmentation/load.ts';
import { Flag, type SegmentValue } from '../state/cpu-state.ts';
import * as L from '../state/layout.ts';
import type { SystemContext } from '../system/context.ts';

/** Offsets of a 32-bit TSS (Intel SDM vol. 3, figure 8-2) and of a 16-bit one (figure 8-10). */
const TSS_32 = { size: 0x67, cr3: 0x1c, eip: 0x20, eflags: 0x24, registers: 0x28, segments: 0x48, ldt: 0x60, step: 4 } as const;
const TSS_16 = { size: 0x2b, cr3: -1, eip: 0x0e, eflags: 0x10, registers: 0x12, segments: 0x22, ldt: 0x2a, step: 2 } as const;

const CR0_TS = 8n;
const CR0_PG = 1n << 31n;
const CR4_PAE = 1n << 5n;
/** L0–L3 and LE. */
const DR7_LOCAL = 0x155n;
const DR6_BT = 1n << 15n;

/**
 * Switches tasks (Intel SDM vol. 3, 8.3). `source` tells what nesting and busy bits become; `next` is where the old task
 * continues later. Throws #GP, #NP or #TS with the
 * selector before the switch is committed, #TS, #NP or #SS after it for a bad new state.
 */
export function switchTask(
  context: SystemContext,
  selector: number,
  source: 'call' | 'jmp' | 'iret' | 'gate',
  next: bigint,
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

  // All is read, and the old TSS known to be writable, before anything changes.
  const incoming = readTask(context, descriptor.base, form);
  const old = state.segment(L.Segment.TR);
  for (const at of [oldForm(old).eip, oldForm(old).ldt - 1]) touch(context, linear(old.base, at));
  context.committed(() => commit(context, { selector, descriptor, incoming, old, source, next }));
}

/** What a task switch is made of. */
interface Switch {
  readonly selector: number;
  readonly descriptor: NonNullable<ReturnType<typeof findDescriptor>>;
  readonly incoming: Task;
  /** The task register of the task that is left. */
  readonly old: SegmentValue;
  readonly source: 'call' | 'jmp' | 'iret' | 'gate';
  readonly next: bigint;
}

/** Goes over to the new task. From here on a fault is the new task's. */
function commit(context: SystemContext, { selector, descriptor, incoming, old, source, next }: Switch): void {
  const { state } = context;
  const nested = source === 'call' || source === 'gate';
  const wide = (descriptor.type & 8) !== 0;
  saveTask(context, old, next, source === 'iret');
  if (!nested) setBusy(context, state.get64(L.GDTR_BASE) + BigInt(old.selector & 0xfff8), false);
  if (source !== 'iret') setBusy(context, descriptor.address, true);
  if (nested) context.writeLinear(descriptor.base, 2, BigInt(old.selector), false);

  state.setSegment(L.Segment.TR, { selector, base: descriptor.base, limit: descriptor.limit, rights: descriptor.rights | 2 });
  state.set64(L.CR0, state.cr0 | CR0_TS);
  // Breakpoints that are local to a task end with it.
  state.set64(L.DR + 56, state.get64(L.DR + 56) & ~DR7_LOCAL);
  context.debugRegistersChanged();
  state.rflags = nested ? incoming.flags | Flag.NT : incoming.flags;
  state.rip = incoming.rip;
  incoming.registers.forEach((value, index) => {
    state.setGpr(index, value);
  });
  invalidateSegments(context, incoming);
  try {
    if (wide && (state.cr0 & CR0_PG) !== 0n) loadPageTables(context, incoming.cr3);
    loadSegments(context, incoming);
    checkTarget(context, state.segment(L.Segment.CS), incoming.rip);
  } finally {
    context.modeChanged();
    context.eventsChanged();
  }
  if (incoming.trap) throw new GuestFault(Vector.DB, undefined, undefined, DR6_BT);
}

interface Task {
  readonly cr3: bigint;
  readonly rip: bigint;
  readonly flags: number;
  readonly registers: readonly bigint[];
  /** ES, CS, SS, DS, FS, GS. */
  readonly selectors: readonly number[];
  readonly ldt: number;
  /** The T bit: a debug trap when the task begins. */
  readonly trap: boolean;
}

type Form = typeof TSS_32 | typeof TSS_16;

const oldForm = (tss: SegmentValue): Form => (tss.rights & 8 ? TSS_32 : TSS_16);
const linear = (base: bigint, offset: number): bigint => (base + BigInt(offset)) & 0xffff_ffffn;

function readTask(context: SystemContext, base: bigint, form: Form): Task {
  const read = (offset: number) => context.readLinear(linear(base, offset), form.step, false);
  const selector = (offset: number) => Number(read(offset) & 0xffffn);
  const wide = form.step === 4;
  const segments = Array.from({ length: wide ? 6 : 4 }, (_, index) => selector(form.segments + index * form.step));
  return {
    cr3: wide ? read(form.cr3) : 0n,
    rip: read(form.eip),
    flags: Number(read(form.eflags)),
    registers: [0, 1, 2, 3, 4, 5, 6, 7].map((index) => read(form.registers + index * form.step)),
    selectors: wide ? segments : [...segments, 0, 0],
    ldt: selector(form.ldt),
    trap: wide && (context.readLinear(linear(base, 0x64), 2, false) & 1n) !== 0n,
  };
}

/** Throws what a write there would throw. */
function touch(context: SystemContext, address: bigint): void {
  context.writeLinear(address, 1, context.readLinear(address, 1, false), false);
}

/** Writes the running task into its TSS. */
function saveTask(context: SystemContext, tss: SegmentValue, next: bigint, clearNested: boolean): void {
  const { state } = context;
  const form = oldForm(tss);
  const write = (offset: number, value: bigint) => context.writeLinear(linear(tss.base, offset), form.step, value, false);
  write(form.eip, next);
  write(form.eflags, BigInt(clearNested ? state.rflags & ~Flag.NT : state.rflags));
  for (let index = 0; index < 8; index++) write(form.registers + index * form.step, state.gpr(index) & 0xffff_ffffn);
  const count = form.step === 4 ? 6 : 4;
  for (let index = 0; index < count; index++)
    context.writeLinear(linear(tss.base, form.segments + index * form.step), 2, BigInt(state.segment(index).selector), false);
}

/** Selectors are loaded at once, the hidden parts one after the other: after a fault on the way the rest can't be used. */
function invalidateSegments({ state }: SystemContext, { selectors, ldt }: Task): void {
  const unusable = (selector: number) => ({ selector, base: 0n, limit: 0, rights: Rights.UNUSABLE });
  selectors.forEach((selector, index) => {
    state.setSegment(index, unusable(selector));
  });
  state.setSegment(L.Segment.LDTR, unusable(ldt));
  state.cpl = rpl(selectors[L.Segment.CS] ?? 0);
}

function loadPageTables(context: SystemContext, cr3: bigint): void {
  const { state } = context;
  if ((state.cr4 & CR4_PAE) !== 0n) new Mmu(state, context.memory, context.model).loadPdptes(cr3, true);
  state.set64(L.CR3, cr3);
  context.flushTlb(false);
}

function loadLdtOfTask(context: SystemContext, selector: number): void {
  try {
    loadLdt(context, selector);
  } catch (error) {
    // A bad LDT is the TSS's fault; a page fault stays one.
    if (!(error instanceof GuestFault) || error.vector === Vector.PF) throw error;
    throw new GuestFault(Vector.TS, selector & 0xfffc);
  }
}

function loadSegments(context: SystemContext, { selectors, ldt }: Task): void {
  const { state } = context;
  loadLdtOfTask(context, ldt);
  const [es = 0, cs = 0, ss = 0, ds = 0, fs = 0, gs = 0] = selectors;
  if ((state.rflags & Flag.VM) !== 0) {
    [es, cs, ss, ds, fs, gs].forEach((selector, index) => {
      state.setSegment(index, { selector, base: BigInt(selector << 4), limit: 0xffff, rights: 0xf3 });
    });
    state.cpl = 3;
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
}
