import type { InspectNode } from '../../devices/inspect.ts';
import { hex } from '../../x86/address.ts';
import { describeFault } from '../exits/describe.ts';

/** A field of a control structure: its name, its encoding or offset, its value. */
export function field(name: string, at: number, value: bigint | number, detail?: string): InspectNode {
  const where = hex(at, 4);
  return { name, value: hex(value), detail: detail === undefined ? where : `${where}, ${detail}` };
}

/** Names of the bits that are set. */
export function namesOfBits(value: number, bits: readonly { readonly bit: number; readonly name: string }[]): string {
  const set = bits.filter(({ bit }) => (value >>> bit) & 1).map(({ name }) => name);
  return set.length > 0 ? set.join(', ') : 'none';
}

/** Names of the exceptions whose bits are set. */
export function vectorNames(bitmap: number): string {
  return namesOfBits(
    bitmap,
    Array.from({ length: 32 }, (_, bit) => ({ bit, name: describeFault(bit) })),
  );
}

/** A bitmap in memory of its own, by what it says: how many of its bits are set. None where it isn't used. */
export function pages(name: string, at: number, bytes: Uint8Array | undefined): InspectNode[] {
  if (bytes === undefined) return [];
  let set = 0;
  for (const byte of bytes) for (let bits = byte; bits > 0; bits &= bits - 1) set++;
  return [{ name, value: `${set} of ${bytes.length * 8} bits set`, detail: hex(at, 4) }];
}
