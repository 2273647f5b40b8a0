import { decodeText } from '../dwarf/byte-reader.ts';
import { UnavailableError } from '../dwarf/expression.ts';
import type { FrameContext } from '../symbol-source.ts';
import { formatFloat } from './float.ts';
import { sliceElements } from './rust-slice.ts';
import {
  type EnumType,
  isCharacter,
  isInteger,
  type Member,
  type StructType,
  sizeOf,
  stripped,
  type Type,
  typeName,
} from './type.ts';
import { addressOf, cannotAccess, memberOf, part, pointee, readBytes, readInteger, type Value } from './value.ts';

/** What a value is shown with: the frame it is read in, and names for addresses. */
export interface ShowContext {
  readonly frame: FrameContext;
  /** `main`, `table+16`: a function, or an object that the address lies in. */
  nameOf(address: bigint): string | undefined;
  /** How integers and pointers are shown, other than by their type. */
  readonly format?: ShowFormat;
}

/** As gdb's: hexadecimal, decimal, unsigned, octal, binary, character. */
export type ShowFormat = 'x' | 'd' | 'u' | 'o' | 't' | 'c';

/** As gdb has them: `print elements`, `print repeats`. */
const MAX_ELEMENTS = 200;
const REPEATS = 10;
const MAX_NESTING = 20;
/** Characters of one value's text, about. */
const MAX_TEXT = 20_000;

/** A value's text, as a C debugger prints it. What can't be read says so in its place. */
export function formatValue(value: Value, show: ShowContext): string {
  const budget = { left: MAX_TEXT };
  return format(value, show, 0, budget);
}

interface Budget {
  left: number;
}

function format(value: Value, show: ShowContext, depth: number, budget: Budget): string {
  if (depth > MAX_NESTING || budget.left <= 0) return '{...}';
  budget.left--;
  const text = attempt(() => formatPlain(value, show, depth, budget));
  if (!text.startsWith('{')) budget.left -= text.length;
  return text;
}

function attempt(read: () => string): string {
  try {
    return read();
  } catch (error) {
    if (error instanceof UnavailableError)
      return error.message.startsWith('<') || error.message.startsWith('(') ? error.message : `<${error.message}>`;
    throw error;
  }
}

function formatPlain(value: Value, show: ShowContext, depth: number, budget: Budget): string {
  const type = stripped(value.type);
  // What isn't there as a whole is said once.
  if (value.storage.kind === 'unavailable') return value.storage.reason;
  if (show.format && (isInteger(type) || (type.kind === 'pointer' && type.style === '*')))
    return formatAs(readInteger(value, show.frame), value.bits?.size ?? 8 * sizeOf(type), show.format);
  switch (type.kind) {
    case 'void':
      return 'void';
    case 'function': {
      const address = addressOf(value);
      return `{${typeName(value.type)}} ${address === undefined ? '' : withName(address, show)}`;
    }
    case 'base':
      return formatBase(value, type, show.frame);
    case 'enum':
      return formatEnum(readInteger(value, show.frame), type);
    case 'pointer':
      return formatPointer(value, type.style, type.target, show, depth, budget);
    case 'array':
      return formatArray(value, type.element, type.count, show, depth, budget);
    case 'struct':
      return formatStruct(value, type, show, depth, budget);
  }
}

/** An integer of so many bits in a chosen format. */
function formatAs(number: bigint, bits: number, format: ShowFormat): string {
  const plain = BigInt.asUintN(bits, number);
  switch (format) {
    case 'x':
      return `0x${plain.toString(16)}`;
    case 'd':
      return BigInt.asIntN(bits, number).toString();
    case 'u':
      return plain.toString();
    case 'o':
      return plain === 0n ? '0' : `0${plain.toString(8)}`;
    case 't':
      return plain.toString(2);
    case 'c':
      return `${BigInt.asIntN(8, number)} '${escapeByte(Number(BigInt.asUintN(8, number)), "'")}'`;
  }
}

