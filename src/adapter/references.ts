import { hex, parseAddress } from '../x86/address.ts';
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

export interface MemoryReference {
  /** Index of the guest whose memory it is; the first one's where it is missing. */
  readonly guest?: number;
  readonly space: 'gva' | 'gpa';
  readonly address: bigint;
}

/** Bit of a reference's number from which on the guest's index stands: above all addresses, since clients compute with it. */
const GUEST_SHIFT = 72n;

/**
 * Reads a memory reference: `0x…` is virtual, `gpa:0x…` physical; of another guest than the first, its index stands above the
 * address. Throws RequestError.
 */
export function parseReference(text: unknown, offset: unknown = 0): MemoryReference {
  if (typeof text !== 'string') throw errors.badReference(text);
  const space = text.startsWith('gpa:') ? 'gpa' : 'gva';
  const number = text.trim().replace(/^g[pv]a:/, '');
  const address = /^0x[0-9a-f]{17,19}$/i.test(number) ? BigInt(number) : parseAddress(number);
  if (address === undefined) throw errors.badReference(text);
  const moved = typeof offset === 'number' && Number.isInteger(offset) ? address + BigInt(offset) : address;
  return { guest: Number(address >> GUEST_SHIFT), space, address: BigInt.asUintN(64, moved) };
}

export function writeReference({ guest = 0, space, address }: MemoryReference): string {
  const number = hex((BigInt(guest) << GUEST_SHIFT) | address);
  return space === 'gpa' ? `gpa:${number}` : number;
}

/** A reference to a virtual address of a guest. */
export function gvaReference(guest: number, address: bigint): string {
  return writeReference({ guest, space: 'gva', address });
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
