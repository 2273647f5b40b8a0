import { isCanonical } from '../../x86/address.ts';
import { GuestFault, Vector } from '../faults/guest-fault.ts';
import type { SegmentValue } from '../state/cpu-state.ts';
import * as L from '../state/layout.ts';
import type { SystemContext } from '../system/context.ts';
import { type Descriptor, isLong, markAccessed, Rights, segmentValue } from './descriptor.ts';

/** True for a descriptor of 64-bit code under EFER.LMA. */
export function is64Bit(context: SystemContext, rights: number): boolean {
  return isLong(context) && (rights & Rights.L) !== 0;
}

/** Checks an offset against a code segment about to be loaded. Throws #GP(0), or #GP(EXT) in the delivery of an event. */
export function checkTarget(
  context: SystemContext,
  code: { readonly limit: number; readonly rights: number },
  offset: bigint,
  external = 0,
): void {
  if (is64Bit(context, code.rights)) {
    if (!isCanonical(offset)) throw new GuestFault(Vector.GP, external);
  } else if (offset > BigInt(code.limit)) throw new GuestFault(Vector.GP, external);
}

/** Checks that a descriptor is present code that isn't 64-bit and 32-bit at once. Throws `vector` or #NP with the selector. */
export function requireCode(context: SystemContext, descriptor: Descriptor, vector: number = Vector.GP, external = 0): void {
  const error = (descriptor.selector & 0xfffc) | external;
  const both = isLong(context) && (descriptor.rights & (Rights.L | Rights.DB)) === (Rights.L | Rights.DB);
  if (!descriptor.isCode || both) throw new GuestFault(vector, error);
  if (!descriptor.present) throw new GuestFault(Vector.NP, error);
}

/**
 * Loads CS and RIP at a privilege level; the checks are done. Who commits other state before marks the descriptor as accessed
 * first, since that may fault.
 */
export function enterCode(context: SystemContext, descriptor: Descriptor, cpl: number, offset: bigint): void {
  markAccessed(context, descriptor);
  setCode(context, segmentValue(descriptor, (descriptor.selector & 0xfffc) | cpl), cpl, offset);
}

export function setCode(context: SystemContext, value: SegmentValue, cpl: number, offset: bigint): void {
  const { state } = context;
  state.setSegment(L.Segment.CS, value);
  state.cpl = cpl;
  state.rip = offset;
  context.modeChanged();
}
