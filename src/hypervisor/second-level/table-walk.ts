import { hex } from '../../x86/address.ts';
import { entryAddress, GPA_BITS, TABLE_LEVELS, type TableLevel, tableAddress } from './host-place.ts';
import type { PageState } from './page-word.ts';
import type { SecondLevelMap, SecondLevelPage } from './second-level-map.ts';

/** An entry of a second-level table as the hardware would find it. */
export interface TableEntry {
  readonly level: TableLevel;
  /** System physical address of the entry. */
  readonly address: bigint;
  /** 64 bits. */
  readonly value: bigint;
  /** Names of the bits and fields that are set: `R`, `W`, `WB`, `A` … */
  readonly bits: readonly string[];
  /** System physical address of the table or the page that it leads to; undefined where it leads nowhere. */
  readonly next: bigint | undefined;
}

/** How the tables of a format translate a guest physical address. */
export interface TableWalk {
  readonly format: 'EPT' | 'NPT';
  /** Value of the EPTP or of nCR3. */
  readonly root: bigint;
  /** From the root on, as far as there are tables. */
  readonly entries: readonly TableEntry[];
  /** What the walk ends at. */
  readonly page: SecondLevelPage;
  /** System physical address of the byte; undefined without memory. */
  readonly spa: bigint | undefined;
  /** Why there is none, as a sentence. */
  readonly problem?: string;
}

/** What two formats have different: how entries look. */
export interface EntryFormat {
  readonly name: TableWalk['format'];
  root(map: SecondLevelMap): bigint;
  /** An entry that leads to a table. */
  table(address: bigint, accessed: boolean): bigint;
  /** An entry that maps a page, or says that there is none. `isLarge`: above the lowest level. */
  page(page: SecondLevelPage, isLarge: boolean): bigint;
  bits(value: bigint, level: TableLevel): readonly string[];
}

const PROBLEMS: Readonly<Record<Exclude<PageState, 'present'>, string>> = {
  mmio: 'no memory is mapped here: devices answer',
  ballooned: 'the guest gave this page back (balloon)',
  'paged-out': "this page is on the host's disk",
  unbacked: 'this page has never had memory',
  misconfigured: 'the entry is misconfigured',
};

/** Walks the tables of a map, without effects. */
export function walkTables(map: SecondLevelMap, gpa: bigint, format: EntryFormat): TableWalk {
  const page = map.lookUp(gpa);
  const entries: TableEntry[] = [];
  for (const [index, { name, shift }] of TABLE_LEVELS.entries()) {
    const size = 1n << shift;
    const isLast = page.size >= size;
    const next = isLast ? page.spa : tableAddress(map.place, index + 1, gpa);
    const value = isLast
      ? format.page(page, name !== 'PTE')
      : format.table(tableAddress(map.place, index + 1, gpa), map.isAccessed(gpa & -size, size));
    entries.push({ level: name, address: entryAddress(map.place, index, gpa), value, bits: format.bits(value, name), next });
    if (isLast) break;
  }
  const spa = page.spa === undefined ? undefined : page.spa + (gpa - page.gpa);
  const walk = { format: format.name, root: format.root(map), entries, page, spa };
  if (page.state === 'present') return walk;
  const why = gpa >> GPA_BITS === 0n ? PROBLEMS[page.state] : `it has more than ${GPA_BITS} bits`;
  return { ...walk, problem: `${hex(gpa)} has no translation: ${why}.` };
}

/** Names of bits of an entry, in the order of a table. */
export function namesOf(value: bigint, names: readonly (readonly [bit: number, name: string])[]): string[] {
  return names.filter(([bit]) => (value >> BigInt(bit)) & 1n).map(([, name]) => name);
}
