import type { ChainPart } from '../queue/chain.ts';
import { QueueError } from '../queue/queue-error.ts';
import { ERROR_ANSWER, HEADER_SIZE, Request } from './protocol.ts';

/** Bytes of a message, header included, at most. */
export const LONGEST_MESSAGE = 0x8_0000;

const NAMES = new Map<number, string>(
  Object.entries(Request).flatMap(([name, type]): [number, string][] => [
    [type, `T${name.toLowerCase()}`],
    [type + 1, `R${name.toLowerCase()}`],
  ]),
);

/** What the driver sent. Throws QueueError where it has no header. */
export function readMessage(readable: ChainPart): Uint8Array {
  if (readable.length < HEADER_SIZE)
    throw new QueueError(`a message has ${readable.length} bytes for the device to read, but its header has ${HEADER_SIZE}`);
  return readable.read(0, LONGEST_MESSAGE);
}

/** Throws QueueError where there is no room for an answer. */
export function writeAnswer(writable: ChainPart, answer: Uint8Array): void {
  if (writable.length < answer.length)
    throw new QueueError(`a message has room for ${writable.length} bytes, but its answer has ${answer.length}`);
  writable.write(0, answer);
}

/** `Tgetattr`, `Rlerror` … */
export function messageName(message: Uint8Array): string {
  const type = message[4] ?? 0;
  return type === ERROR_ANSWER ? 'Rlerror' : (NAMES.get(type) ?? `type ${type}`);
}
