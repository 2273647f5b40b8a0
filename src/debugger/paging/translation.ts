import type { Partition } from '../../hypervisor/partition/partition.ts';
import type { TableWalk } from '../../hypervisor/second-level/table-walk.ts';
import type { Processor, WalkResult, WalkStep } from '../../processor/processor.ts';
import { MASK_32, type MemoryPlace } from '../../x86/address.ts';
import { placeHeld } from '../inspection/address-values.ts';
import { type AccessOutcome, ALL_ACCESSES, checkAccess } from './access-check.ts';
import { type PagingControl, pagingControl } from './control.ts';
import { type EntryField, entryFields, frameOf, isLeaf, spanOf } from './page-entry.ts';

/** An entry of a page table, decoded. */
export interface TranslationEntry {
  /** `PML4E`, `PDPTE`, `PDE`, `PTE`. */
  readonly name: string;
  readonly index: number;
  /** Guest physical address of the entry, and where the second level has it. */
  readonly gpa: bigint;
  readonly secondLevel?: TableWalk;
  readonly value: bigint;
  readonly fields: readonly EntryField[];
  /** What it leads to; missing where it isn't present or can't be used. */
  readonly next?: { readonly what: string; readonly gpa: bigint };
}

/** What an address is translated to, and how: everything that a person who looks into page tables asks for. */
export interface TranslationView {
  readonly place: MemoryPlace;
  readonly mode: PagingControl['mode'];
  /** CR3 and the table that it names; missing where paging is off and for physical addresses. */
  readonly root?: { readonly cr3: bigint; readonly gpa: bigint };
  readonly entries: readonly TranslationEntry[];
  readonly gpa?: bigint;
  /** Of the page that the address lies in, in bytes. */
  readonly pageSize?: bigint;
  /** What all levels together allow; the registers may allow less or more. */
  readonly rights?: Pick<WalkResult, 'writable' | 'user' | 'executable'>;
  /** What each kind of access would come to. */
  readonly accesses: readonly AccessOutcome[];
  /** Why there is no translation, as a sentence. */
  readonly problem?: string;
  /** Of the final guest physical address. */
  readonly secondLevel?: TableWalk;
}

/** Translates an address for a view, without side effects. */
export function translationView(
  partition: Pick<Partition, 'walkSecondLevel'>,
  processor: Processor,
  place: MemoryPlace,
): TranslationView {
  const control = pagingControl(processor);
  const secondLevel = (gpa: bigint) => partition.walkSecondLevel(gpa);
  if (place.space === 'gpa')
    return { place, mode: control.mode, entries: [], gpa: place.address, accesses: [], secondLevel: secondLevel(place.address) };
  const walk = processor.walk(control.mode === 'off' || control.mode === '4-level' ? place.address : place.address & MASK_32);
  const { gpa, pageSize, problem, steps, writable, user, executable } = walk;
  const isOff = control.mode === 'off';
  return {
    place,
    mode: control.mode,
    root: isOff ? undefined : { cr3: control.cr3, gpa: placeHeld(processor, 'cr3', control.cr3)?.address ?? 0n },
    entries: steps.map((step, index) => entryOf(step, index === steps.length - 1 && gpa === undefined, control, secondLevel)),
    gpa,
    pageSize: isOff ? undefined : pageSize,
    rights: gpa === undefined || isOff ? undefined : { writable, user, executable },
    accesses: ALL_ACCESSES.map((access) => checkAccess(walk, access, control)),
    problem,
    secondLevel: gpa === undefined ? undefined : secondLevel(gpa),
  };
}

function entryOf(
  { level, entry, entryGpa }: WalkStep,
  isEnd: boolean,
  control: PagingControl,
  secondLevel: (gpa: bigint) => TableWalk | undefined,
): TranslationEntry {
  const size = control.mode === '32-bit' ? 4n : 8n;
  // A table of PDPTEs in PAE paging has four entries and begins anywhere.
  const table = control.mode === 'PAE' && level === 'PDPT' ? 32n : 4096n;
  const tables = { PML4: 'PDPT', PDPT: 'page directory', PD: 'page table', PT: '' } as const;
  const what = isLeaf(level, entry, control) ? `page of ${sizeText(spanOf(level, control))}` : tables[level];
  return {
    name: `${level}E`,
    index: Number((entryGpa % table) / size),
    gpa: entryGpa,
    secondLevel: secondLevel(entryGpa),
    value: entry,
    fields: entryFields(level, entry, control),
    next: isEnd ? undefined : { what, gpa: frameOf(level, entry, control) },
  };
}

/** A power of two in bytes: `4 KiB`, `1 GiB`. */
export function sizeText(bytes: bigint): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];
  let unit = 0;
  let rest = bytes;
  while (rest >= 1024n && rest % 1024n === 0n && unit < units.length - 1) {
    rest /= 1024n;
    unit++;
  }
  return `${rest} ${units[unit]}`;
}
