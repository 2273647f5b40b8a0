import type { PartitionMemory } from '../../processor/memory/partition-memory.ts';
import type { Processor } from '../../processor/processor.ts';

const PRIME = 0x0100_0193;

/**
 * 64-bit hash of a machine's vCPUs, RAM and what its devices keep (a machine whose devices keep nothing has the hash of the others), as 16
 * hexadecimal digits: two 32-bit FNV-1a lanes over the words of RAM (which starts at a 64-bit boundary and has whole pages), mixed at the
 * end.
 */
export function stateHash(
  processors: readonly Processor[],
  memory: PartitionMemory,
  contents: Iterable<Uint8Array> = [],
): string {
  let first = 0x811c_9dc5;
  let second = 0x9747_b28c;
  const mix = (low: number, high: number) => {
    first = Math.imul(first ^ low, PRIME);
    second = Math.imul(second ^ high, PRIME) ^ (first >>> 15);
  };
  for (const processor of processors) {
    const hash = processor.stateHash();
    mix(Number(hash & 0xffff_ffffn), Number(hash >> 32n));
  }
  for (const region of memory.regions) {
    const words = new Uint32Array(memory.bytes.buffer, region.offset, region.length / 4);
    for (let index = 0; index < words.length; index += 2) {
      first = Math.imul(first ^ (words[index] ?? 0), PRIME);
      second = Math.imul(second ^ (words[index + 1] ?? 0), PRIME) ^ (first >>> 15);
    }
    mix(region.length, Number(region.gpa & 0xffff_ffffn));
  }
  for (const bytes of contents) {
    mix(bytes.length, 0);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const whole = bytes.length & ~7;
    for (let at = 0; at < whole; at += 8) mix(view.getUint32(at, true), view.getUint32(at + 4, true));
    for (let at = whole; at < bytes.length; at++) mix(view.getUint8(at), at);
  }
  // Every bit of one lane reaches the other, by steps that can each be undone: no two pairs of lanes become one.
  second ^= scramble(first);
  first ^= scramble(second);
  second ^= scramble(first);
  return [first, second].map((lane) => (lane >>> 0).toString(16).padStart(8, '0')).join('');
}

/** A word that each bit of another one has a part in. */
function scramble(word: number): number {
  const half = Math.imul(word ^ (word >>> 16), PRIME);
  return Math.imul(half ^ (half >>> 13), 0x9e37_79b1);
}
