import { Status } from './abi.ts';
import type { Sense } from './sense.ts';

/** What an initiator has for the data of a command. */
export interface ScsiData {
  /** Bytes that it hands over. */
  readonly out: Uint8Array;
  /** Bytes that it has room for. */
  readonly room: number;
}

/** How a command ended. */
export interface ScsiOutcome {
  readonly status: number;
  /** For the initiator: no more than it has room for. */
  readonly data: Uint8Array;
  /** Bytes that were moved, to the initiator or from it. */
  readonly moved: number;
  /** There was more than it had room for. */
  readonly isCut?: boolean;
  /** Why the status is CHECK CONDITION. */
  readonly sense?: Sense;
}

const NOTHING = new Uint8Array(0);

/** Done; `taken` bytes of what was handed over were used. */
export function done(taken = 0): ScsiOutcome {
  return { status: Status.GOOD, data: NOTHING, moved: taken };
}

/** Done, with data; the initiator gets as much of it as it has room for, by its command and by its buffer. */
export function answer(bytes: Uint8Array, allocation: number, { room }: ScsiData): ScsiOutcome {
  const wanted = Math.min(bytes.length, allocation);
  const data = bytes.subarray(0, Math.min(wanted, room));
  return { status: Status.GOOD, data, moved: data.length, isCut: wanted > room };
}

/** Not done. */
export function refused(sense: Sense): ScsiOutcome {
  return { status: Status.CHECK_CONDITION, data: NOTHING, moved: 0, sense };
}
