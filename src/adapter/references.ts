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
  readonly space: 'gva' | 'gpa';
  readonly address: bigint;
}

/** Reads a memory reference: `0x…` is virtual, `gpa:0x…` physical. Throws RequestError. */
export function parseReference(text: unknown, offset: unknown = 0): MemoryReference {
  if (typeof text !== 'string') throw errors.badReference(text);
  const space = text.startsWith('gpa:') ? 'gpa' : 'gva';
  const address = parseAddress(text.replace(/^g[pv]a:/, ''));
  if (address === undefined) throw errors.badReference(text);
  const moved = typeof offset === 'number' && Number.isInteger(offset) ? address + BigInt(offset) : address;
  return { space, address: BigInt.asUintN(64, moved) };
}

export function writeReference({ space, address }: MemoryReference): string {
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
