import type {
  ArrayType,
  BaseEncoding,
  EnumType,
  FunctionType,
  Member,
  PointerType,
  StructType,
  Type,
  TypeLanguage,
  Variants,
} from '../values/type.ts';
import { sizeOf, VOID } from '../values/type.ts';
import { DwarfError } from './byte-reader.ts';
import { At, Encoding, Tag } from './constants.ts';
import type { DebugInfo } from './debug-info.ts';
import type { Die } from './die.ts';
import { evaluateValue } from './expression.ts';
import { expressionAt } from './locations.ts';

const ENCODINGS: Readonly<Record<number, BaseEncoding>> = {
  [Encoding.ADDRESS]: 'unsigned',
  [Encoding.BOOLEAN]: 'boolean',
  [Encoding.FLOAT]: 'float',
  [Encoding.SIGNED]: 'signed',
  [Encoding.SIGNED_CHAR]: 'signed-char',
  [Encoding.UNSIGNED]: 'unsigned',
  [Encoding.UNSIGNED_CHAR]: 'unsigned-char',
  [Encoding.UTF]: 'utf',
};
const QUALIFIERS: Readonly<Record<number, 'const' | 'volatile' | 'restrict' | '_Atomic'>> = {
  [Tag.CONST_TYPE]: 'const',
  [Tag.VOLATILE_TYPE]: 'volatile',
  [Tag.RESTRICT_TYPE]: 'restrict',
  [Tag.ATOMIC_TYPE]: '_Atomic',
};
const MAX_MEMBERS = 10_000;
const MAX_DIMENSIONS = 16;
const MAX_PARENTS = 64;
const MAX_DEPTH = 64;
const UNKNOWN: Type = { kind: 'void', name: '<unknown type>' };

/** Makes types from entries. Each entry becomes one type; members and targets are read when asked for. */
export class TypeReader {
  private readonly known = new Map<number, Type>();
  private depth = 0;

  constructor(
    private readonly info: DebugInfo,
    /** Finds the definition of a struct that a unit only declares. */
    private readonly definition: (name: string, tag: number) => Die | undefined,
  ) {}

  /** The type that an entry describes; void for none. Never throws: a defect gives an unknown type. */
  read(die: Die | undefined): Type {
    if (!die) return VOID;
    const { key } = die;
    let type = this.known.get(key);
    if (!type) {
      if (this.depth >= MAX_DEPTH) return UNKNOWN;
      // What a type consists of can't be itself.
      this.known.set(key, UNKNOWN);
      this.depth++;
      type = this.info.guard(`The type at offset ${die.offset}`, UNKNOWN, () => this.make(die));
      this.depth--;
      this.known.set(key, type);
    }
    return type;
  }

  /** The type of a variable, member or parameter. */
  typeOf(die: Die): Type {
    return this.info.guard(`The type of the entry at offset ${die.offset}`, UNKNOWN, () => this.read(die.type));
  }

  private make(die: Die): Type {
    const language = die.unit.language;
    switch (die.tag) {
      case Tag.BASE_TYPE:
        return {
          kind: 'base',
          name: die.name ?? 'unknown',
          size: sizeAttribute(die) ?? 0,
          encoding: ENCODINGS[die.number(At.ENCODING) ?? 0] ?? 'other',
          language,
        };
      case Tag.UNSPECIFIED_TYPE:
        return { kind: 'void', name: die.name ?? 'void' };
      case Tag.POINTER_TYPE:
        return this.pointer(die, '*', language);
      case Tag.REFERENCE_TYPE:
        return this.pointer(die, '&', language);
      case Tag.RVALUE_REFERENCE_TYPE:
        return this.pointer(die, '&&', language);
      case Tag.PTR_TO_MEMBER_TYPE:
        return { kind: 'base', name: 'member pointer', size: die.unit.addressSize, encoding: 'signed', language };
      case Tag.TYPEDEF:
        return lazily({ kind: 'typedef' as const, name: die.name ?? 'unknown' }, 'target', () => this.typeOf(die));
      case Tag.CONST_TYPE:
      case Tag.VOLATILE_TYPE:
      case Tag.RESTRICT_TYPE:
      case Tag.ATOMIC_TYPE: {
        const qualifier = QUALIFIERS[die.tag] ?? 'const';
        return lazily({ kind: 'qualified' as const, qualifier }, 'target', () => this.typeOf(die));
      }
      case Tag.ARRAY_TYPE:
        return this.array(die);
      case Tag.STRUCTURE_TYPE:
      case Tag.CLASS_TYPE:
      case Tag.UNION_TYPE:
        return this.structure(die, language);
      case Tag.ENUMERATION_TYPE:
        return this.enumeration(die, language);
      case Tag.SUBROUTINE_TYPE:
      case Tag.SUBPROGRAM:
        return this.functionType(die);
      default:
        return UNKNOWN;
    }
  }

