import { compareAddresses, lastAtOrBefore } from '../symbol-table.ts';
import { ByteReader } from './byte-reader.ts';
import { ASSEMBLER_LANGUAGE, At, Tag } from './constants.ts';
import type { DebugInfo } from './debug-info.ts';
import type { Die } from './die.ts';
import { LineTable } from './line-table.ts';
import { type AddressRange, rangesOf } from './ranges.ts';
import type { Unit } from './unit.ts';
import { UnitLines } from './unit-lines.ts';

/** A function with code. `low` and `high` bound the part of it that was asked for. */
export interface FunctionCode {
  readonly unit: CodeUnit;
  readonly die: Die;
  /** All parts; the first one has the entry. */
  readonly ranges: readonly AddressRange[];
  readonly low: bigint;
  readonly high: bigint;
}

/** A unit with code, its lines and functions, each made when first asked for. */
export class CodeUnit {
  private lineTable: LineTable | undefined | null = null;
  private searchable: UnitLines | undefined | null = null;
  private foundFunctions: readonly FunctionCode[] | undefined;

  constructor(
    readonly unit: Unit,
    private readonly isLive: (address: bigint) => boolean,
  ) {}

  private get table(): LineTable | undefined {
    if (this.lineTable === null)
      this.lineTable = this.unit.guard(undefined, () => {
        const offset = this.unit.root?.number(At.STMT_LIST);
        if (offset === undefined) return undefined;
        return new LineTable(this.unit.info, offset, this.unit.directory, this.unit.name, this.unit.addressSize);
      });
    return this.lineTable;
  }

  /** Paths of the line table, also those without code. */
  get files(): readonly string[] {
    return this.table?.files ?? [];
  }

  file(number: number): string | undefined {
    return this.table?.file(number);
  }

  get lines(): UnitLines | undefined {
    if (this.searchable === null) this.searchable = this.table && new UnitLines(this.table, this.isLive);
    return this.searchable;
  }

  /** Where the unit has code. */
  ranges(): AddressRange[] {
    const own = this.unit.guard<AddressRange[]>([], () => (this.unit.root ? rangesOf(this.unit.root) : []));
    const live = own.filter(({ low }) => this.isLive(low));
    // NASM gives a unit with several sections one range, from the first section's start and as long as all of them.
    const isAssembly = this.unit.guard(false, () => this.unit.root?.number(At.LANGUAGE) === ASSEMBLER_LANGUAGE);
    if ((live.length > 0 || own.length > 0) && !isAssembly) return live;
    return (this.table?.sequences ?? []).filter(({ low }) => this.isLive(low)).map(({ low, high }) => ({ low, high }));
  }

  /** Parts of functions, ascending. */
  get functions(): readonly FunctionCode[] {
    if (!this.foundFunctions) {
      const found: FunctionCode[] = [];
      const { unit } = this;
      for (let index = 0; index < unit.entryCount; index++) {
        if (unit.tagAtIndex(index) !== Tag.SUBPROGRAM) continue;
        unit.guard(undefined, () => {
          const die = unit.dieAtIndex(index);
          if (!die || (!die.has(At.LOW_PC) && !die.has(At.RANGES))) return;
          const ranges = rangesOf(die).filter(({ low }) => this.isLive(low));
          for (const { low, high } of ranges) found.push({ unit: this, die, ranges, low, high });
        });
      }
      this.foundFunctions = found.sort((a, b) => compareAddresses(a.low, b.low));
    }
    return this.foundFunctions;
  }

  functionAt(address: bigint): FunctionCode | undefined {
    const found = this.functions[lastAtOrBefore(this.functions, address, ({ low }) => low)];
    return found && address < found.high ? found : undefined;
  }
}

interface UnitRange extends AddressRange {
  readonly unit: CodeUnit;
}

/** Which unit an address is in: from `.debug_aranges` and the units' own ranges. */
export class CodeIndex {
  readonly units: readonly CodeUnit[];
  private readonly byOffset: ReadonlyMap<number, CodeUnit>;
  private foundRanges: readonly UnitRange[] | undefined;

  constructor(
    private readonly info: DebugInfo,
    private readonly isLive: (address: bigint) => boolean,
  ) {
    this.units = info.units.filter(({ isCode }) => isCode).map((unit) => new CodeUnit(unit, isLive));
    this.byOffset = new Map(this.units.map((code) => [code.unit.offset, code]));
  }

  codeUnit(unit: Unit): CodeUnit | undefined {
    return this.byOffset.get(unit.offset);
  }

  private get ranges(): readonly UnitRange[] {
    if (!this.foundRanges) {
      const found: UnitRange[] = [];
      for (const unit of this.units) for (const range of unit.ranges()) found.push({ ...range, unit });
      const withRanges = new Set(found.map(({ unit }) => unit));
      this.info.guard('.debug_aranges', undefined, () => {
        for (const { offset, low, high } of readAddressRanges(this.info)) {
          const unit = this.byOffset.get(offset);
          if (unit && !withRanges.has(unit) && this.isLive(low)) found.push({ low, high, unit });
        }
      });
      this.foundRanges = found.sort((a, b) => compareAddresses(a.low, b.low));
    }
    return this.foundRanges;
  }

  unitAt(address: bigint): CodeUnit | undefined {
    const { ranges } = this;
    // Ranges of one unit may enclose those of others; the closest start wins.
    for (let index = lastAtOrBefore(ranges, address, ({ low }) => low), tries = 0; index >= 0 && tries < 16; index--, tries++) {
      const range = ranges[index];
      if (range && address < range.high) return range.unit;
    }
    return undefined;
  }
}

/** `.debug_aranges` (DWARF5 6.1.2). */
function readAddressRanges(info: DebugInfo): { offset: number; low: bigint; high: bigint }[] {
  const found: { offset: number; low: bigint; high: bigint }[] = [];
  const reader = new ByteReader(info.section('.debug_aranges'));
  while (!reader.atEnd) {
    const start = reader.offset;
    const { length, is64 } = reader.initialLength();
    const end = reader.offset + length;
    reader.skip(2);
    const offset = reader.sectionOffset(is64);
    const addressSize = reader.u8();
    reader.skip(1);
    const step = 2 * addressSize;
    if (step > 0 && step <= 16) {
      reader.seek(start + Math.ceil((reader.offset - start) / step) * step);
      while (reader.offset + step <= end) {
        const linked = reader.unsigned(addressSize);
        const size = reader.unsigned(addressSize);
        if (linked === 0n && size === 0n) break;
        const low = info.moved(linked, addressSize);
        found.push({ offset, low, high: low + size });
      }
    }
    reader.seek(end);
  }
  return found;
}
