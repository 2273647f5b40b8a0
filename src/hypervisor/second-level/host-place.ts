/**
 * Where a partition lies among the system physical addresses (SPA) of its host: its memory, and the tables of its second level. Each
 * has a slot of its own, so no SPA means two things.
 */
export interface HostPlace {
  /** SPA of the partition's first byte of RAM: at a boundary of 1 GiB, so that large pages are possible. */
  readonly ram: bigint;
  /** SPA of the second level's PML4 table. */
  readonly tables: bigint;
}

const GIB = 1n << 30n;
const SLOT = 16n * GIB;
const RAM_AT = 4n * GIB;
const TABLES_AT = 12n * GIB;

/** The place of a number, from 0. The lowest slot is the host's own. */
export function hostPlace(number: number): HostPlace {
  const slot = SLOT * BigInt(number + 1);
  return { ram: slot + RAM_AT, tables: slot + TABLES_AT };
}

/** Bits of the guest physical addresses that can be mapped: those of the processor models. */
export const GPA_BITS = 40n;

/** Levels of second-level tables, the root first, with the bits that an index of each is followed by. */
export const TABLE_LEVELS = [
  { name: 'PML4E', shift: 39n },
  { name: 'PDPTE', shift: 30n },
  { name: 'PDE', shift: 21n },
  { name: 'PTE', shift: 12n },
] as const;
export type TableLevel = (typeof TABLE_LEVELS)[number]['name'];

/**
 * SPA of the table of a level (0: PML4) that a guest physical address is looked up in. Tables have fixed places: the PML4, then all
 * PDPTs, all PDs, all PTs by what they map.
 */
export function tableAddress(place: HostPlace, level: number, gpa: bigint): bigint {
  const above = TABLE_LEVELS[level - 1];
  const firsts = [0n, 1n, 1n + (1n << 9n), 1n + (1n << 9n) + (1n << (GPA_BITS - 30n))] as const;
  const number = above === undefined ? 0n : gpa >> above.shift;
  return place.tables + ((firsts[level] ?? 0n) + number) * 0x1000n;
}

/** SPA of the entry of a level that maps a guest physical address. */
export function entryAddress(place: HostPlace, level: number, gpa: bigint): bigint {
  const shift = TABLE_LEVELS[level]?.shift ?? 12n;
  return tableAddress(place, level, gpa) + ((gpa >> shift) & 0x1ffn) * 8n;
}
