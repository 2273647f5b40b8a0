import { type ByteReader, DwarfError, decodeText, safe } from './byte-reader.ts';
import { Form } from './constants.ts';

/** The value of an attribute as its form has it, before a unit's tables are looked up. */
export type RawValue =
  | { readonly kind: 'address'; readonly value: bigint }
  | { readonly kind: 'address-index'; readonly value: number }
  /** `size` is 0 where the form gives a sign or none is known (sdata, udata, implicit_const). */
  | { readonly kind: 'constant'; readonly value: bigint; readonly size: number }
  | { readonly kind: 'block'; readonly bytes: Uint8Array }
  | { readonly kind: 'flag'; readonly value: boolean }
  /** Offset from the start of the section that holds the unit. */
  | { readonly kind: 'reference'; readonly offset: number; readonly inInfo: boolean }
  | { readonly kind: 'signature'; readonly value: bigint }
  | { readonly kind: 'offset'; readonly value: number }
  | { readonly kind: 'list-index'; readonly value: number }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'string-offset'; readonly section: '.debug_str' | '.debug_line_str'; readonly value: number }
  | { readonly kind: 'string-index'; readonly value: number }
  /** What points into a supplementary file, which a guest's debugger doesn't have. */
  | { readonly kind: 'elsewhere' };

/** What the reading of forms needs to know of the unit. */
export interface FormContext {
  readonly version: number;
  readonly addressSize: number;
  readonly is64: boolean;
  /** Offset of the unit in its section: unit-relative references count from here. */
  readonly offset: number;
}

/** Bytes of a form whose size doesn't depend on its content, or undefined. */
export function fixedSize(form: number, unit: FormContext): number | undefined {
  switch (form) {
    case Form.FLAG_PRESENT:
    case Form.IMPLICIT_CONST:
      return 0;
    case Form.DATA1:
    case Form.FLAG:
    case Form.REF1:
    case Form.STRX1:
    case Form.ADDRX1:
      return 1;
    case Form.DATA2:
    case Form.REF2:
    case Form.STRX2:
    case Form.ADDRX2:
      return 2;
    case Form.STRX3:
    case Form.ADDRX3:
      return 3;
    case Form.DATA4:
    case Form.REF4:
    case Form.STRX4:
    case Form.ADDRX4:
    case Form.REF_SUP4:
      return 4;
    case Form.DATA8:
    case Form.REF8:
    case Form.REF_SIG8:
    case Form.REF_SUP8:
      return 8;
    case Form.DATA16:
      return 16;
    case Form.ADDR:
      return unit.addressSize;
    case Form.REF_ADDR:
      return unit.version <= 2 ? unit.addressSize : unit.is64 ? 8 : 4;
    case Form.STRP:
    case Form.LINE_STRP:
    case Form.STRP_SUP:
    case Form.SEC_OFFSET:
    case Form.GNU_REF_ALT:
    case Form.GNU_STRP_ALT:
      return unit.is64 ? 8 : 4;
    default:
      return undefined;
  }
}

export function skipForm(reader: ByteReader, form: number, unit: FormContext): undefined {
  const size = fixedSize(form, unit);
  if (size !== undefined) return reader.skip(size);
  switch (form) {
    case Form.STRING:
      return reader.skipString();
    case Form.SDATA:
    case Form.UDATA:
    case Form.REF_UDATA:
    case Form.STRX:
    case Form.ADDRX:
    case Form.LOCLISTX:
    case Form.RNGLISTX:
    case Form.GNU_ADDR_INDEX:
    case Form.GNU_STR_INDEX:
      return reader.skipLeb();
    case Form.INDIRECT: {
      const actual = reader.uleb();
      if (actual === Form.INDIRECT) throw new DwarfError('a form refers to itself');
      return skipForm(reader, actual, unit);
    }
    default:
      return reader.skip(blockLength(reader, form));
  }
}

function blockLength(reader: ByteReader, form: number): number {
  switch (form) {
    case Form.BLOCK1:
      return reader.u8();
    case Form.BLOCK2:
      return reader.u16();
    case Form.BLOCK4:
      return reader.u32();
    case Form.BLOCK:
    case Form.EXPRLOC:
      return reader.uleb();
    default:
      throw new DwarfError(`form 0x${form.toString(16)} is unknown`);
  }
}

