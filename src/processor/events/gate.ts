import { GuestFault, Vector } from '../faults/guest-fault.ts';
import { isLong } from '../segmentation/descriptor.ts';
import * as L from '../state/layout.ts';
import type { SystemContext } from '../system/context.ts';
import { low32 } from '../system/operands.ts';

/** An entry of the IDT (Intel SDM vol. 3, 7.11 and 7.14.1). */
export interface Gate {
  readonly kind: 'interrupt' | 'trap' | 'task';
  readonly selector: number;
  readonly offset: bigint;
  /** Frame of 32-bit (or 64-bit) words; 16-bit ones otherwise. */
  readonly wide: boolean;
  readonly dpl: number;
  readonly present: boolean;
  /** 1–7: stack of the interrupt stack table. */
  readonly ist: number;
}

const KINDS: Readonly<Record<number, { kind: Gate['kind']; wide: boolean }>> = {
  5: { kind: 'task', wide: false },
  6: { kind: 'interrupt', wide: false },
  7: { kind: 'trap', wide: false },
  14: { kind: 'interrupt', wide: true },
  15: { kind: 'trap', wide: true },
};

/** Decodes a gate from its words of 32 bits; the third is 0 outside long mode. Undefined for a type that is no gate in the mode. */
export function parseGate(first: number, second: number, third: number, long: boolean): Gate | undefined {
  const rights = (second >>> 8) & 0xff;
  const found = (rights & 0x10) === 0 ? KINDS[rights & 15] : undefined;
  if (!found || (long && (found.kind === 'task' || !found.wide))) return undefined;
  let offset = BigInt(found.wide ? ((second & 0xffff_0000) | (first & 0xffff)) >>> 0 : first & 0xffff);
  if (third !== 0) offset |= BigInt(third) << 32n;
  return {
    kind: found.kind,
    wide: found.wide,
    selector: first >>> 16,
    offset,
    dpl: (rights >> 5) & 3,
    present: (rights & 0x80) !== 0,
    ist: long ? second & 7 : 0,
  };
}

/** Gates that were decoded last, by vector, with the words that they were made from. */
const known: (readonly [first: number, second: number, third: number, long: boolean, gate: Gate | undefined])[] = [];

function gateOf(context: SystemContext, vector: number, long: boolean): Gate | undefined {
  const bytes = long ? 16 : 8;
  const place = context.placeOfTable(L.IDTR_BASE, vector * bytes, bytes);
  if (place !== 0) {
    const { view } = context.memory;
    const first = view.getUint32(place, true);
    const second = view.getUint32(place + 4, true);
    const third = long ? view.getUint32(place + 8, true) : 0;
    const old = known[vector];
    if (old && old[0] === first && old[1] === second && old[2] === third && old[3] === long) return old[4];
    const gate = parseGate(first, second, third, long);
    known[vector] = [first, second, third, long, gate];
    return gate;
  }
  const at = BigInt.asUintN(64, context.state.get64(L.IDTR_BASE) + BigInt(vector * bytes));
  const low = context.readLinear(at, 8, false);
  const high = long ? context.readLinear(at + 8n, 8, false) : 0n;
  return parseGate(low32(low), low32(low >> 32n), low32(high), long);
}

/** Reads the gate of a vector. Throws #GP(vector * 8 + 2 + EXT) beyond the limit or for a wrong type. */
export function readGate(context: SystemContext, vector: number, external: number): Gate {
  const { state } = context;
  const long = isLong(context);
  const bytes = long ? 16 : 8;
  const error = vector * 8 + 2 + external;
  if (vector * bytes + bytes - 1 > state.get32(L.IDTR_LIMIT)) throw new GuestFault(Vector.GP, error);
  const gate = gateOf(context, vector, long);
  if (!gate) throw new GuestFault(Vector.GP, error);
  return gate;
}
