import { ByteReader, DwarfError } from './byte-reader.ts';
import { At } from './constants.ts';
import type { Die } from './die.ts';
import type { Unit } from './unit.ts';

/** `high` is exclusive. */
export interface AddressRange {
  readonly low: bigint;
  readonly high: bigint;
}

const MAX_RANGES = 100_000;

/** DW_RLE_* (DWARF5 7.25). */
const Rle = {
  END: 0,
  BASE_ADDRESSX: 1,
  STARTX_ENDX: 2,
  STARTX_LENGTH: 3,
  OFFSET_PAIR: 4,
  BASE_ADDRESS: 5,
  START_END: 6,
  START_LENGTH: 7,
} as const;

/** The addresses that an entry covers, empty where it has none. Throws DwarfError. */
export function rangesOf(die: Die): AddressRange[] {
  const ranges = die.raw(At.RANGES);
  if (ranges) {
    const offset =
      ranges.kind === 'list-index'
        ? die.unit.indexedList('.debug_rnglists', ranges.value)
        : ranges.kind === 'offset'
          ? ranges.value
          : ranges.kind === 'constant'
            ? Number(ranges.value)
            : undefined;
    if (offset === undefined) throw new DwarfError('the form of a range list is unknown');
    return die.unit.version >= 5 ? readRangeList(die.unit, offset) : readOldRanges(die.unit, offset);
  }
  const low = die.address(At.LOW_PC);
  if (low === undefined) return [];
  const raw = die.raw(At.HIGH_PC);
  const high = raw?.kind === 'constant' ? (low + raw.value) & die.unit.addressMask : die.address(At.HIGH_PC);
  return high === undefined || high <= low ? [] : [{ low, high }];
}

/** `.debug_ranges` of DWARF 2 to 4. */
function readOldRanges(unit: Unit, offset: number): AddressRange[] {
  const reader = new ByteReader(unit.info.section('.debug_ranges'), offset);
  const found: AddressRange[] = [];
  let base = unit.lowPc;
  while (found.length < MAX_RANGES) {
    const low = reader.unsigned(unit.addressSize);
    const high = reader.unsigned(unit.addressSize);
    if (low === unit.addressMask) base = unit.moved(high);
    else if (low === 0n && high === 0n) break;
    else add(found, unit, base + low, base + high);
  }
  return found;
}

/** `.debug_rnglists` of DWARF 5. */
function readRangeList(unit: Unit, offset: number): AddressRange[] {
  const reader = new ByteReader(unit.info.section('.debug_rnglists'), offset);
  const found: AddressRange[] = [];
  let base = unit.lowPc;
  while (found.length < MAX_RANGES) {
    const kind = reader.u8();
    switch (kind) {
      case Rle.END:
        return found;
      case Rle.BASE_ADDRESSX:
        base = unit.indexedAddress(reader.uleb());
        break;
      case Rle.BASE_ADDRESS:
        base = unit.moved(reader.unsigned(unit.addressSize));
        break;
      case Rle.STARTX_ENDX:
        add(found, unit, unit.indexedAddress(reader.uleb()), unit.indexedAddress(reader.uleb()));
        break;
      case Rle.STARTX_LENGTH: {
        const low = unit.indexedAddress(reader.uleb());
        add(found, unit, low, low + reader.ulebBig());
        break;
      }
      case Rle.OFFSET_PAIR:
        add(found, unit, base + reader.ulebBig(), base + reader.ulebBig());
        break;
      case Rle.START_END:
        add(found, unit, unit.moved(reader.unsigned(unit.addressSize)), unit.moved(reader.unsigned(unit.addressSize)));
        break;
      case Rle.START_LENGTH: {
        const low = unit.moved(reader.unsigned(unit.addressSize));
        add(found, unit, low, low + reader.ulebBig());
        break;
      }
      default:
        throw new DwarfError(`range list entry ${kind} is unknown`);
    }
  }
  return found;
}

function add(found: AddressRange[], unit: Unit, low: bigint, high: bigint): void {
  const range = { low: low & unit.addressMask, high: high & unit.addressMask };
  if (range.low < range.high) found.push(range);
}

export function contains(ranges: readonly AddressRange[], address: bigint): boolean {
  return ranges.some(({ low, high }) => address >= low && address < high);
}