  private pointer(die: Die, style: PointerType['style'], language: TypeLanguage): Type {
    const size = sizeAttribute(die) ?? die.unit.addressSize;
    const name = language === 'rust' ? die.name : undefined;
    return lazily({ kind: 'pointer' as const, style, size, name }, 'target', () => this.typeOf(die));
  }

  private array(die: Die): Type {
    const dimensions = die.childrenWith(Tag.SUBRANGE_TYPE, Tag.ENUMERATION_TYPE).slice(0, MAX_DIMENSIONS);
    let type = this.typeOf(die);
    if (dimensions.length === 0) return { kind: 'array', element: type, count: undefined };
    for (const dimension of dimensions.reverse()) type = this.dimension(dimension, type);
    return type;
  }

  private dimension(die: Die, element: Type): ArrayType {
    for (const attribute of [At.COUNT, At.UPPER_BOUND]) {
      const raw = die.raw(attribute);
      const isUpperBound = attribute === At.UPPER_BOUND;
      if (raw?.kind === 'constant') {
        // An upper bound of -1, in whatever width: no elements.
        const bits = raw.size === 0 ? 64 : 8 * raw.size;
        const isEmpty = isUpperBound && raw.size !== 1 && raw.size !== 2 && BigInt.asIntN(bits, raw.value) === -1n;
        const count = isEmpty ? 0 : Number(raw.value) + (isUpperBound ? 1 : 0);
        return { kind: 'array', element, count: Number.isSafeInteger(count) && count >= 0 ? count : undefined };
      }
      if (raw?.kind === 'block' || raw?.kind === 'list-index' || raw?.kind === 'offset') {
        const expressionAtPc = (pc: bigint) => expressionAt(die, attribute, pc);
        return { kind: 'array', element, count: undefined, bound: { expressionAt: expressionAtPc, isUpperBound } };
      }
      const variable = raw?.kind === 'reference' ? die.reference(attribute) : undefined;
      if (variable) {
        const holder = variable.owner(At.LOCATION) ?? variable;
        const objectSize = sizeOf(this.typeOf(variable)) || die.unit.addressSize;
        const expressionAtPc = (pc: bigint) => expressionAt(holder, At.LOCATION, pc);
        return { kind: 'array', element, count: undefined, bound: { expressionAt: expressionAtPc, objectSize, isUpperBound } };
      }
    }
    return { kind: 'array', element, count: undefined };
  }

