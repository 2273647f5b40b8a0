import { type AddressSpace, hex, MASK_64, type MemoryPlace } from '../x86/address.ts';
import { errors } from './errors.ts';

/** Things that a client refers to by number until the guest moves on. */
export class Handles<T> {
  private readonly values = new Map<number, T>();
  private next = 1;

  add(value: T): number {
    const id = this.next++;
    this.values.set(id, value);
    return id;
  }
  get(id: unknown): T | undefined {
    return typeof id === 'number' ? this.values.get(id) : undefined;
  }
  /** Numbers are never given again, so that a late request meets nothing rather than the wrong thing. */
  clear(): void {
    this.values.clear();
  }
}

/**
 * A memory reference is one plain number, `0x…`, since editors hand it to `BigInt()` and do arithmetic with it:
 *
 * | bits | |
 * |---|---|
 * | 63:0 | the address |
 * | 71:64 | its space: 0 linear, 1 guest physical, 2 and 3 kept for guest physical of a nested guest and the host's physical |
 * | 87:72 | index of the guest in the session: 0 for the first |
 *
 * So a linear address is its own reference, and guest physical 0x1000 is `0x10000000000001000`.
 */
const SPACES: readonly AddressSpace[] = ['gva', 'gpa', 'l2gpa', 'spa'];
const SPACE_SHIFT = 64n;
const GUEST_SHIFT = 72n;
const SPACE_MASK = 0xffn;
/** Text before an address that says its space: for people who write references by hand. */
const PREFIX = /^(gva|gpa):/i;

/** A place in the memory of one of the guests. */
export interface MemoryReference extends MemoryPlace {
  /** Index of the guest; the first one where it is missing. */
  readonly guest?: number;
}

/** Reads a memory reference, or what a person writes for one: `0x1000`, `gpa:0x1000`. Throws RequestError. */
export function parseReference(text: unknown): MemoryReference {
  if (typeof text !== 'string') throw errors.badReference(text);
  const prefix = PREFIX.exec(text);
  const digits = text.slice(prefix?.[0].length ?? 0).trim();
  if (!/^(0x[0-9a-f]{1,22}|\d{1,27})$/i.test(digits)) throw errors.badReference(text);
  const value = BigInt(digits.toLowerCase());
  const space = SPACES[Number((value >> SPACE_SHIFT) & SPACE_MASK)];
  const given = prefix?.[1]?.toLowerCase();
  const isPlain = value <= MASK_64;
  if ((space !== 'gva' && space !== 'gpa') || (given !== undefined && !isPlain)) throw errors.badReference(text);
  return { guest: Number(value >> GUEST_SHIFT), space: given === 'gpa' ? 'gpa' : space, address: value & MASK_64 };
}

/** The same, moved by an offset in bytes; addresses wrap as the processor's do. Throws RequestError. */
export function parseMovedReference(text: unknown, offset: unknown): MemoryReference {
  const place = parseReference(text);
  if (typeof offset !== 'number' || !Number.isSafeInteger(offset)) return place;
  return { ...place, address: BigInt.asUintN(64, place.address + BigInt(offset)) };
}

/** The reference of a place in memory. */
export function writeReference({ guest = 0, space, address }: MemoryReference): string {
  return hex((BigInt(guest) << GUEST_SHIFT) | (BigInt(SPACES.indexOf(space)) << SPACE_SHIFT) | address);
}

/** The reference of a linear address of a guest. */
export function gvaReference(guest: number, address: bigint): string {
  return writeReference({ guest, space: 'gva', address });
}

/** A place as a person reads it: `0x1000`, `gpa:0x1000`. */
export function writePlace({ space, address }: MemoryPlace): string {
  return space === 'gpa' ? `gpa:${hex(address)}` : hex(address);
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const CODES = new TextEncoder().encode(ALPHABET);
const PADDING = '='.charCodeAt(0);

/** Bytes in base64 (RFC 4648, section 4). A mebibyte takes a few milliseconds. */
export function toBase64(bytes: Uint8Array): string {
  const text = new Uint8Array(Math.ceil(bytes.length / 3) * 4);
  let to = 0;
  for (let at = 0; at < bytes.length; at += 3) {
    const bits = ((bytes[at] ?? 0) << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
    for (let shift = 18; shift >= 0; shift -= 6) text[to++] = CODES[(bits >> shift) & 63] ?? 0;
  }
  const missing = (3 - (bytes.length % 3)) % 3;
  text.fill(PADDING, text.length - missing);
  return new TextDecoder().decode(text);
}

/** The bytes of a base64 text; characters that are none of it are passed over. */
export function fromBase64(text: string): Uint8Array {
  const bytes: number[] = [];
  let bits = 0;
  let count = 0;
  for (const character of text) {
    const value = ALPHABET.indexOf(character);
    if (value < 0) continue;
    bits = ((bits << 6) | value) & 0xff_ffff;
    count += 6;
    if (count >= 8) {
      count -= 8;
      bytes.push((bits >> count) & 0xff);
    }
  }
  return Uint8Array.from(bytes);
}
