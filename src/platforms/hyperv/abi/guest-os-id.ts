/** HV_X64_MSR_GUEST_OS_ID, by which a guest says what it is (TLFS, "Guest OS identity"). */

/** Types of open-source systems: bits 62:56. */
const OPEN_SOURCE: readonly (string | undefined)[] = [undefined, 'Linux', 'FreeBSD', 'Xen', 'illumos'];
/** Microsoft's systems: bits 47:40 where bits 62:48 are 1. */
const MICROSOFT: readonly (string | undefined)[] = [undefined, 'MS-DOS', 'Windows 3.x', 'Windows 9x', 'Windows NT', 'Windows CE'];

export type GuestOs = 'linux' | 'windows' | 'other';

/** Bits of a value from one to another, both included. */
const bits = (value: bigint, high: bigint, low: bigint): number => Number((value >> low) & ((1n << (high - low + 1n)) - 1n));

export function guestOsOf(id: bigint): GuestOs {
  if (id >> 63n !== 0n) return bits(id, 62n, 56n) === 1 ? 'linux' : 'other';
  return bits(id, 62n, 48n) === 1 && bits(id, 47n, 40n) === 4 ? 'windows' : 'other';
}

/** `Linux 6.1.0`, as far as the value tells. */
export function describeGuestOs(id: bigint): string {
  if (id === 0n) return 'not told yet';
  if (id >> 63n !== 0n) {
    const type = bits(id, 62n, 56n);
    const version = bits(id, 47n, 16n);
    return `${OPEN_SOURCE[type] ?? `open-source system ${type}`} ${(version >>> 16) & 0xffff}.${(version >>> 8) & 0xff}.${version & 0xff}`;
  }
  const vendor = bits(id, 62n, 48n);
  const system = bits(id, 47n, 40n);
  const name = vendor === 1 ? (MICROSOFT[system] ?? `Microsoft system ${system}`) : `system ${system} of vendor ${vendor}`;
  return `${name} ${bits(id, 39n, 32n)}.${bits(id, 31n, 24n)}, build ${bits(id, 15n, 0n)}`;
}