function formatBase(value: Value, type: Extract<Type, { kind: 'base' }>, frame: FrameContext): string {
  if (type.encoding === 'float') return formatFloat(readBytes(value, frame).subarray(0, type.size));
  if (type.encoding === 'other')
    return `0x${[...readBytes(value, frame)]
      .reverse()
      .map((byte) => byte.toString(16).padStart(2, '0'))
      .join('')}`;
  const number = readInteger(value, frame);
  if (type.encoding === 'boolean') return number === 0n ? 'false' : number === 1n ? 'true' : number.toString();
  if (type.encoding === 'utf')
    return `${number} ${type.language === 'rust' ? '' : type.size === 4 ? 'U' : 'u'}${quoteCodePoint(number)}`;
  if (isCharacter(type)) return `${number} '${escapeByte(Number(BigInt.asUintN(8, number)), "'")}'`;
  return number.toString();
}

function quoteCodePoint(number: bigint): string {
  const code = Number(number);
  if (code < 0x80) return `'${escapeByte(code, "'")}'`;
  return code <= 0x10_ffff && !(code >= 0xd800 && code < 0xe000)
    ? `'${String.fromCodePoint(code)}'`
    : `'\\x${number.toString(16)}'`;
}

/** A named value; else, where the values are flags, those that are set. */
export function formatEnum(value: bigint, type: EnumType): string {
  const exact = type.values.find((entry) => entry.value === value);
  if (exact) return type.language === 'rust' && type.name !== undefined ? `${type.name}::${exact.name}` : exact.name;
  const areFlags = type.values.every((entry) => entry.value >= 0n && isRunOfBits(entry.value));
  if (!areFlags || value < 0n) return value.toString();
  const names: string[] = [];
  let rest = value;
  for (const entry of type.values) {
    if ((rest & entry.value) === 0n) continue;
    names.push(entry.name);
    rest &= ~entry.value;
  }
  if (rest !== 0n) names.push(`unknown: 0x${rest.toString(16)}`);
  return names.length === 0 ? '0' : `(${names.join(' | ')})`;
}

function isRunOfBits(value: bigint): boolean {
  return value === 0n || /^1+0*$/.test(value.toString(2));
}

function withName(address: bigint, show: ShowContext): string {
  const name = address === 0n ? undefined : show.nameOf(address);
  return `0x${address.toString(16)}${name === undefined ? '' : ` <${name}>`}`;
}

function formatPointer(
  value: Value,
  style: '*' | '&' | '&&',
  target: Type,
  show: ShowContext,
  depth: number,
  budget: Budget,
): string {
  if (value.storage.kind === 'synthetic-pointer')
    return style === '*'
      ? '(synthetic pointer)'
      : `@(synthetic pointer): ${format(pointee(value, show.frame), show, depth + 1, budget)}`;
  const address = readInteger(value, show.frame);
  if (style !== '*') return `@0x${address.toString(16)}: ${format(pointee(value, show.frame), show, depth + 1, budget)}`;
  const text = withName(address, show);
  return isCharacter(target) && address !== 0n ? `${text} ${readString(address, show.frame)}` : text;
}

/** The zero-terminated text at an address, quoted, of at most MAX_ELEMENTS characters. */
export function readString(address: bigint, frame: FrameContext): string {
  const bytes: number[] = [];
  while (bytes.length <= MAX_ELEMENTS) {
    const at = address + BigInt(bytes.length);
    // By pieces, since what follows the text may not be readable.
    const chunk = frame.memory(at, 32) ?? frame.memory(at, 1);
    if (!chunk || chunk.length === 0) return bytes.length === 0 ? cannotAccess(at) : `${quote(bytes)}${cannotAccess(at)}`;
    const zero = chunk.indexOf(0);
    bytes.push(...chunk.subarray(0, zero < 0 ? chunk.length : zero));
    if (zero >= 0) break;
  }
  return bytes.length > MAX_ELEMENTS ? `${quote(bytes.slice(0, MAX_ELEMENTS))}...` : quote(bytes);
}