  private structure(die: Die, language: TypeLanguage): Type {
    const name = this.qualifiedName(die);
    const keyword = die.tag === Tag.UNION_TYPE ? 'union' : die.tag === Tag.CLASS_TYPE ? 'class' : 'struct';
    if (die.flag(At.DECLARATION) || die.has(At.SIGNATURE)) {
      const own = die.name;
      const complete = die.reference(At.SIGNATURE) ?? (own === undefined ? undefined : this.definition(own, die.tag));
      if (complete && complete.key !== die.key && !complete.flag(At.DECLARATION)) return this.read(complete);
      return { kind: 'struct', keyword, name, size: 0, members: [], language, isIncomplete: true };
    }
    const size = sizeAttribute(die) ?? 0;
    const plain = { kind: 'struct' as const, keyword, name, size, language, isIncomplete: false } as const;
    const withMembers: StructType = lazily(plain, 'members', () =>
      this.info.guard<readonly Member[]>(`The struct at offset ${die.offset}`, [], () => this.members(die)),
    );
    const variantPart = die.childrenWith(Tag.VARIANT_PART)[0];
    if (!variantPart) return withMembers;
    let variants: Variants | undefined;
    return Object.defineProperty(withMembers, 'variants', {
      enumerable: true,
      get: () => {
        variants ??= this.info.guard<Variants>(
          `The variants at offset ${die.offset}`,
          { discriminant: undefined, cases: [] },
          () => this.variants(variantPart),
        );
        return variants;
      },
    });
  }

  private members(die: Die): Member[] {
    const members: Member[] = [];
    for (const child of die.childrenWith(Tag.MEMBER, Tag.INHERITANCE)) {
      if (members.length >= MAX_MEMBERS) break;
      // Static members are variables.
      if (child.flag(At.DECLARATION) || child.flag(At.EXTERNAL)) continue;
      const member = this.member(child);
      if (member) members.push(member);
    }
    return members;
  }

  private member(die: Die): Member | undefined {
    const type = this.typeOf(die);
    const isBase = die.tag === Tag.INHERITANCE;
    const name = isBase ? die.type?.name : die.name;
    const location = die.raw(At.DATA_MEMBER_LOCATION);
    let offset = 0;
    if (location?.kind === 'constant') offset = Number(location.value);
    else if (location?.kind === 'block') {
      try {
        const found = evaluateValue(location.bytes, {
          addressSize: die.unit.addressSize,
          version: die.unit.version,
          is64: die.unit.is64,
          register: () => undefined,
          memory: () => undefined,
          initial: [0n],
        });
        offset = Number(BigInt.asIntN(8 * die.unit.addressSize, found));
      } catch {
        // Where a virtual base lies is known at run time only.
        return undefined;
      }
    }
    if (!Number.isSafeInteger(offset) || offset < 0) throw new DwarfError(`a member has the offset ${offset}`);
    const bitSize = die.number(At.BIT_SIZE);
    if (bitSize === undefined) return { name, type, offset, isBase };
    if (bitSize < 1 || bitSize > 128) throw new DwarfError(`a bit-field has ${bitSize} bits`);
    // DWARF 4 counts from the start of the struct; DWARF 2 from the highest bit of a storage unit.
    const fromStart = die.number(At.DATA_BIT_OFFSET);
    const fromTop = die.number(At.BIT_OFFSET);
    let first = 8 * offset;
    if (fromStart !== undefined) first = 8 * offset + fromStart;
    else if (fromTop !== undefined) first = 8 * offset + 8 * (sizeAttribute(die) ?? storageSize(die)) - fromTop - bitSize;
    if (!(first >= 0 && Number.isSafeInteger(first))) throw new DwarfError('a bit-field lies before its struct');
    return { name, type, offset: first >> 3, bits: { offset: first & 7, size: bitSize }, isBase };
  }

  private variants(die: Die): Variants {
    const discriminantDie = die.reference(At.DISCR) ?? die.childrenWith(Tag.MEMBER)[0];
    const cases: { value: bigint | undefined; name: string; member: Member }[] = [];
    for (const variant of die.childrenWith(Tag.VARIANT).slice(0, MAX_MEMBERS)) {
      const raw = variant.raw(At.DISCR_VALUE);
      const memberDie = variant.childrenWith(Tag.MEMBER)[0];
      const member = memberDie && this.member(memberDie);
      if (!member) continue;
      cases.push({ value: raw?.kind === 'constant' ? raw.value : undefined, name: member.name ?? '', member });
    }
    return { discriminant: discriminantDie && this.member(discriminantDie), cases };
  }

