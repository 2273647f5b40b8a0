import type { WalkStep } from '../../processor/processor.ts';
import type { PagingControl } from './control.ts';

/** A bit or a field of an entry. */
export interface EntryField {
  /** As the manuals call it: `R/W`, `PAT`. */
  readonly name: string;
  /** `bit 1`, `bits 62:59`. */
  readonly bits: string;
  readonly value: bigint;
  readonly meaning: string;
}

type Level = WalkStep['level'];

const PAT_TYPES = ['UC', 'WC', 'reserved', 'reserved', 'WT', 'WP', 'WB', 'UC-'] as const;
const FRAME = 0xf_ffff_ffff_f000n;

/** Whether an entry maps a page: those of the last level, and large ones. */
export function isLeaf(level: Level, entry: bigint, { mode, pse }: PagingControl): boolean {
  if (level === 'PT') return true;
  const hasLarge = mode === '32-bit' ? pse : level === 'PD' || (level === 'PDPT' && mode === '4-level');
  return hasLarge && (entry & 0x80n) !== 0n;
}

/** Bytes that an entry of a level maps, as a page or with its tables. */
export function spanOf(level: Level, { mode }: PagingControl): bigint {
  if (mode === '32-bit') return level === 'PD' ? 1n << 22n : 1n << 12n;
  return 1n << { PML4: 39n, PDPT: 30n, PD: 21n, PT: 12n }[level];
}

/** Physical address of the page or the table that an entry names (PSE-36: bits 39:32 are bits 20:13 of a 4 MiB page's entry). */
export function frameOf(level: Level, entry: bigint, control: PagingControl): bigint {
  const span = spanOf(level, control);
  if (!isLeaf(level, entry, control) || span === 0x1000n) return entry & FRAME;
  if (control.mode === '32-bit') return (entry & 0xffc0_0000n) | (((entry >> 13n) & 0xffn) << 32n);
  return entry & FRAME & -span;
}

/** The name of the bit that forbids execution. */
export const noExecuteName = ({ vendor }: PagingControl): string => (vendor === 'intel' ? 'XD' : 'NX');

/** The bits and fields of an entry, as its level and the mode have them (Intel SDM vol. 3, tables 4-4 to 4-20). */
export function entryFields(level: Level, entry: bigint, control: PagingControl): readonly EntryField[] {
  const { mode, nxe, pge, pke, vendor } = control;
  const fields: EntryField[] = [];
  const bit = (name: string, index: number, set: string, clear: string) => {
    const value = (entry >> BigInt(index)) & 1n;
    fields.push({ name, bits: `bit ${index}`, value, meaning: value === 0n ? clear : set });
  };
  bit('P', 0, 'present', 'not present: the other bits are for software');
  if ((entry & 1n) === 0n) return fields;
  const leaf = isLeaf(level, entry, control);
  const isPointer = mode === 'PAE' && level === 'PDPT';
  if (!isPointer) {
    bit('R/W', 1, 'writes allowed', 'read-only');
    bit('U/S', 2, 'user and supervisor', 'supervisor only');
  }
  bit('PWT', 3, 'write-through', 'write-back');
  bit('PCD', 4, 'not cached', 'cached');
  if (!isPointer) bit('A', 5, 'accessed', 'not accessed yet');
  if (leaf) bit('D', 6, 'written to', 'not written to yet');
  if (level === 'PD' || level === 'PDPT') if (!isPointer) largeBit(fields, level, entry, control);
  if (leaf) bit('G', 8, pge ? 'global' : 'ignored: CR4.PGE is 0', 'not global');
  if (leaf) {
    const patBit = level === 'PT' ? 7 : 12;
    const index = Number(((entry >> BigInt(patBit)) & 1n) * 4n + ((entry >> 3n) & 3n));
    const type = PAT_TYPES[Number((control.pat >> BigInt(index * 8)) & 7n)] ?? 'reserved';
    bit('PAT', patBit, `memory type ${type} (entry ${index} of the PAT)`, `memory type ${type} (entry ${index} of the PAT)`);
  }
  if (leaf && mode === '4-level' && vendor === 'intel' && pke) {
    const key = (entry >> 59n) & 15n;
    fields.push({ name: 'PK', bits: 'bits 62:59', value: key, meaning: `protection key: ${keyRights(Number(key), control)}` });
  }
  if (mode !== '32-bit' && !isPointer)
    bit(noExecuteName(control), 63, nxe ? 'no execution' : 'reserved: EFER.NXE is 0', 'execution allowed');
  const reserved = reservedBits(level, entry, control);
  if (reserved !== 0n) fields.push({ name: 'reserved', bits: bitList(reserved), value: reserved, meaning: 'must be 0' });
  return fields;
}

function largeBit(fields: EntryField[], level: Level, entry: bigint, control: PagingControl): void {
  const isSet = (entry & 0x80n) !== 0n;
  const size = control.mode === '32-bit' ? '4 MiB' : level === 'PD' ? '2 MiB' : '1 GiB';
  const set = isLeaf(level, entry, control) ? `a page of ${size}` : 'ignored: CR4.PSE is 0';
  fields.push({ name: 'PS', bits: 'bit 7', value: isSet ? 1n : 0n, meaning: isSet ? set : 'leads to a table' });
}

/** What PKRU allows of data in pages with a key (Intel SDM vol. 3, 4.6.2). */
function keyRights(key: number, { pkru }: PagingControl): string {
  const rights = (pkru >>> (2 * key)) & 3;
  return rights & 1 ? 'no access' : rights & 2 ? 'read-only' : 'read and write';
}

/** Set bits that an entry must not have. */
function reservedBits(level: Level, entry: bigint, control: PagingControl): bigint {
  const { mode, nxe, physicalAddressBits, hugePages, pse36 } = control;
  const leaf = isLeaf(level, entry, control);
  const between = (low: bigint, end: bigint) => (end <= low ? 0n : ((1n << (end - low)) - 1n) << low);
  // PSE-36 takes bits 20:13 of a 4 MiB page's entry, of which those above the processor's width count for nothing.
  if (mode === '32-bit') return leaf && level === 'PD' ? entry & (pse36 ? 1n << 21n : 0x3f_e000n) : 0n;
  let reserved = between(BigInt(physicalAddressBits), 52n);
  if (mode === 'PAE') reserved |= between(52n, 63n);
  if (!nxe) reserved |= 1n << 63n;
  if (mode === 'PAE' && level === 'PDPT') reserved |= 0x1e6n | (1n << 63n);
  if (level === 'PML4' || (level === 'PDPT' && !hugePages)) reserved |= 0x80n;
  if (leaf && level !== 'PT') reserved |= between(13n, level === 'PD' ? 21n : 30n);
  return entry & reserved;
}

/** `bit 51`, `bits 51, 52`. */
function bitList(bits: bigint): string {
  const list: number[] = [];
  for (let index = 0; index < 64; index++) if ((bits >> BigInt(index)) & 1n) list.push(index);
  return `${list.length === 1 ? 'bit' : 'bits'} ${list.join(', ')}`;
}
