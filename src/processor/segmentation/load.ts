import { GuestFault, Vector } from '../faults/guest-fault.ts';
import type { SegmentValue } from '../state/cpu-state.ts';
import * as L from '../state/layout.ts';
import type { SystemContext } from '../system/context.ts';
import {
  findDescriptor,
  isLong,
  isNull,
  isProtected,
  markAccessed,
  Rights,
  readDescriptor,
  rpl,
  segmentValue,
  upperHalf,
} from './descriptor.ts';

/** A segment as real mode and virtual-8086 mode load it: only selector and base change in real mode. */
export function realModeSegment(context: SystemContext, index: number, selector: number): SegmentValue {
  const virtual = (context.state.rflags & (1 << 17)) !== 0;
  const old = context.state.segment(index);
  const base = BigInt(selector << 4);
  if (virtual) return { selector, base, limit: 0xffff, rights: 0xf3 };
  // Loading CS in real mode makes it usable data-like code again; limit and size stay ("unreal" mode).
  const rights = index === L.Segment.CS ? (old.rights & Rights.DB) | 0x93 : (old.rights & ~Rights.UNUSABLE) | 0x93;
  return { selector, base, limit: old.limit, rights };
}

const NULL_SEGMENT = (selector: number, base = 0n): SegmentValue => ({ selector, base, limit: 0, rights: Rights.UNUSABLE });

/** Checks and fetches what loading a data or stack segment register gives (MOV, POP, LDS …). Changes nothing but accessed bits. */
export function dataSegment(
  context: SystemContext,
  index: number,
  selector: number,
  cpl = context.state.cpl,
  vector: number = Vector.GP,
): SegmentValue {
  if (!isProtected(context)) return realModeSegment(context, index, selector);
  if (index === L.Segment.SS) return stackSegment(context, selector, cpl, vector);
  if (isNull(selector)) return NULL_SEGMENT(selector);
  const descriptor = readDescriptor(context, selector, vector);
  const error = selector & 0xfffc;
  const readable = !descriptor.isSystem && (!descriptor.isCode || (descriptor.type & Rights.READABLE) !== 0);
  if (!readable) throw new GuestFault(vector, error);
  const conforming = descriptor.isCode && (descriptor.type & Rights.CONFORMING) !== 0;
  if (!conforming && (rpl(selector) > descriptor.dpl || cpl > descriptor.dpl)) throw new GuestFault(vector, error);
  if (!descriptor.present) throw new GuestFault(Vector.NP, error);
  markAccessed(context, descriptor);
  return segmentValue(descriptor, selector);
}

/** As {@link dataSegment}, for SS at a privilege level. `external` is the EXT bit of error codes. */
export function stackSegment(
  context: SystemContext,
  selector: number,
  cpl: number,
  vector: number = Vector.GP,
  external = 0,
): SegmentValue {
  const error = (selector & 0xfffc) | external;
  if (isNull(selector)) {
    if (context.mode === 64 && cpl < 3 && rpl(selector) === cpl)
      return { selector, base: 0n, limit: 0xffff_ffff, rights: Rights.UNUSABLE | (cpl << 5) };
    throw new GuestFault(vector, external);
  }
  const descriptor = readDescriptor(context, selector, vector, external);
  const writable = !descriptor.isSystem && !descriptor.isCode && (descriptor.type & Rights.WRITABLE) !== 0;
  if (rpl(selector) !== cpl || !writable || descriptor.dpl !== cpl) throw new GuestFault(vector, error);
  if (!descriptor.present) throw new GuestFault(Vector.SS, error);
  markAccessed(context, descriptor);
  return segmentValue(descriptor, selector);
}

/** LLDT. */
export function loadLdt(context: SystemContext, selector: number): void {
  const { state } = context;
  if (isNull(selector)) {
    state.setSegment(L.Segment.LDTR, { selector, base: 0n, limit: 0, rights: Rights.UNUSABLE | 0x82 });
    return;
  }
  const descriptor = selector & 4 ? undefined : findDescriptor(context, selector);
  if (!descriptor?.isSystem || descriptor.type !== 2) throw new GuestFault(Vector.GP, selector & 0xfffc);
  if (!descriptor.present) throw new GuestFault(Vector.NP, selector & 0xfffc);
  const base = isLong(context) ? upperHalf(context, descriptor, descriptor.base) : descriptor.base;
  state.setSegment(L.Segment.LDTR, { selector, base, limit: descriptor.limit, rights: descriptor.rights });
}

/** LTR: an available TSS, which becomes busy. */
export function loadTaskRegister(context: SystemContext, selector: number): void {
  const { state } = context;
  const descriptor = isNull(selector) || selector & 4 ? undefined : findDescriptor(context, selector);
  const available = descriptor?.isSystem && (descriptor.type === 9 || (descriptor.type === 1 && !isLong(context)));
  if (!descriptor || !available) throw new GuestFault(Vector.GP, selector & 0xfffc);
  if (!descriptor.present) throw new GuestFault(Vector.NP, selector & 0xfffc);
  const base = isLong(context) ? upperHalf(context, descriptor, descriptor.base) : descriptor.base;
  setBusy(context, descriptor.address, true);
  state.setSegment(L.Segment.TR, { selector, base, limit: descriptor.limit, rights: descriptor.rights | 2 });
}

/** Sets or clears the busy bit of a TSS descriptor in memory. */
export function setBusy(context: SystemContext, descriptorAddress: bigint, busy: boolean): void {
  const byte = context.readLinear(descriptorAddress + 5n, 1, false);
  context.writeLinear(descriptorAddress + 5n, 1, busy ? byte | 2n : byte & ~2n, false);
}

/** After a return to an outer level: data segments that the new level may not use become null. */
export function dropPrivilegedSegments(context: SystemContext, cpl: number): void {
  const { state } = context;
  for (const index of [L.Segment.ES, L.Segment.DS, L.Segment.FS, L.Segment.GS]) {
    const { rights, base, selector } = state.segment(index);
    const conforming = (rights & (Rights.CODE | Rights.CONFORMING)) === (Rights.CODE | Rights.CONFORMING);
    if (isNull(selector) || (!conforming && ((rights >> 5) & 3) < cpl)) {
      const keepBase = context.mode === 64 && index >= L.Segment.FS;
      if (!isNull(selector)) state.setSegment(index, NULL_SEGMENT(0, keepBase ? base : 0n));
    }
  }
}
