import { littleEndian } from '../dwarf/byte-reader.ts';
import { UnavailableError } from '../dwarf/expression.ts';
import type { FrameContext } from '../symbol-source.ts';
import { isSigned, type Member, sizeOf, stripped, type Type } from './type.ts';

/** Where a value is kept. Registers have the numbers of FrameRegisters. */
export type Storage =
  | { readonly kind: 'memory'; readonly address: bigint }
  | { readonly kind: 'register'; readonly register: number; readonly offset: number }
  /** `known` has the bits that are available; all are where it is missing. */
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array; readonly known?: Uint8Array }
  /** A pointer that the compiler removed: what it points at is known all the same. */
  | { readonly kind: 'synthetic-pointer'; readonly target: () => Value }
  | { readonly kind: 'unavailable'; readonly reason: string };

/** A typed object of the guest, read when it is looked at. */
export interface Value {
  readonly type: Type;
  readonly storage: Storage;
  /** Of a bit-field: its bits from the lowest one of the first byte on. */
  readonly bits?: { readonly offset: number; readonly size: number };
}

export const OPTIMIZED_OUT = '<optimized out>';
/** Larger objects are read in parts only. */
const MAX_READ = 1 << 20;

export function readBytes(value: Value, frame: FrameContext, size = byteLength(value)): Uint8Array {
  if (size > MAX_READ) throw new UnavailableError(`<${size} bytes are too many to read at once>`);
  const { storage } = value;
  switch (storage.kind) {
    case 'memory': {
      if (size === 0) return new Uint8Array();
      const bytes = frame.memory(storage.address, size);
      if (!bytes || bytes.length < size) throw new UnavailableError(cannotAccess(storage.address));
      return bytes;
    }
    case 'register': {
      const whole = frame.registers.get(storage.register);
      if (whole === undefined) throw new UnavailableError('<not saved>');
      const bytes = new Uint8Array(size);
      let rest = whole >> BigInt(8 * storage.offset);
      for (let index = 0; index < size; index++, rest >>= 8n) bytes[index] = Number(rest & 0xffn);
      return bytes;
    }
    case 'bytes': {
      if (storage.known && !isKnown(storage.known, size, value.bits)) throw new UnavailableError(OPTIMIZED_OUT);
      if (storage.bytes.length >= size) return storage.bytes.subarray(0, size);
      // A value computed in fewer bytes than its type has.
      const bytes = new Uint8Array(size);
      bytes.set(storage.bytes);
      return bytes;
    }
    case 'synthetic-pointer':
      throw new UnavailableError('(synthetic pointer)');
    case 'unavailable':
      throw new UnavailableError(storage.reason);
  }
}

function isKnown(known: Uint8Array, size: number, bits: Value['bits']): boolean {
  if (!bits) return known.subarray(0, size).every((mask) => mask === 0xff);
  const mask = ((1n << BigInt(bits.size)) - 1n) << BigInt(bits.offset);
  return (littleEndian(known.subarray(0, size)) & mask) === mask;
}

export function cannotAccess(address: bigint): string {
  return `<error: Cannot access memory at address 0x${address.toString(16)}>`;
}

function byteLength(value: Value): number {
  return value.bits ? Math.ceil((value.bits.offset + value.bits.size) / 8) : sizeOf(value.type);
}

/** The bits of an integer, an enum, a pointer or a bit-field as a number, signed where its type is. */
export function readInteger(value: Value, frame: FrameContext): bigint {
  const bytes = readBytes(value, frame);
  let number = littleEndian(bytes);
  let size = 8 * bytes.length;
  if (value.bits) {
    number = BigInt.asUintN(value.bits.size, number >> BigInt(value.bits.offset));
    size = value.bits.size;
  }
  return isSigned(value.type) ? BigInt.asIntN(size, number) : number;
}

/** The part of a value at an offset, as an object of its own. */
export function part(value: Value, offset: number, type: Type, bits?: Value['bits']): Value {
  const { storage } = value;
  const size = bits ? Math.ceil((bits.offset + bits.size) / 8) : sizeOf(type);
  switch (storage.kind) {
    case 'memory':
      return { type, bits, storage: { kind: 'memory', address: storage.address + BigInt(offset) } };
    case 'register':
      return { type, bits, storage: { ...storage, offset: storage.offset + offset } };
    case 'bytes':
      return {
        type,
        bits,
        storage: {
          kind: 'bytes',
          bytes: storage.bytes.subarray(offset, offset + size),
          known: storage.known?.subarray(offset, offset + size),
        },
      };
    default:
      return { type, bits, storage };
  }
}

export function memberOf(value: Value, member: Member): Value {
  return part(value, member.offset, member.type, member.bits);
}

export function addressOf(value: Value): bigint | undefined {
  return value.storage.kind === 'memory' ? value.storage.address : undefined;
}

/** What a pointer or reference points at. Throws UnavailableError. */
export function pointee(value: Value, frame: FrameContext, offset = 0n): Value {
  const type = stripped(value.type);
  if (type.kind !== 'pointer') throw new UnavailableError('not a pointer');
  if (value.storage.kind === 'synthetic-pointer') return value.storage.target();
  const mask = (1n << BigInt(8 * type.size)) - 1n;
  return { type: type.target, storage: { kind: 'memory', address: (readInteger(value, frame) + offset) & mask } };
}
