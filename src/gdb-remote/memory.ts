import type { Processor } from '../processor/processor.ts';
import { bytesOfHex, bytesOfText, hexOf, PACKET_SIZE, textOfBytes } from './packet.ts';

/** Answers to a packet that isn't well formed, and to one about memory that isn't there. */
export const MALFORMED = 'E16';
export const FAULT = 'E0e';

/** Bytes are answered in hexadecimal digits, and need twice their room. */
const MOST_BYTES = PACKET_SIZE / 2 - 8;

type Space = 'gva' | 'gpa';

/** `m` and `x` packets: memory as digits, or as bytes behind a `b`. It may be less than was asked for. */
export function readMemory(processor: Processor, space: Space, kind: 'm' | 'x', text: string): string {
  const [, address, length] = /^([0-9a-f]{1,16}),([0-9a-f]{1,8})$/i.exec(text) ?? [];
  if (address === undefined || length === undefined) return MALFORMED;
  const count = Math.min(Number.parseInt(length, 16), MOST_BYTES);
  const bytes = processor.readMemory(space, BigInt(`0x${address}`), count);
  if (bytes.length === 0 && count > 0) return FAULT;
  return kind === 'm' ? hexOf(bytes) : `b${textOfBytes(bytes)}`;
}

/** `M` and `X` packets. */
export function writeMemory(processor: Processor, space: Space, kind: 'M' | 'X', text: string): string {
  const [, address, data = ''] = /^([0-9a-f]{1,16}),[0-9a-f]{1,8}:([\s\S]*)$/i.exec(text) ?? [];
  const bytes = kind === 'X' ? bytesOfText(data) : bytesOfHex(data);
  if (address === undefined || !bytes) return MALFORMED;
  return processor.writeMemory(space, BigInt(`0x${address}`), bytes) === bytes.length ? 'OK' : FAULT;
}