  private enumeration(die: Die, language: TypeLanguage): Type {
    const size = sizeAttribute(die) ?? 4;
    const underlying = die.type;
    const encoding = underlying?.number(At.ENCODING);
    const entries = die.childrenWith(Tag.ENUMERATOR).slice(0, MAX_MEMBERS);
    const raws = entries.map((child) => ({ name: child.name ?? '', raw: child.raw(At.CONST_VALUE) }));
    const hasNegative = raws.some(({ raw }) => raw?.kind === 'constant' && raw.value < 0n);
    const isSigned = encoding === undefined ? hasNegative : encoding === Encoding.SIGNED || encoding === Encoding.SIGNED_CHAR;
    const values = raws.map(({ name, raw }) => {
      const value = raw?.kind === 'constant' ? raw.value : 0n;
      return { name, value: isSigned ? BigInt.asIntN(8 * size, value) : BigInt.asUintN(8 * size, value) };
    });
    const type: EnumType = { kind: 'enum', name: this.qualifiedName(die), size, isSigned, values, language };
    return type;
  }

  private functionType(die: Die): Type {
    const parts = die.childrenWith(Tag.FORMAL_PARAMETER, Tag.UNSPECIFIED_PARAMETERS).slice(0, MAX_MEMBERS);
    const isVariadic = parts.some(({ tag }) => tag === Tag.UNSPECIFIED_PARAMETERS);
    const type = {
      kind: 'function' as const,
      isVariadic,
      isPrototyped: die.owner(At.PROTOTYPED)?.flag(At.PROTOTYPED) ?? false,
    };
    const withResult = lazily(type, 'result', () => this.typeOf(die));
    const whole: FunctionType = lazily(withResult, 'parameters', () =>
      parts.filter(({ tag }) => tag === Tag.FORMAL_PARAMETER).map((part) => this.typeOf(part)),
    );
    return whole;
  }

  /** The name with the namespaces and types around it, as C++ and Rust write it. */
  qualifiedName(die: Die): string | undefined {
    const own = die.name;
    if (own === undefined || die.unit.language === 'c') return own;
    const parts = [own];
    let at = (die.reference(At.SPECIFICATION) ?? die.reference(At.ABSTRACT_ORIGIN) ?? die).parent;
    for (let depth = 0; at && depth < MAX_PARENTS; depth++, at = at.parent) {
      const isScope =
        at.tag === Tag.NAMESPACE || at.tag === Tag.MODULE || at.tag === Tag.STRUCTURE_TYPE || at.tag === Tag.CLASS_TYPE;
      if (isScope) parts.unshift(at.name ?? '(anonymous namespace)');
    }
    // Rust's types of the language itself have names that no path belongs to.
    return /^[&*([]/.test(own) ? own : parts.join('::');
  }
}

function sizeAttribute(die: Die): number | undefined {
  const size = die.number(At.BYTE_SIZE);
  if (size !== undefined && (size < 0 || size > 2 ** 40)) throw new DwarfError(`a type has ${size} bytes`);
  return size;
}

/** Bytes of the type that a bit-field of DWARF 2 is stored in. */
function storageSize(die: Die): number {
  let at = die.type;
  for (let depth = 0; at && depth < MAX_PARENTS; depth++) {
    const size = sizeAttribute(at);
    if (size !== undefined) return size;
    at = at.type;
  }
  return 4;
}

/** `object` with one more property, computed when first read. */
function lazily<T extends object, K extends string, V>(object: T, key: K, compute: () => V): T & Readonly<Record<K, V>> {
  let state: { readonly value: V } | undefined;
  return Object.defineProperty(object, key, {
    enumerable: true,
    get: () => {
      state ??= { value: compute() };
      return state.value;
    },
  }) as T & Readonly<Record<K, V>>;
}
