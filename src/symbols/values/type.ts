/** Types of the guest's language, whatever debug information they come from. Members and targets are read when asked. */

export type BaseEncoding = 'signed' | 'unsigned' | 'signed-char' | 'unsigned-char' | 'boolean' | 'float' | 'utf' | 'other';
export type TypeLanguage = 'c' | 'c++' | 'rust';

export interface VoidType {
  readonly kind: 'void';
  readonly name: string;
}
export interface BaseType {
  readonly kind: 'base';
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  readonly encoding: BaseEncoding;
  readonly language: TypeLanguage;
}
export interface PointerType {
  readonly kind: 'pointer';
  /** `*`, or a C++ reference. */
  readonly style: '*' | '&' | '&&';
  readonly size: number;
  readonly target: Type;
  /** Where the language gives the type a name of its own, as Rust does. */
  readonly name?: string;
}
export interface ArrayType {
  readonly kind: 'array';
  readonly element: Type;
  /** Undefined where the type is incomplete: `int a[]`. */
  readonly count: number | undefined;
  /** Of an array whose length is known at run time only: the expression of its length. */
  readonly bound?: ArrayBound;
}
/** How the length of a variable-length array is found in a frame; made and understood by the reader of types. */
export interface ArrayBound {
  /** Throws DwarfError. */
  expressionAt(pc: bigint): Uint8Array | undefined;
  /** The expression gives the place of an object of so many bytes that holds the bound; else it gives the bound itself. */
  readonly objectSize?: number;
  readonly isUpperBound: boolean;
}
export interface Member {
  /** Undefined for an anonymous struct or union, whose members count as the outer one's. */
  readonly name: string | undefined;
  readonly type: Type;
  /** Bytes from the start of the object; of a bit-field: those of the byte where it begins. */
  readonly offset: number;
  readonly bits?: { readonly offset: number; readonly size: number };
  /** A C++ base class. */
  readonly isBase: boolean;
}
/** The alternatives of a Rust enum. */
export interface Variants {
  readonly discriminant: Member | undefined;
  readonly cases: readonly { readonly value: bigint | undefined; readonly name: string; readonly member: Member }[];
}
export interface StructType {
  readonly kind: 'struct';
  readonly keyword: 'struct' | 'union' | 'class';
  readonly name: string | undefined;
  readonly size: number;
  readonly members: readonly Member[];
  readonly variants?: Variants;
  readonly language: TypeLanguage;
  /** Only its name is known. */
  readonly isIncomplete: boolean;
}
export interface EnumType {
  readonly kind: 'enum';
  readonly name: string | undefined;
  readonly size: number;
  readonly isSigned: boolean;
  readonly values: readonly { readonly name: string; readonly value: bigint }[];
  readonly language: TypeLanguage;
}
export interface TypedefType {
  readonly kind: 'typedef';
  readonly name: string;
  readonly target: Type;
}
export interface QualifiedType {
  readonly kind: 'qualified';
  readonly qualifier: 'const' | 'volatile' | 'restrict' | '_Atomic';
  readonly target: Type;
}
export interface FunctionType {
  readonly kind: 'function';
  readonly result: Type;
  readonly parameters: readonly Type[];
  readonly isVariadic: boolean;
  readonly isPrototyped: boolean;
}
export type Type =
  | VoidType
  | BaseType
  | PointerType
  | ArrayType
  | StructType
  | EnumType
  | TypedefType
  | QualifiedType
  | FunctionType;

/** Deeper than any real type; hostile ones contain themselves. */
const MAX_DEPTH = 64;

export const VOID: VoidType = { kind: 'void', name: 'void' };

/** The type without typedefs and qualifiers. */
export function stripped(type: Type): Exclude<Type, TypedefType | QualifiedType> {
  let at = type;
  for (let depth = 0; depth < MAX_DEPTH; depth++) {
    if (at.kind !== 'typedef' && at.kind !== 'qualified') return at;
    at = at.target;
  }
  return VOID;
}

/** Bytes of an object of the type; 0 where it is not known. */
export function sizeOf(type: Type, depth = 0): number {
  if (depth > MAX_DEPTH) return 0;
  const plain = stripped(type);
  switch (plain.kind) {
    case 'void':
    case 'function':
      return 1;
    case 'array':
      return (plain.count ?? 0) * sizeOf(plain.element, depth + 1);
    default:
      return plain.size;
  }
}

/** Plain characters: what arrays and pointers of are shown as text. */
export function isCharacter(type: Type): boolean {
  const plain = stripped(type);
  return (
    plain.kind === 'base' &&
    plain.size === 1 &&
    plain.encoding !== 'boolean' &&
    plain.encoding !== 'float' &&
    plain.language !== 'rust'
  );
}

export function isInteger(type: Type): boolean {
  const plain = stripped(type);
  return plain.kind === 'enum' || (plain.kind === 'base' && plain.encoding !== 'float' && plain.encoding !== 'other');
}

export function isSigned(type: Type): boolean {
  const plain = stripped(type);
  if (plain.kind === 'enum') return plain.isSigned;
  return plain.kind === 'base' && (plain.encoding === 'signed' || plain.encoding === 'signed-char');
}

/** Parts of one type's name: hostile types are made of themselves. */
const MAX_NAME_PARTS = 200;

/** The name as C writes it, around a declarator: `int (*)(char)`, `char [16]`, `struct point *`. */
export function typeName(type: Type, declarator = ''): string {
  return nameOf(type, declarator, { left: MAX_NAME_PARTS });
}

function nameOf(type: Type, declarator: string, budget: { left: number }): string {
  if (--budget.left < 0) return '...';
  const spaced = declarator === '' || declarator.startsWith(' ') ? declarator : ` ${declarator}`;
  switch (type.kind) {
    case 'void':
    case 'base':
    case 'typedef':
      return `${type.name}${spaced}`;
    case 'struct':
    case 'enum': {
      const keyword = type.kind === 'enum' ? 'enum' : type.keyword;
      const named = type.name ?? '{...}';
      return `${type.language === 'c' || type.name === undefined ? `${keyword} ` : ''}${named}${spaced}`;
    }
    case 'pointer': {
      if (type.name !== undefined) return `${type.name}${spaced}`;
      const { kind } = type.target;
      const own = `${type.style}${declarator}`;
      return nameOf(type.target, kind === 'array' || kind === 'function' ? `(${own})` : own, budget);
    }
    case 'array': {
      const part = `[${type.count ?? ''}]`;
      const apart = declarator === '' || /[\])]$/.test(declarator) ? '' : ' ';
      return nameOf(type.element, `${declarator}${apart}${part}`, budget);
    }
    case 'qualified':
      // A qualifier of a pointer stands behind the star, that of anything else in front.
      if (type.target.kind === 'pointer' && type.target.name === undefined)
        return nameOf(type.target, ` ${type.qualifier}${spaced}`, budget);
      return `${type.qualifier} ${nameOf(type.target, declarator, budget)}`;
    case 'function': {
      const names = type.parameters.slice(0, MAX_NAME_PARTS).map((parameter) => nameOf(parameter, '', budget));
      if (type.isVariadic) names.push('...');
      const list = names.length > 0 ? names.join(', ') : type.isPrototyped ? 'void' : '';
      return nameOf(type.result, `${declarator === '' ? ' ' : declarator}(${list})`, budget);
    }
  }
}
