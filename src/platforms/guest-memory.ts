import type { Processor } from '../processor/processor.ts';

/** A 32-bit word of guest physical memory; 0 where there is no RAM. */
export function readWord(processor: Processor, gpa: bigint): number {
  const bytes = processor.readMemory('gpa', gpa, 4);
  return bytes.length < 4 ? 0 : new DataView(bytes.slice().buffer).getUint32(0, true);
}

/** Writes to guest physical memory; false when not all of it has RAM. */
export function writeBytes(processor: Processor, gpa: bigint, bytes: Uint8Array): boolean {
  if (gpa + BigInt(bytes.length) > 1n << 52n) return false;
  return processor.writeMemory('gpa', gpa, bytes) === bytes.length;
}

/** Whether a range of guest physical memory is all RAM. */
export function isRam(processor: Processor, gpa: bigint, length: number): boolean {
  return gpa + BigInt(length) <= 1n << 52n && processor.readMemory('gpa', gpa, length).length === length;
}
