import { type Abbreviation, fixedEntrySize } from './abbreviations.ts';
import { type FormContext, readForm, skipForm, stringAt } from './attribute-value.ts';
import { ByteReader, DwarfError } from './byte-reader.ts';
import { At, type Language, languageOf, Tag } from './constants.ts';
import type { DebugInfo } from './debug-info.ts';
import { Die } from './die.ts';
import { joinPath } from './paths.ts';

export interface UnitHeader {
  readonly section: '.debug_info' | '.debug_types';
  readonly bytes: Uint8Array;
  readonly offset: number;
  readonly end: number;
  readonly version: number;
  readonly is64: boolean;
  readonly addressSize: number;
  readonly abbreviationOffset: number;
  readonly typeSignature: bigint | undefined;
  /** Of a type unit: where its type is, from the start of the unit. */
  readonly typeOffset: number;
  readonly firstEntry: number;
}

/** The entries of a unit in the order of the section: four columns, one row an entry. */
interface EntryTable {
  /** Offset of the entry in its section, ascending. */
  readonly offsets: number[];
  /** Where its attributes begin. */
  readonly attributes: number[];
  readonly abbreviations: Abbreviation[];
  readonly parents: number[];
  /** Index after the last descendant. */
  readonly ends: number[];
}

const NO_ENTRIES: EntryTable = { offsets: [], attributes: [], abbreviations: [], parents: [], ends: [] };

/** Offsets into the tables that a DWARF 5 unit shares with others (DWARF5 7.26 – 7.29). */
interface Bases {
  readonly strings: number;
  readonly addresses: number;
  readonly ranges: number;
  readonly locations: number;
}

/** A compilation, partial or type unit. */
export class Unit implements FormContext {
  readonly section: UnitHeader['section'];
  readonly bytes: Uint8Array;
  readonly offset: number;
  readonly end: number;
  readonly version: number;
  readonly is64: boolean;
  readonly addressSize: number;
  readonly typeSignature: bigint | undefined;
  readonly typeOffset: number;
  private readonly header: UnitHeader;
  private table: EntryTable | undefined;
  private foundBases: Bases | undefined;
  private rootDie: Die | undefined;

  constructor(
    readonly info: DebugInfo,
    header: UnitHeader,
  ) {
    this.header = header;
    this.section = header.section;
    this.bytes = header.bytes;
    this.offset = header.offset;
    this.end = header.end;
    this.version = header.version;
    this.is64 = header.is64;
    this.addressSize = header.addressSize;
    this.typeSignature = header.typeSignature;
    this.typeOffset = header.typeOffset;
  }

  /** The unit's own entry. It is read without the rest of the unit. */
  get root(): Die | undefined {
    if (!this.rootDie)
      this.rootDie = this.guard(undefined, () => {
        const reader = new ByteReader(this.bytes, this.header.firstEntry, this.end);
        const abbreviation = this.abbreviation(reader.uleb());
        return abbreviation && new Die(this, 0, this.header.firstEntry, reader.offset, abbreviation);
      });
    return this.rootDie;
  }

  get name(): string {
    return this.root?.string(At.NAME) ?? '';
  }
  get directory(): string {
    return this.root?.string(At.COMP_DIR) ?? '';
  }
  /** The source file it was compiled from, absolute where the producer says where it stood. */
  get path(): string {
    return joinPath(this.directory, this.name);
  }
  get producer(): string {
    return this.root?.string(At.PRODUCER) ?? '';
  }
  get language(): Language {
    return languageOf(this.root?.number(At.LANGUAGE) ?? 0);
  }
  /** Base address of range and location lists. */
  get lowPc(): bigint {
    return this.root?.address(At.LOW_PC) ?? this.moved(0n);
  }
  get addressMask(): bigint {
    return (1n << BigInt(8 * this.addressSize)) - 1n;
  }

  guard<T>(otherwise: T, read: () => T): T {
    return this.info.guard(`The unit at offset ${this.offset} of ${this.section}`, otherwise, read);
  }

  private abbreviation(code: number): Abbreviation | undefined {
    if (code === 0) return undefined;
    const found = this.info.abbreviations(this.header.abbreviationOffset).get(code);
    if (!found) throw new DwarfError(`abbreviation ${code} is not defined`);
    return found;
  }

  private get entries(): EntryTable {
    if (!this.table) {
      // What was read before a defect stays: the rest of the unit is lost.
      const table: EntryTable = { offsets: [], attributes: [], abbreviations: [], parents: [], ends: [] };
      this.guard(undefined, () => this.readEntries(table));
      this.table = table.offsets.length > 0 ? table : NO_ENTRIES;
    }
    return this.table;
  }

