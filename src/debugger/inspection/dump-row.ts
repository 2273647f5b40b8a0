import { hex, type MemoryPlace } from '../../x86/address.ts';

/** Bytes of a row. */
export const PER_ROW = 16;

/** Up to 16 bytes at an address, as digits and as text. */
export function dumpRow({ space, address }: MemoryPlace, bytes: Uint8Array): string {
  const row = [...bytes];
  const digits = row.map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
  const text = row.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : '.')).join('');
  return `${space === 'gpa' ? 'gpa:' : ''}${hex(address, 16)}  ${digits.padEnd(PER_ROW * 3)} ${text}`;
}