const ESCAPES: Readonly<Record<number, string>> = { 7: '\\a', 8: '\\b', 9: '\\t', 10: '\\n', 11: '\\v', 12: '\\f', 13: '\\r' };

function escapeByte(byte: number, quoted: string): string {
  const known = ESCAPES[byte];
  if (known !== undefined) return known;
  if (byte < 32 || byte >= 127) return `\\${byte.toString(8).padStart(3, '0')}`;
  const character = String.fromCharCode(byte);
  return character === '\\' || character === quoted ? `\\${character}` : character;
}

/** C text of bytes; long runs of one byte stand apart: `"ab", '\000' <repeats 13 times>`. */
export function quote(bytes: ArrayLike<number>): string {
  const parts: string[] = [];
  let open = '';
  const close = () => {
    if (open !== '') parts.push(`"${open}"`);
    open = '';
  };
  for (let index = 0; index < bytes.length; ) {
    const byte = bytes[index] ?? 0;
    let end = index + 1;
    while (end < bytes.length && bytes[end] === byte) end++;
    if (end - index > REPEATS) {
      close();
      parts.push(`'${escapeByte(byte, "'")}' <repeats ${end - index} times>`);
    } else open += escapeByte(byte, '"').repeat(end - index);
    index = end;
  }
  close();
  return parts.length === 0 ? '""' : parts.join(', ');
}

function formatArray(
  value: Value,
  element: Type,
  count: number | undefined,
  show: ShowContext,
  depth: number,
  budget: Budget,
): string {
  const size = sizeOf(element);
  const address = addressOf(value);
  // As gdb does: of an array of unknown length there is only the address.
  if (count === undefined && address !== undefined) return withName(address, show);
  if (count === undefined || count === 0 || size === 0) return isCharacter(element) ? '""' : isRust(element) ? '[]' : '{}';
  const isPartial = value.storage.kind === 'bytes' && (value.storage.known?.some((mask) => mask !== 0xff) ?? false);
  if (isCharacter(element) && !show.format && !isPartial) {
    const shown = Math.min(count, MAX_ELEMENTS);
    const bytes = readBytes(value, show.frame, shown);
    if (shown < count) return `${quote(bytes)}...`;
    return quote(bytes[shown - 1] === 0 ? bytes.subarray(0, shown - 1) : bytes);
  }
  const parts: string[] = [];
  let shown = 0;
  for (let index = 0; index < count; ) {
    if (shown >= MAX_ELEMENTS || budget.left <= 0) {
      parts.push('...');
      break;
    }
    const text = format(part(value, index * size, element), show, depth + 1, budget);
    let end = index + 1;
    // Equal elements are counted as far as a reader would wait for it.
    while (end < count && end - index < 4096 && same(value, index * size, end * size, size, show, text, element, depth, budget))
      end++;
    if (end - index >= REPEATS) {
      parts.push(`${text} <repeats ${end - index} times>`);
      shown += REPEATS;
      index = end;
    } else {
      parts.push(text);
      shown++;
      index++;
    }
  }
  const last = parts.at(-1);
  const text = last === '...' ? `${parts.slice(0, -1).join(', ')}...` : parts.join(', ');
  return isRust(element) ? `[${text}]` : `{${text}}`;
}

/** Whether two elements of an array have the same bytes. */
function same(
  value: Value,
  first: number,
  second: number,
  size: number,
  show: ShowContext,
  text: string,
  element: Type,
  depth: number,
  budget: Budget,
): boolean {
  try {
    const opaque: Type = {
      kind: 'struct',
      keyword: 'struct',
      name: undefined,
      size,
      members: [],
      language: 'c',
      isIncomplete: false,
    };
    const left = readBytes(part(value, first, opaque), show.frame);
    const right = readBytes(part(value, second, opaque), show.frame);
    return left.every((byte, index) => byte === right[index]);
  } catch (error) {
    if (!(error instanceof UnavailableError)) throw error;
    return format(part(value, second, element), show, depth + 1, budget) === text;
  }
}

