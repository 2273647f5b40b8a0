import type { FrameContext } from '../symbol-source.ts';
import { stripped, type Type } from './type.ts';
import { memberOf, readInteger, type Value } from './value.ts';

/** Longest slice that is believed: more elements than that are garbage. */
const MAX_LENGTH = 1n << 32n;

/** A pointer with a length: `&[u16]`, `&mut [Point]`, but not `&str`. */
export function isRustSlice(type: Type): boolean {
  return type.kind === 'struct' && type.language === 'rust' && /^&(mut )?\[[\s\S]*\]$/.test(type.name ?? '');
}

/**
 * The elements that a Rust slice refers to, as an array where they lie. Undefined for any other value, and for a slice that is
 * not set yet. Throws UnavailableError where the slice itself can't be read.
 */
export function sliceElements(value: Value, frame: FrameContext): Value | undefined {
  const type = stripped(value.type);
  if (type.kind !== 'struct' || !isRustSlice(type)) return undefined;
  const pointer = type.members.find(({ name }) => name === 'data_ptr');
  const length = type.members.find(({ name }) => name === 'length');
  const target = pointer && stripped(pointer.type);
  if (!pointer || !length || target?.kind !== 'pointer') return undefined;
  const count = readInteger(memberOf(value, length), frame);
  if (count < 0n || count > MAX_LENGTH) return undefined;
  const address = readInteger(memberOf(value, pointer), frame);
  return { type: { kind: 'array', element: target.target, count: Number(count) }, storage: { kind: 'memory', address } };
}
