import type { TableLevel } from './host-place.ts';
import { MEMORY_TYPES, type MemoryType } from './page-word.ts';
import type { SecondLevelMap, SecondLevelPage } from './second-level-map.ts';
import { type EntryFormat, namesOf, type TableWalk, walkTables } from './table-walk.ts';

/** Bits of EPT entries (Intel SDM vol. 3, tables 29-1 to 29-7). */
const Ept = { READ: 1n, WRITE: 2n, EXECUTE: 4n, IGNORE_PAT: 0x40n, LARGE: 0x80n, ACCESSED: 0x100n, DIRTY: 0x200n } as const;
const TYPE_SHIFT = 3n;
const FRAME = 0x000f_ffff_ffff_f000n;

/** EPTP: write-back, four levels, and whether accessed and dirty flags are in use (Intel SDM vol. 3, table 25-9). */
const EPTP_WB = 6n;
const EPTP_FOUR_LEVELS = 3n << 3n;
const EPTP_FLAGS = 1n << 6n;

const RIGHTS = [
  [0, 'R'],
  [1, 'W'],
  [2, 'X'],
] as const;
const LEAF_FLAGS = [
  [6, 'IPAT'],
  [7, 'PS'],
  [8, 'A'],
  [9, 'D'],
] as const;

/** The entry of a misconfigured page: it can be written and executed, but not read. KVM marks device memory so. */
function misconfigured(gpa: bigint): bigint {
  return (gpa & FRAME) | Ept.WRITE | Ept.EXECUTE;
}

function pageEntry(page: SecondLevelPage, isLarge: boolean): bigint {
  if (page.state === 'misconfigured' || page.isMarked) return misconfigured(page.gpa);
  if (page.spa === undefined) return 0n;
  const { permissions } = page;
  return (
    page.spa |
    (permissions.read ? Ept.READ : 0n) |
    (permissions.write ? Ept.WRITE : 0n) |
    (permissions.execute ? Ept.EXECUTE : 0n) |
    (BigInt(MEMORY_TYPES[page.memoryType]) << TYPE_SHIFT) |
    Ept.IGNORE_PAT |
    (isLarge ? Ept.LARGE : 0n) |
    (page.accessed ? Ept.ACCESSED : 0n) |
    (page.dirty ? Ept.DIRTY : 0n)
  );
}

/** A leaf has a memory type, IPAT and a dirty flag; in an entry that leads to a table these bits mean nothing. */
function bits(value: bigint, level: TableLevel): readonly string[] {
  const rights = namesOf(value, RIGHTS);
  if (rights.length === 0) return [];
  if (level !== 'PTE' && (value & Ept.LARGE) === 0n) return [...rights, ...namesOf(value, [[8, 'A']])];
  const number = Number((value >> TYPE_SHIFT) & 7n);
  const type = (Object.keys(MEMORY_TYPES) as MemoryType[]).find((name) => MEMORY_TYPES[name] === number);
  return [...rights, type ?? `type ${number}`, ...namesOf(value, LEAF_FLAGS)];
}

/** Intel's extended page tables. */
const EPT: EntryFormat = {
  name: 'EPT',
  root: eptPointer,
  table: (address, accessed) => address | Ept.READ | Ept.WRITE | Ept.EXECUTE | (accessed ? Ept.ACCESSED : 0n),
  page: pageEntry,
  bits,
};

/** The EPTP of a map (VMCS field 201Ah). */
export function eptPointer({ place, hasFlags }: SecondLevelMap): bigint {
  return place.tables | EPTP_WB | EPTP_FOUR_LEVELS | (hasFlags ? EPTP_FLAGS : 0n);
}

/** How EPT would translate a guest physical address by a map. */
export function eptWalk(map: SecondLevelMap, gpa: bigint): TableWalk {
  return walkTables(map, gpa, EPT);
}
