import { ByteReader, DwarfError } from './byte-reader.ts';
import type { Die } from './die.ts';
import type { Unit } from './unit.ts';

const MAX_ENTRIES = 100_000;

/** DW_LLE_* (DWARF5 7.7.3), and the GNU view pair. */
const Lle = {
  END: 0,
  BASE_ADDRESSX: 1,
  STARTX_ENDX: 2,
  STARTX_LENGTH: 3,
  OFFSET_PAIR: 4,
  DEFAULT: 5,
  BASE_ADDRESS: 6,
  START_END: 7,
  START_LENGTH: 8,
  VIEW_PAIR: 9,
} as const;

/**
 * The expression of a location attribute that holds at an address, or undefined where the object has none there.
 * Throws DwarfError.
 */
export function expressionAt(die: Die, attribute: number, pc: bigint): Uint8Array | undefined {
  const raw = die.raw(attribute);
  switch (raw?.kind) {
    case 'block':
      return raw.bytes;
    case 'list-index':
      return findInList(die.unit, die.unit.indexedList('.debug_loclists', raw.value), pc);
    case 'offset':
      return findIn(die.unit, raw.value, pc);
    // DWARF 2 and 3 have offsets of lists as plain data.
    case 'constant':
      return raw.size >= 4 ? findIn(die.unit, Number(raw.value), pc) : undefined;
    default:
      return undefined;
  }
}

function findIn(unit: Unit, offset: number, pc: bigint): Uint8Array | undefined {
  return unit.version >= 5 ? findInList(unit, offset, pc) : findInOldList(unit, offset, pc);
}

/** `.debug_loc` of DWARF 2 to 4. */
function findInOldList(unit: Unit, offset: number, pc: bigint): Uint8Array | undefined {
  const reader = new ByteReader(unit.info.section('.debug_loc'), offset);
  let base = unit.lowPc;
  for (let count = 0; count < MAX_ENTRIES; count++) {
    const low = reader.unsigned(unit.addressSize);
    const high = reader.unsigned(unit.addressSize);
    if (low === unit.addressMask) {
      base = unit.moved(high);
      continue;
    }
    if (low === 0n && high === 0n) return undefined;
    const expression = reader.slice(reader.u16());
    if (pc >= ((base + low) & unit.addressMask) && pc < ((base + high) & unit.addressMask)) return expression;
  }
  return undefined;
}

/** `.debug_loclists` of DWARF 5. */
function findInList(unit: Unit, offset: number, pc: bigint): Uint8Array | undefined {
  const reader = new ByteReader(unit.info.section('.debug_loclists'), offset);
  let base = unit.lowPc;
  let otherwise: Uint8Array | undefined;
  for (let count = 0; count < MAX_ENTRIES; count++) {
    const kind = reader.u8();
    let low: bigint;
    let high: bigint;
    switch (kind) {
      case Lle.END:
        return otherwise;
      case Lle.BASE_ADDRESSX:
        base = unit.indexedAddress(reader.uleb());
        continue;
      case Lle.BASE_ADDRESS:
        base = unit.moved(reader.unsigned(unit.addressSize));
        continue;
      case Lle.VIEW_PAIR:
        reader.skipLeb();
        reader.skipLeb();
        continue;
      case Lle.DEFAULT:
        otherwise = reader.slice(reader.uleb());
        continue;
      case Lle.STARTX_ENDX:
        low = unit.indexedAddress(reader.uleb());
        high = unit.indexedAddress(reader.uleb());
        break;
      case Lle.STARTX_LENGTH:
        low = unit.indexedAddress(reader.uleb());
        high = low + reader.ulebBig();
        break;
      case Lle.OFFSET_PAIR:
        low = base + reader.ulebBig();
        high = base + reader.ulebBig();
        break;
      case Lle.START_END:
        low = unit.moved(reader.unsigned(unit.addressSize));
        high = unit.moved(reader.unsigned(unit.addressSize));
        break;
      case Lle.START_LENGTH:
        low = unit.moved(reader.unsigned(unit.addressSize));
        high = low + reader.ulebBig();
        break;
      default:
        throw new DwarfError(`location list entry ${kind} is unknown`);
    }
    const expression = reader.slice(reader.uleb());
    if (pc >= (low & unit.addressMask) && pc < (high & unit.addressMask)) return expression;
  }
  return undefined;
}