function formatStruct(value: Value, type: StructType, show: ShowContext, depth: number, budget: Budget): string {
  if (type.isIncomplete) return '<incomplete type>';
  if (type.language === 'rust') return formatRust(value, type, show, depth, budget);
  const text = (member: Member): string => {
    const shown = format(memberOf(value, member), show, depth + 1, budget);
    if (member.isBase) return `<${member.name ?? ''}> = ${shown}`;
    return member.name === undefined ? shown : `${member.name} = ${shown}`;
  };
  const parts: string[] = [];
  for (const member of type.members.slice(0, MAX_ELEMENTS)) parts.push(text(member));
  if (type.members.length > MAX_ELEMENTS) parts.push('...');
  return `{${parts.join(', ')}}`;
}

/** Whether a type is written as Rust does. */
function isRust(type: Type): boolean {
  const plain = stripped(type);
  if (plain.kind === 'array') return isRust(plain.element);
  if (plain.kind === 'pointer') return isRust(plain.target);
  return (plain.kind === 'base' || plain.kind === 'struct' || plain.kind === 'enum') && plain.language === 'rust';
}

/** The alternative of a Rust enum that the value is, or undefined where its discriminant names none. */
export function activeVariant(value: Value, type: StructType, frame: FrameContext): { name: string; value: Value } | undefined {
  const { variants } = type;
  if (!variants) return undefined;
  const raw = variants.discriminant && readInteger(memberOf(value, variants.discriminant), frame);
  const bits = 8 * (variants.discriminant ? sizeOf(variants.discriminant.type) : 8);
  const plain = (number: bigint) => BigInt.asUintN(bits, number);
  const found =
    (raw === undefined
      ? undefined
      : variants.cases.find((entry) => entry.value !== undefined && plain(entry.value) === plain(raw))) ??
    variants.cases.find((entry) => entry.value === undefined);
  return found && { name: found.name, value: memberOf(value, found.member) };
}

function formatRust(value: Value, type: StructType, show: ShowContext, depth: number, budget: Budget): string {
  if (type.variants) {
    const active = activeVariant(value, type, show.frame);
    return active ? format(active.value, show, depth + 1, budget) : `${type.name ?? ''} {<unknown variant>}`;
  }
  const text = rustString(value, type, show.frame);
  if (text !== undefined) return text;
  const elements = sliceElements(value, show.frame);
  if (elements) return `${type.name ?? ''} ${format(elements, show, depth + 1, budget)}`;
  const name = type.name ?? '';
  const isTuple = type.members.length > 0 && type.members.every((member) => /^__\d+$/.test(member.name ?? ''));
  const parts = type.members.slice(0, MAX_ELEMENTS).map((member) => {
    const shown = format(memberOf(value, member), show, depth + 1, budget);
    return isTuple ? shown : `${member.name ?? '_'}: ${shown}`;
  });
  if (isTuple) return `${name.startsWith('(') ? '' : name}(${parts.join(', ')})`;
  return parts.length === 0 ? name : `${name} {${parts.join(', ')}}`;
}

/** `&str`: a pointer and a length. */
function rustString(value: Value, type: StructType, frame: FrameContext): string | undefined {
  if (type.name !== '&str' && type.name !== '&mut str') return undefined;
  const pointer = type.members.find(({ name }) => name === 'data_ptr');
  const length = type.members.find(({ name }) => name === 'length');
  if (!pointer || !length) return undefined;
  const address = readInteger(memberOf(value, pointer), frame);
  const size = readInteger(memberOf(value, length), frame);
  const shown = size > BigInt(MAX_ELEMENTS) ? MAX_ELEMENTS : Number(size);
  const bytes = shown === 0 ? new Uint8Array() : frame.memory(address, shown);
  if (!bytes) return cannotAccess(address);
  return `${JSON.stringify(decodeText(bytes))}${BigInt(shown) < size ? '...' : ''}`;
}
