import { GuestFault, Vector } from '../faults/guest-fault.ts';
import { Segment } from '../state/layout.ts';
import type { ByteReader } from './byte-reader.ts';

export interface Prefixes {
  operandSize: boolean;
  addressSize: boolean;
  lock: boolean;
  rep: 0 | 0xf2 | 0xf3;
  segment: number | undefined;
  rex: number;
}

const SEGMENT_PREFIX: Readonly<Record<number, number>> = {
  38: Segment.ES,
  46: Segment.CS,
  54: Segment.SS,
  62: Segment.DS,
  100: Segment.FS,
  101: Segment.GS,
};

/** Reads prefixes up to the first opcode byte, which it returns. */
export function readPrefixes(reader: ByteReader, long: boolean): { prefixes: Prefixes; opcode: number } {
  const prefixes: Prefixes = { operandSize: false, addressSize: false, lock: false, rep: 0, segment: undefined, rex: 0 };
  for (;;) {
    const byte = reader.u8();
    const segment = SEGMENT_PREFIX[byte];
    if (segment !== undefined) {
      // In 64-bit mode only FS and GS count.
      if (!long || segment >= Segment.FS) prefixes.segment = segment;
    } else if (byte === 0x66) prefixes.operandSize = true;
    else if (byte === 0x67) prefixes.addressSize = true;
    else if (byte === 0xf0) prefixes.lock = true;
    else if (byte === 0xf2 || byte === 0xf3) prefixes.rep = byte;
    else if (long && (byte & 0xf0) === 0x40) {
      // REX counts only directly before the opcode.
      prefixes.rex = byte;
      continue;
    } else return { prefixes, opcode: byte };
    prefixes.rex = 0;
  }
}

export interface Vex {
  readonly map: number;
  /** vvvv, inverted as it stands for a register. */
  readonly register: number;
  readonly l: 0 | 1;
  readonly w: 0 | 1;
}

/**
 * Reads a VEX prefix after its first byte, and makes of it what the older prefixes would say. Throws #UD where it stands
 * behind prefixes that it replaces.
 */
export function readVex(reader: ByteReader, first: number, prefixes: Prefixes, long: boolean): Vex {
  if (prefixes.operandSize || prefixes.lock || prefixes.rep !== 0 || prefixes.rex !== 0) throw new GuestFault(Vector.UD);
  const second = reader.u8();
  const third = first === 0xc4 ? reader.u8() : second;
  const map = first === 0xc4 ? second & 0x1f : 1;
  // R, X and B are stored inverted; outside 64-bit mode there are eight registers.
  const extension = first === 0xc4 ? ~(second >> 5) & 7 : ~(second >> 5) & 4;
  const wide = first === 0xc4 && third & 0x80 ? 8 : 0;
  prefixes.rex = long ? extension | wide : 0;
  const mandatory = third & 3;
  prefixes.operandSize = mandatory === 1;
  prefixes.rep = mandatory === 2 ? 0xf3 : mandatory === 3 ? 0xf2 : 0;
  if (map < 1 || map > 3) throw new GuestFault(Vector.UD);
  return { map, register: ~(third >> 3) & (long ? 15 : 7), l: third & 4 ? 1 : 0, w: wide ? 1 : 0 };
}
