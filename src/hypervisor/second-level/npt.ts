import type { TableLevel } from './host-place.ts';
import type { MemoryType } from './page-word.ts';
import type { SecondLevelMap, SecondLevelPage } from './second-level-map.ts';
import { type EntryFormat, namesOf, type TableWalk, walkTables } from './table-walk.ts';

/** Bits of long-mode page-table entries, which nested paging has too (AMD APM vol. 2, 5.3 and 15.25). */
const Npt = { PRESENT: 1n, WRITE: 2n, USER: 4n, PWT: 8n, PCD: 0x10n, ACCESSED: 0x20n, DIRTY: 0x40n, LARGE: 0x80n } as const;
const NO_EXECUTE = 1n << 63n;
/** A physical address bit that is reserved in entries: with it set, the entry is refused. */
const RESERVED = 1n << 51n;
const PAT_SMALL = 0x80n;
const PAT_LARGE = 0x1000n;

/** Memory types by PWT, PCD (bits 0 and 1) and PAT (bit 2), for a host whose PAT is as Linux sets it: 0407050600070106h. */
const PAT_INDEX: Readonly<Record<MemoryType, number>> = { WB: 0, WC: 1, UC: 3, WP: 5, WT: 7 };

const COMMON_FLAGS = [
  [0, 'P'],
  [1, 'RW'],
  [2, 'US'],
  [3, 'PWT'],
  [4, 'PCD'],
  [5, 'A'],
  [6, 'D'],
] as const;

/** Guest accesses are made with user rights, so every entry gives them. */
function pageEntry(page: SecondLevelPage, isLarge: boolean): bigint {
  if (page.state === 'misconfigured') return RESERVED | (page.gpa & 0x0007_ffff_ffff_f000n) | Npt.PRESENT | Npt.USER;
  const { permissions, spa } = page;
  if (spa === undefined || !(permissions.read || permissions.execute)) return 0n;
  const index = PAT_INDEX[page.memoryType];
  const pat = index & 4 ? (isLarge ? PAT_LARGE : PAT_SMALL) : 0n;
  return (
    spa |
    Npt.PRESENT |
    (permissions.write ? Npt.WRITE : 0n) |
    Npt.USER |
    (index & 1 ? Npt.PWT : 0n) |
    (index & 2 ? Npt.PCD : 0n) |
    pat |
    (page.accessed ? Npt.ACCESSED : 0n) |
    (page.dirty ? Npt.DIRTY : 0n) |
    (isLarge ? Npt.LARGE : 0n) |
    (permissions.execute ? 0n : NO_EXECUTE)
  );
}

function bits(value: bigint, level: TableLevel): readonly string[] {
  if ((value & Npt.PRESENT) === 0n) return [];
  const isLarge = level !== 'PTE' && (value & Npt.LARGE) !== 0n;
  const seventh: readonly (readonly [number, string])[] = level === 'PTE' ? [[7, 'PAT']] : [[7, 'PS']];
  const twelfth: readonly (readonly [number, string])[] = isLarge ? [[12, 'PAT']] : [];
  return namesOf(value, [...COMMON_FLAGS, ...seventh, ...twelfth, [51, 'reserved'], [63, 'NX']]);
}

/** AMD's nested page tables. */
const NPT: EntryFormat = {
  name: 'NPT',
  root: nestedCr3,
  table: (address, accessed) => address | Npt.PRESENT | Npt.WRITE | Npt.USER | (accessed ? Npt.ACCESSED : 0n),
  page: pageEntry,
  bits,
};

/** The nCR3 of a map (VMCB offset 0B0h). */
export function nestedCr3({ place }: SecondLevelMap): bigint {
  return place.tables;
}

/**
 * How nested paging would translate a guest physical address by a map. A page that can be executed but not read has no entry there:
 * it can be read in this view.
 */
export function nptWalk(map: SecondLevelMap, gpa: bigint): TableWalk {
  return walkTables(map, gpa, NPT);
}
