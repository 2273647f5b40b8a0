import { type FormContext, fixedSize } from './attribute-value.ts';
import { ByteReader } from './byte-reader.ts';
import { Form } from './constants.ts';

export interface AttributeSpecification {
  readonly name: number;
  readonly form: number;
  /** Value of DW_FORM_implicit_const. */
  readonly implicit: bigint;
}

/** The shape that entries with one abbreviation code share (DWARF5 7.5.3). */
export interface Abbreviation {
  readonly code: number;
  readonly tag: number;
  readonly hasChildren: boolean;
  readonly attributes: readonly AttributeSpecification[];
}

export type AbbreviationTable = ReadonlyMap<number, Abbreviation>;

export function readAbbreviations(section: Uint8Array, offset: number): AbbreviationTable {
  const table = new Map<number, Abbreviation>();
  const reader = new ByteReader(section, offset);
  while (!reader.atEnd) {
    const code = reader.uleb();
    if (code === 0) break;
    const tag = reader.uleb();
    const hasChildren = reader.u8() !== 0;
    const attributes: AttributeSpecification[] = [];
    for (;;) {
      const name = reader.uleb();
      const form = reader.uleb();
      const implicit = form === Form.IMPLICIT_CONST ? reader.slebBig() : 0n;
      if (name === 0 && form === 0) break;
      attributes.push({ name, form, implicit });
    }
    table.set(code, { code, tag, hasChildren, attributes });
  }
  return table;
}

/** Bytes of all attributes of an entry, where no form's size depends on its content. */
export function fixedEntrySize(abbreviation: Abbreviation, unit: FormContext): number | undefined {
  let size = 0;
  for (const { form } of abbreviation.attributes) {
    const own = fixedSize(form, unit);
    if (own === undefined) return undefined;
    size += own;
  }
  return size;
}