  private readEntries(table: EntryTable): void {
    const reader = new ByteReader(this.bytes, this.header.firstEntry, this.end);
    const open: number[] = [];
    const sizes = new Map<Abbreviation, number | undefined>();
    try {
      while (!reader.atEnd) {
        const offset = reader.offset;
        const abbreviation = this.abbreviation(reader.uleb());
        if (!abbreviation) {
          const closed = open.pop();
          if (closed === undefined) break;
          table.ends[closed] = table.offsets.length;
          if (open.length === 0) break;
          continue;
        }
        const index = table.offsets.length;
        const attributes = reader.offset;
        if (!sizes.has(abbreviation)) sizes.set(abbreviation, fixedEntrySize(abbreviation, this));
        const size = sizes.get(abbreviation);
        if (size !== undefined) reader.skip(size);
        else for (const { form } of abbreviation.attributes) skipForm(reader, form, this);
        table.offsets.push(offset);
        table.attributes.push(attributes);
        table.abbreviations.push(abbreviation);
        table.parents.push(open.at(-1) ?? -1);
        table.ends.push(index + 1);
        if (abbreviation.hasChildren) open.push(index);
        else if (open.length === 0) break;
      }
    } finally {
      for (const index of open) table.ends[index] = table.offsets.length;
    }
  }

  /** Gives back the memory of the entries; they are read again when they are needed. */
  forgetEntries(): void {
    this.table = undefined;
  }

  get entryCount(): number {
    return this.entries.offsets.length;
  }

  dieAtIndex(index: number): Die | undefined {
    const { offsets, attributes, abbreviations } = this.entries;
    const offset = offsets[index];
    const abbreviation = abbreviations[index];
    const start = attributes[index];
    if (offset === undefined || abbreviation === undefined || start === undefined) return undefined;
    return new Die(this, index, offset, start, abbreviation);
  }

  tagAtIndex(index: number): number {
    return this.entries.abbreviations[index]?.tag ?? 0;
  }
  parentIndex(index: number): number {
    return this.entries.parents[index] ?? -1;
  }
  endIndex(index: number): number {
    return this.entries.ends[index] ?? index + 1;
  }

  /** The entry at an offset of the section. */
  dieAt(offset: number): Die | undefined {
    const { offsets } = this.entries;
    let low = 0;
    let high = offsets.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((offsets[middle] ?? 0) < offset) low = middle + 1;
      else high = middle;
    }
    return offsets[low] === offset ? this.dieAtIndex(low) : undefined;
  }

  private get bases(): Bases {
    if (!this.foundBases) {
      const word = this.is64 ? 8 : 4;
      const bases = { strings: this.version >= 5 ? 2 * word : 0, addresses: this.version >= 5 ? 8 : 0, ranges: 0, locations: 0 };
      // Read raw: the other attributes of the root may need these very bases.
      const abbreviation = this.root?.abbreviation;
      if (this.root && abbreviation) {
        const reader = new ByteReader(this.bytes, this.root.attributesOffset, this.end);
        for (const { name, form, implicit } of abbreviation.attributes) {
          const raw = readForm(reader, form, this, implicit);
          const value = raw.kind === 'offset' ? raw.value : raw.kind === 'constant' ? Number(raw.value) : undefined;
          if (value === undefined) continue;
          if (name === At.STR_OFFSETS_BASE) bases.strings = value;
          else if (name === At.ADDR_BASE || name === At.GNU_ADDR_BASE) bases.addresses = value;
          else if (name === At.RNGLISTS_BASE) bases.ranges = value;
          else if (name === At.LOCLISTS_BASE) bases.locations = value;
        }
      }
      this.foundBases = bases;
    }
    return this.foundBases;
  }

  /** Where an address of its debug information is now. */
  moved(linked: bigint): bigint {
    return this.info.moved(linked, this.addressSize);
  }

  /** The address that DW_FORM_addrx and its like select. */
  indexedAddress(index: number): bigint {
    return this.moved(this.indexedConstant(index));
  }

  /** The same entry where it is no address but a number. */
  indexedConstant(index: number): bigint {
    const reader = new ByteReader(this.info.section('.debug_addr'));
    reader.seek(this.bases.addresses + index * this.addressSize);
    return reader.unsigned(this.addressSize);
  }

  indexedString(index: number): string {
    const reader = new ByteReader(this.info.section('.debug_str_offsets'));
    reader.seek(this.bases.strings + index * (this.is64 ? 8 : 4));
    return stringAt(this.info.section('.debug_str'), reader.sectionOffset(this.is64));
  }

  /** Offset of a list that DW_FORM_rnglistx or DW_FORM_loclistx selects. */
  indexedList(section: '.debug_rnglists' | '.debug_loclists', index: number): number {
    const base = section === '.debug_rnglists' ? this.bases.ranges : this.bases.locations;
    const reader = new ByteReader(this.info.section(section));
    reader.seek(base + index * (this.is64 ? 8 : 4));
    return base + reader.sectionOffset(this.is64);
  }

  get isCode(): boolean {
    const tag = this.root?.tag;
    return tag === Tag.COMPILE_UNIT || tag === Tag.PARTIAL_UNIT;
  }
}
