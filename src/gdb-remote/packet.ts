/** Longest packet that is taken and announced (`PacketSize`), in bytes. */
export const PACKET_SIZE = 0x8000;

const INTERRUPT = 0x03;
const DOLLAR = 0x24;
const HASH = 0x23;
const PLUS = 0x2b;
const MINUS = 0x2d;
const ESCAPE = '}';

/** What a client sends (GDB manual, appendix "Remote Serial Protocol", overview). Packets are bytes as latin-1 text. */
export type ClientMessage =
  | { readonly kind: 'packet'; readonly text: string }
  | { readonly kind: 'damaged' }
  | { readonly kind: 'interrupt' | 'ack' | 'nack' };

/** Takes a client's messages out of a byte stream. Bytes between packets that mean nothing are passed over. */
export class PacketReader {
  /** The packet in progress, from its `$` on; undefined between packets. */
  private open: number[] | undefined;

  push(chunk: Uint8Array): ClientMessage[] {
    const found: ClientMessage[] = [];
    for (const byte of chunk) {
      const message = this.take(byte);
      if (message) found.push(message);
    }
    return found;
  }

  private take(byte: number): ClientMessage | undefined {
    const { open } = this;
    if (!open) {
      if (byte === DOLLAR) this.open = [];
      else if (byte === INTERRUPT) return { kind: 'interrupt' };
      else if (byte === PLUS) return { kind: 'ack' };
      else if (byte === MINUS) return { kind: 'nack' };
      return undefined;
    }
    // Data has no $ in it, so the end of the packet before was lost.
    if (byte === DOLLAR) {
      this.open = [];
      return undefined;
    }
    open.push(byte);
    // An unescaped # ends the data; two digits of checksum follow.
    if (open.at(-3) === HASH) {
      this.open = undefined;
      return finish(open);
    }
    if (open.length > PACKET_SIZE + 3) {
      this.open = undefined;
      return { kind: 'damaged' };
    }
    return undefined;
  }
}

function finish(bytes: readonly number[]): ClientMessage {
  const data = bytes.slice(0, -3);
  const digits = String.fromCharCode(...bytes.slice(-2));
  const isWhole = /^[0-9a-f]{2}$/i.test(digits) && Number(`0x${digits}`) === checksum(data);
  return isWhole ? { kind: 'packet', text: unescaped(textOfBytes(data)) } : { kind: 'damaged' };
}

function checksum(bytes: readonly number[]): number {
  return bytes.reduce((sum, byte) => (sum + byte) & 0xff, 0);
}

function unescaped(text: string): string {
  return text.replaceAll(/\}([\s\S])/g, (_whole, byte: string) => String.fromCharCode(byte.charCodeAt(0) ^ 0x20));
}

/** A packet around latin-1 text, ready to be sent as latin-1. */
export function packet(text: string): string {
  const escaped = text.replaceAll(/[#$}*]/g, (byte) => ESCAPE + String.fromCharCode(byte.charCodeAt(0) ^ 0x20));
  const sum = checksum([...escaped].map((character) => character.charCodeAt(0)));
  return `$${escaped}#${sum.toString(16).padStart(2, '0')}`;
}

/** Bytes as latin-1 text. */
export function textOfBytes(bytes: Iterable<number>): string {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

/** Bytes as pairs of hexadecimal digits. */
export function hexOf(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Undefined for a text that isn't made of whole pairs of digits. */
export function bytesOfHex(text: string): Uint8Array | undefined {
  if (!/^([0-9a-f]{2})*$/i.test(text)) return undefined;
  return Uint8Array.from(text.match(/../g) ?? [], (digits) => Number(`0x${digits}`));
}

export function bytesOfText(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0) & 0xff);
}
