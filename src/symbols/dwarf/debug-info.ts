import { type AbbreviationTable, readAbbreviations } from './abbreviations.ts';
import { stringAt } from './attribute-value.ts';
import { ByteReader, DwarfError } from './byte-reader.ts';
import type { Die } from './die.ts';
import { Unit } from './unit.ts';

/** Sections of a program by name, uncompressed. */
export type SectionMap = ReadonlyMap<string, { readonly address: bigint; readonly bytes: Uint8Array }>;

const NOTHING = new Uint8Array();
/** Beyond this the same defect repeats itself. */
const MAX_WARNINGS = 50;

/** DW_UT_* (DWARF5 7.5.1). */
const UT_TYPE = 2;
const UT_SKELETON = 4;
const UT_SPLIT_COMPILE = 5;
const UT_SPLIT_TYPE = 6;

/**
 * The units of `.debug_info` and `.debug_types`. Their headers are read at once, their entries when somebody asks. A
 * defect loses the unit it is in and is recorded in `warnings`.
 */
export class DebugInfo {
  readonly units: readonly Unit[];
  readonly warnings: string[] = [];
  private readonly abbreviationTables = new Map<number, AbbreviationTable>();
  private readonly signatures = new Map<bigint, Unit>();

  constructor(
    readonly sections: SectionMap,
    /** How far the program lies from where it was linked to: added to every address of code and data in its debug information. */
    readonly bias = 0n,
  ) {
    const units = this.readHeaders('.debug_info');
    const types = this.readHeaders('.debug_types');
    for (const unit of [...units, ...types]) if (unit.typeSignature !== undefined) this.signatures.set(unit.typeSignature, unit);
    this.units = units;
  }

  /** Where an address that the program was linked with is now. */
  moved(linked: bigint, addressSize: number): bigint {
    return this.bias === 0n ? linked : BigInt.asUintN(8 * addressSize, linked + this.bias);
  }

  section(name: string): Uint8Array {
    return this.sections.get(name)?.bytes ?? NOTHING;
  }

  warn(text: string): void {
    if (this.warnings.length < MAX_WARNINGS) this.warnings.push(text);
  }

  /** Runs a reader of debug information; where that is defective, records it and returns `otherwise`. */
  guard<T>(what: string, otherwise: T, read: () => T): T {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof DwarfError)) throw error;
      this.warn(`${what} is damaged: ${error.message}.`);
      return otherwise;
    }
  }

  string(section: '.debug_str' | '.debug_line_str', offset: number): string {
    return stringAt(this.section(section), offset);
  }

  abbreviations(offset: number): AbbreviationTable {
    let table = this.abbreviationTables.get(offset);
    if (!table) {
      table = readAbbreviations(this.section('.debug_abbrev'), offset);
      this.abbreviationTables.set(offset, table);
    }
    return table;
  }

  /** The unit of `.debug_info` around an offset. */
  unitAround(offset: number): Unit | undefined {
    let low = 0;
    let high = this.units.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.units[middle]?.offset ?? 0) <= offset) low = middle + 1;
      else high = middle;
    }
    const unit = this.units[low - 1];
    return unit && offset < unit.end ? unit : undefined;
  }

  /** The type that a type unit with this signature defines. */
  typeBySignature(signature: bigint): Die | undefined {
    const unit = this.signatures.get(signature);
    return unit?.dieAt(unit.offset + unit.typeOffset);
  }

  private readHeaders(name: '.debug_info' | '.debug_types'): Unit[] {
    const units: Unit[] = [];
    const bytes = this.section(name);
    this.guard(`The list of units in ${name}`, undefined, () => {
      const reader = new ByteReader(bytes);
      while (!reader.atEnd) {
        const offset = reader.offset;
        const { length, is64 } = reader.initialLength();
        const end = reader.offset + length;
        if (end > bytes.length) throw new DwarfError(`the unit at offset ${offset} reaches beyond its section`);
        const unit = this.guard(`The unit at offset ${offset} of ${name}`, undefined, () =>
          this.readHeader(name, reader, offset, end, is64),
        );
        if (unit) units.push(unit);
        reader.seek(end);
      }
    });
    return units;
  }

  private readHeader(section: '.debug_info' | '.debug_types', reader: ByteReader, offset: number, end: number, is64: boolean) {
    const version = reader.u16();
    if (version < 2 || version > 5) throw new DwarfError(`DWARF version ${version} is unknown`);
    let type = 0;
    let addressSize: number;
    let abbreviationOffset: number;
    if (version >= 5) {
      type = reader.u8();
      addressSize = reader.u8();
      abbreviationOffset = reader.sectionOffset(is64);
    } else {
      abbreviationOffset = reader.sectionOffset(is64);
      addressSize = reader.u8();
    }
    if (addressSize !== 2 && addressSize !== 4 && addressSize !== 8)
      throw new DwarfError(`addresses of ${addressSize} bytes are unknown`);
    let typeSignature: bigint | undefined;
    let typeOffset = 0;
    if (section === '.debug_types' || type === UT_TYPE || type === UT_SPLIT_TYPE) {
      typeSignature = reader.u64();
      typeOffset = reader.sectionOffset(is64);
    } else if (type === UT_SKELETON || type === UT_SPLIT_COMPILE) reader.skip(8);
    return new Unit(this, {
      section,
      bytes: reader.bytes,
      offset,
      end,
      version,
      is64,
      addressSize,
      abbreviationOffset,
      typeSignature,
      typeOffset,
      firstEntry: reader.offset,
    });
  }
}
