/**
 * Guest addresses: bigint inside the engine, `0x…` strings outside it, and each one with the space that it counts in.
 */

/**
 * The space of an address: `gva` guest virtual (linear, after segmentation), `gpa` guest physical, `l2gpa` guest
 * physical of a nested guest, `spa` system physical (the host's).
 */
export type AddressSpace = 'gva' | 'gpa' | 'l2gpa' | 'spa';

/** A place in a guest's memory: what a debugger shows and changes memory by. */
export interface MemoryPlace {
  readonly space: Extract<AddressSpace, 'gva' | 'gpa'>;
  readonly address: bigint;
}

export const MASK_32 = 0xffff_ffffn;
export const MASK_64 = 0xffff_ffff_ffff_ffffn;
/** Where the lower half of the canonical addresses ends, and where the upper one starts. */
const LOWER_END = 0x8000_0000_0000n;
const UPPER_START = 0xffff_8000_0000_0000n;

/** Writes a non-negative address or register value as `0x…`, padded with zeroes to `digits`. */
export function hex(value: bigint | number, digits = 0): string {
  return `0x${value.toString(16).padStart(digits, '0')}`;
}

/**
 * Reads an address as a user or an editor writes it: `0x…` hexadecimal or plain decimal, up to 64 bits.
 * Returns undefined for anything else, so that the caller can say where the bad text came from.
 */
export function parseAddress(text: string): bigint | undefined {
  const trimmed = text.trim().replaceAll('_', '');
  if (!/^(0[xX][0-9a-fA-F]{1,16}|[0-9]{1,20})$/.test(trimmed)) return undefined;
  const value = BigInt(trimmed);
  return value > MASK_64 ? undefined : value;
}

/** True when bits 63:47 of a 4-level linear address are all equal (Intel SDM vol. 1, 3.3.7.1). */
export function isCanonical(address: bigint): boolean {
  // Mostly it is one, and comparing makes no new number.
  if (address < LOWER_END) return address >= 0n || isCanonical(BigInt.asUintN(64, address));
  return address >= UPPER_START && (address <= MASK_64 || isCanonical(BigInt.asUintN(64, address)));
}
