import type { BaseEncoding, BaseType, PointerType, Type } from '../values/type.ts';
import { VOID } from '../values/type.ts';

/** Types of C itself, for constants, casts and the results of operators. */

function base(name: string, size: number, encoding: BaseEncoding): BaseType {
  return { kind: 'base', name, size, encoding, language: 'c' };
}

export const INT = base('int', 4, 'signed');
export const UNSIGNED = base('unsigned int', 4, 'unsigned');
export const CHAR = base('char', 1, 'signed-char');
export const FLOAT = base('float', 4, 'float');
export const DOUBLE = base('double', 8, 'float');
const LONG = base('long', 8, 'signed');
const UNSIGNED_LONG = base('unsigned long', 8, 'unsigned');
const LONG_LONG = base('long long', 8, 'signed');
const UNSIGNED_LONG_LONG = base('unsigned long long', 8, 'unsigned');
const INT128 = base('__int128', 16, 'signed');
const UNSIGNED_INT128 = base('unsigned __int128', 16, 'unsigned');
const BOOL = base('_Bool', 1, 'boolean');

/** The integer type of a size, of at least an int's. */
export function integerType(size: number, isSigned: boolean, pointerSize: number): BaseType {
  if (size <= 4) return isSigned ? INT : UNSIGNED;
  if (size > 8) return isSigned ? INT128 : UNSIGNED_INT128;
  if (pointerSize >= 8) return isSigned ? LONG : UNSIGNED_LONG;
  return isSigned ? LONG_LONG : UNSIGNED_LONG_LONG;
}

export function pointerTo(target: Type, size: number): PointerType {
  return { kind: 'pointer', style: '*', size, target };
}

const FIXED: Readonly<Record<string, Type>> = Object.fromEntries(
  [8, 16, 32, 64].flatMap((bits) => [
    [`int${bits}_t`, base(`int${bits}_t`, bits / 8, bits === 8 ? 'signed-char' : 'signed')],
    [`uint${bits}_t`, base(`uint${bits}_t`, bits / 8, bits === 8 ? 'unsigned-char' : 'unsigned')],
  ]),
);

/** Names of `<stdint.h>` and `<stddef.h>`, which programs use without defining them. */
export function standardType(name: string, pointerSize: number): Type | undefined {
  if (name === 'size_t' || name === 'uintptr_t') return base(name, pointerSize, 'unsigned');
  if (name === 'ssize_t' || name === 'intptr_t' || name === 'ptrdiff_t') return base(name, pointerSize, 'signed');
  return Object.hasOwn(FIXED, name) ? FIXED[name] : undefined;
}

/** The type that words such as `unsigned long int` mean; undefined where they mean none. */
export function wordsType(words: readonly string[], pointerSize: number): Type | undefined {
  const counts = new Map<string, number>();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  const has = (word: string) => counts.has(word);
  const only = (...allowed: string[]) => words.every((word) => allowed.includes(word));
  if (has('signed') && has('unsigned')) return undefined;
  const isUnsigned = has('unsigned');
  if (has('void')) return words.length === 1 ? VOID : undefined;
  if (has('_Bool') || has('bool')) return words.length === 1 ? BOOL : undefined;
  if (has('float')) return words.length === 1 ? FLOAT : undefined;
  if (has('double')) {
    if (!only('double', 'long')) return undefined;
    return has('long') ? base('long double', pointerSize >= 8 ? 16 : 12, 'float') : DOUBLE;
  }
  if (has('char')) {
    if (!only('char', 'signed', 'unsigned')) return undefined;
    return isUnsigned ? base('unsigned char', 1, 'unsigned-char') : has('signed') ? base('signed char', 1, 'signed-char') : CHAR;
  }
  if (has('__int128')) return isUnsigned ? UNSIGNED_INT128 : INT128;
  if (has('short')) return base(isUnsigned ? 'unsigned short' : 'short', 2, isUnsigned ? 'unsigned' : 'signed');
  const longs = counts.get('long') ?? 0;
  if (longs > 2) return undefined;
  if (longs === 2) return isUnsigned ? UNSIGNED_LONG_LONG : LONG_LONG;
  if (longs === 1) {
    if (pointerSize < 8) return base(isUnsigned ? 'unsigned long' : 'long', 4, isUnsigned ? 'unsigned' : 'signed');
    return isUnsigned ? UNSIGNED_LONG : LONG;
  }
  return isUnsigned ? UNSIGNED : INT;
}
