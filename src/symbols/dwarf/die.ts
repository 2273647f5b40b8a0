import type { Abbreviation } from './abbreviations.ts';
import { type RawValue, readForm, skipForm } from './attribute-value.ts';
import { ByteReader, DwarfError } from './byte-reader.ts';
import { At } from './constants.ts';
import type { Unit } from './unit.ts';

/** References from entry to entry end somewhere; hostile ones don't. */
const MAX_REFERENCES = 16;
/** Keeps entries of `.debug_types` apart from those of `.debug_info`. */
const TYPES_KEY = 2 ** 46;

/** A debugging information entry. Its attributes are decoded when asked for. */
export class Die {
  constructor(
    readonly unit: Unit,
    /** Row in the unit's table of entries. */
    readonly index: number,
    readonly offset: number,
    readonly attributesOffset: number,
    readonly abbreviation: Abbreviation,
  ) {}

  get tag(): number {
    return this.abbreviation.tag;
  }

  /** Tells entries apart among all units. */
  get key(): number {
    return this.unit.section === '.debug_types' ? this.offset + TYPES_KEY : this.offset;
  }

  get parent(): Die | undefined {
    const index = this.unit.parentIndex(this.index);
    return index < 0 ? undefined : this.unit.dieAtIndex(index);
  }

  *children(): Generator<Die> {
    if (!this.abbreviation.hasChildren) return;
    const end = this.unit.endIndex(this.index);
    for (let index = this.index + 1; index < end; index = this.unit.endIndex(index)) {
      const child = this.unit.dieAtIndex(index);
      if (!child) return;
      yield child;
    }
  }

  childrenWith(...tags: readonly number[]): Die[] {
    const found: Die[] = [];
    if (!this.abbreviation.hasChildren) return found;
    const end = this.unit.endIndex(this.index);
    for (let index = this.index + 1; index < end; index = this.unit.endIndex(index)) {
      if (!tags.includes(this.unit.tagAtIndex(index))) continue;
      const child = this.unit.dieAtIndex(index);
      if (child) found.push(child);
    }
    return found;
  }

  /** The attribute as it is stored. Throws DwarfError. */
  raw(attribute: number): RawValue | undefined {
    const { attributes } = this.abbreviation;
    if (!attributes.some(({ name }) => name === attribute)) return undefined;
    const reader = new ByteReader(this.unit.bytes, this.attributesOffset, this.unit.end);
    for (const { name, form, implicit } of attributes) {
      if (name === attribute) return readForm(reader, form, this.unit, implicit);
      skipForm(reader, form, this.unit);
    }
    return undefined;
  }

  has(attribute: number): boolean {
    return this.abbreviation.attributes.some(({ name }) => name === attribute);
  }

  string(attribute: number): string | undefined {
    const raw = this.raw(attribute);
    switch (raw?.kind) {
      case 'string':
        return raw.value;
      case 'string-offset':
        return this.unit.info.string(raw.section, raw.value);
      case 'string-index':
        return this.unit.indexedString(raw.value);
      default:
        return undefined;
    }
  }

  /** A constant that must be small: a size, a line, an encoding. */
  number(attribute: number): number | undefined {
    const raw = this.raw(attribute);
    if (raw?.kind === 'offset') return raw.value;
    if (raw?.kind !== 'constant') return undefined;
    const value = Number(raw.value);
    if (!Number.isSafeInteger(value)) throw new DwarfError(`attribute 0x${attribute.toString(16)} is out of range`);
    return value;
  }

  flag(attribute: number): boolean {
    const raw = this.raw(attribute);
    return raw?.kind === 'flag' ? raw.value : raw !== undefined;
  }

  address(attribute: number): bigint | undefined {
    const raw = this.raw(attribute);
    if (raw?.kind === 'address') return this.unit.moved(raw.value);
    if (raw?.kind === 'address-index') return this.unit.indexedAddress(raw.value);
    return undefined;
  }

  reference(attribute: number): Die | undefined {
    const raw = this.raw(attribute);
    if (raw?.kind === 'signature') return this.unit.info.typeBySignature(raw.value);
    if (raw?.kind !== 'reference') return undefined;
    if (!raw.inInfo && raw.offset >= this.unit.offset && raw.offset < this.unit.end) return this.unit.dieAt(raw.offset);
    return this.unit.info.unitAround(raw.offset)?.dieAt(raw.offset);
  }

  /** The entry with its declaration or abstract instance, and theirs: what an attribute may be inherited from. */
  lineage(): Die[] {
    const found: Die[] = [this];
    for (let at: Die | undefined = this; at && found.length < MAX_REFERENCES; ) {
      at = at.reference(At.ABSTRACT_ORIGIN) ?? at.reference(At.SPECIFICATION);
      if (!at || found.some(({ key }) => key === at?.key)) break;
      found.push(at);
    }
    return found;
  }

  /** The first of the lineage that has the attribute. */
  owner(attribute: number): Die | undefined {
    if (this.has(attribute)) return this;
    if (!this.has(At.ABSTRACT_ORIGIN) && !this.has(At.SPECIFICATION)) return undefined;
    return this.lineage().find((die) => die.has(attribute));
  }

  get name(): string | undefined {
    return this.owner(At.NAME)?.string(At.NAME);
  }

  get linkageName(): string | undefined {
    return this.owner(At.LINKAGE_NAME)?.string(At.LINKAGE_NAME) ?? this.owner(At.MIPS_LINKAGE_NAME)?.string(At.MIPS_LINKAGE_NAME);
  }

  /** The type that it has, through its lineage; undefined is void. */
  get type(): Die | undefined {
    return this.owner(At.TYPE)?.reference(At.TYPE);
  }
}