export function readForm(reader: ByteReader, form: number, unit: FormContext, implicit = 0n): RawValue {
  switch (form) {
    case Form.ADDR:
      return { kind: 'address', value: reader.unsigned(unit.addressSize) };
    case Form.ADDRX:
    case Form.GNU_ADDR_INDEX:
      return { kind: 'address-index', value: reader.uleb() };
    case Form.ADDRX1:
      return { kind: 'address-index', value: reader.u8() };
    case Form.ADDRX2:
      return { kind: 'address-index', value: reader.u16() };
    case Form.ADDRX3:
      return { kind: 'address-index', value: reader.u24() };
    case Form.ADDRX4:
      return { kind: 'address-index', value: reader.u32() };
    case Form.DATA1:
    case Form.DATA2:
    case Form.DATA4:
    case Form.DATA8: {
      const size = fixedSize(form, unit) ?? 0;
      return { kind: 'constant', value: reader.unsigned(size), size };
    }
    case Form.DATA16:
      return { kind: 'block', bytes: reader.slice(16) };
    case Form.SDATA:
      return { kind: 'constant', value: reader.slebBig(), size: 0 };
    case Form.UDATA:
      return { kind: 'constant', value: reader.ulebBig(), size: 0 };
    case Form.IMPLICIT_CONST:
      return { kind: 'constant', value: implicit, size: 0 };
    case Form.FLAG:
      return { kind: 'flag', value: reader.u8() !== 0 };
    case Form.FLAG_PRESENT:
      return { kind: 'flag', value: true };
    case Form.STRING:
      return { kind: 'string', value: reader.string() };
    case Form.STRP:
      return { kind: 'string-offset', section: '.debug_str', value: reader.sectionOffset(unit.is64) };
    case Form.LINE_STRP:
      return { kind: 'string-offset', section: '.debug_line_str', value: reader.sectionOffset(unit.is64) };
    case Form.STRX:
    case Form.GNU_STR_INDEX:
      return { kind: 'string-index', value: reader.uleb() };
    case Form.STRX1:
      return { kind: 'string-index', value: reader.u8() };
    case Form.STRX2:
      return { kind: 'string-index', value: reader.u16() };
    case Form.STRX3:
      return { kind: 'string-index', value: reader.u24() };
    case Form.STRX4:
      return { kind: 'string-index', value: reader.u32() };
    case Form.REF1:
      return { kind: 'reference', offset: unit.offset + reader.u8(), inInfo: false };
    case Form.REF2:
      return { kind: 'reference', offset: unit.offset + reader.u16(), inInfo: false };
    case Form.REF4:
      return { kind: 'reference', offset: unit.offset + reader.u32(), inInfo: false };
    case Form.REF8:
      return { kind: 'reference', offset: unit.offset + safe(reader.u64()), inInfo: false };
    case Form.REF_UDATA:
      return { kind: 'reference', offset: unit.offset + reader.uleb(), inInfo: false };
    case Form.REF_ADDR:
      return { kind: 'reference', offset: safe(reader.unsigned(fixedSize(form, unit) ?? 4)), inInfo: true };
    case Form.REF_SIG8:
      return { kind: 'signature', value: reader.u64() };
    case Form.SEC_OFFSET:
      return { kind: 'offset', value: reader.sectionOffset(unit.is64) };
    case Form.LOCLISTX:
    case Form.RNGLISTX:
      return { kind: 'list-index', value: reader.uleb() };
    case Form.REF_SUP4:
    case Form.REF_SUP8:
    case Form.STRP_SUP:
    case Form.GNU_REF_ALT:
    case Form.GNU_STRP_ALT:
      skipForm(reader, form, unit);
      return { kind: 'elsewhere' };
    case Form.INDIRECT: {
      const actual = reader.uleb();
      if (actual === Form.INDIRECT || actual === Form.IMPLICIT_CONST) throw new DwarfError('an indirect form has no value');
      return readForm(reader, actual, unit);
    }
    default:
      return { kind: 'block', bytes: reader.slice(blockLength(reader, form)) };
  }
}

/** A string of a string section. */
export function stringAt(section: Uint8Array, offset: number): string {
  if (offset >= section.length) throw new DwarfError(`a string at offset ${offset} lies outside its section`);
  const zero = section.indexOf(0, offset);
  return decodeText(section.subarray(offset, zero < 0 ? section.length : zero));
}
