import { isCanonical } from '../../x86/address.ts';
import { GuestFault, Vector } from '../faults/guest-fault.ts';
import { Flag, type SegmentValue } from '../state/cpu-state.ts';
import * as L from '../state/layout.ts';
import type { SystemContext } from '../system/context.ts';

/** Bits of the access rights, as SegmentValue has them. */
export const Rights = {
  S: 1 << 4,
  P: 1 << 7,
  L: 1 << 13,
  DB: 1 << 14,
  G: 1 << 15,
  UNUSABLE: 1 << 16,
  CODE: 8,
  CONFORMING: 4,
  WRITABLE: 2,
  READABLE: 2,
  ACCESSED: 1,
} as const;

/** A descriptor of the GDT or LDT, decoded (Intel SDM vol. 3, 3.4.5). */
export interface Descriptor {
  readonly selector: number;
  /** Linear address of the descriptor's first byte. */
  readonly address: bigint;
  readonly base: bigint;
  readonly limit: number;
  readonly rights: number;
  readonly type: number;
  readonly isSystem: boolean;
  readonly isCode: boolean;
  readonly dpl: number;
  readonly present: boolean;
  /** Its halves of 32 bits. */
  readonly low: number;
  readonly high: number;
}

export const rpl = (selector: number): number => selector & 3;
export const isNull = (selector: number): boolean => (selector & 0xfffc) === 0;

export function dplOf(rights: number): number {
  return (rights >> 5) & 3;
}

/** Decodes the 8 bytes of a descriptor, given in halves. */
export function parseDescriptor(low: number, high: number, selector: number, address: bigint): Descriptor {
  const rights = (high >>> 8) & 0xf0ff;
  let limit = (high & 0xf_0000) | (low & 0xffff);
  if (rights & Rights.G) limit = limit * 4096 + 4095;
  const base = BigInt((((high & 0xff) << 16) | (high & 0xff00_0000) | (low >>> 16)) >>> 0);
  const isSystem = (rights & Rights.S) === 0;
  return {
    selector,
    address,
    base,
    limit,
    rights,
    type: rights & 15,
    isSystem,
    isCode: !isSystem && (rights & Rights.CODE) !== 0,
    dpl: dplOf(rights),
    present: (rights & Rights.P) !== 0,
    low,
    high,
  };
}

const MOST_KNOWN = 64;
/** Descriptors that were decoded last, by the low bits of their numbers, with the base of their table. */
const known: { readonly base: bigint; readonly descriptor: Descriptor }[] = [];

/** Reads a descriptor; undefined when the selector lies outside its table. */
export function findDescriptor(context: SystemContext, selector: number): Descriptor | undefined {
  const { state } = context;
  const offset = selector & 0xfff8;
  let slot: number = L.GDTR_BASE;
  let limit = state.get32(L.GDTR_LIMIT);
  if (selector & 4) {
    const ldt = state.segment(L.Segment.LDTR);
    if (ldt.rights & Rights.UNUSABLE || isNull(ldt.selector)) return undefined;
    slot = L.SEGMENTS + L.Segment.LDTR * L.SEGMENT_SIZE + L.SEG_BASE;
    limit = ldt.limit;
  }
  if (offset + 7 > limit) return undefined;
  const base = state.get64(slot);
  const place = context.placeOfTable(slot, offset, 8);
  if (place !== 0) {
    const { view } = context.memory;
    const low = view.getUint32(place, true);
    const high = view.getUint32(place + 4, true);
    const old = known[(selector >> 3) & (MOST_KNOWN - 1)];
    if (old?.base === base) {
      const { descriptor } = old;
      if (descriptor.selector === selector && descriptor.low === low && descriptor.high === high) return descriptor;
    }
    const descriptor = parseDescriptor(low, high, selector, BigInt.asUintN(64, base + BigInt(offset)));
    known[(selector >> 3) & (MOST_KNOWN - 1)] = { base, descriptor };
    return descriptor;
  }
  const address = BigInt.asUintN(64, base + BigInt(offset));
  const raw = context.readLinear(address, 8, false);
  return parseDescriptor(Number(raw & 0xffff_ffffn), Number(raw >> 32n), selector, address);
}

/** Reads a descriptor that must be there. Throws the vector (default #GP) with the selector as error code. */
export function readDescriptor(context: SystemContext, selector: number, vector: number = Vector.GP, external = 0): Descriptor {
  const descriptor = findDescriptor(context, selector);
  if (!descriptor) throw new GuestFault(vector, (selector & 0xfffc) | external);
  return descriptor;
}

/**
 * The upper half of a 16-byte system descriptor in long mode: bits 63:32 of the base of an LDT or TSS, of the offset of a
 * call gate. Throws #GP with the selector when it lies outside the table, isn't of type 0, or makes no canonical address.
 */
export function upperHalf(context: SystemContext, descriptor: Descriptor, low: bigint): bigint {
  const { state } = context;
  const limit = descriptor.selector & 4 ? state.segment(L.Segment.LDTR).limit : state.get32(L.GDTR_LIMIT);
  const fault = new GuestFault(Vector.GP, descriptor.selector & 0xfffc);
  if ((descriptor.selector & 0xfff8) + 15 > limit) throw fault;
  const high = context.readLinear(descriptor.address + 8n, 8, false);
  // The type of the upper half must be 0, so that it can't be taken for a descriptor of its own.
  if ((high & 0x1f00_0000_0000n) !== 0n) throw fault;
  const whole = low | ((high & 0xffff_ffffn) << 32n);
  if (!isCanonical(whole)) throw fault;
  return whole;
}

/** Sets the accessed bit of a code or data descriptor in memory. */
export function markAccessed(context: SystemContext, descriptor: Descriptor): void {
  if (descriptor.type & Rights.ACCESSED) return;
  const byte = context.readLinear(descriptor.address + 5n, 1, false);
  if (byte & 1n) return;
  context.writeLinear(descriptor.address + 5n, 1, byte | 1n, false);
}

export function segmentValue(descriptor: Descriptor, selector: number): SegmentValue {
  return { selector, base: descriptor.base, limit: descriptor.limit, rights: descriptor.rights | Rights.ACCESSED };
}

const EFER_LMA = 1 << 10;

export const isLong = (context: SystemContext): boolean => (context.state.get32(L.EFER) & EFER_LMA) !== 0;
export const isProtected = (context: SystemContext): boolean =>
  (context.state.get32(L.CR0) & 1) !== 0 && (context.state.get32(L.EFLAGS) & Flag.VM) === 0;
export const isVirtual8086 = (context: SystemContext): boolean =>
  (context.state.get32(L.CR0) & 1) !== 0 && (context.state.get32(L.EFLAGS) & Flag.VM) !== 0;
