import { GPA_BITS } from '../../../hypervisor/second-level/host-place.ts';
import type { Hyperv } from '../hyperv.ts';

type Of = Pick<Hyperv, 'machine'>;

/** What is at a page for the hypervisor, which keeps to the rights that the partition has there. */
export type PageAccess = 'ok' | 'unmapped' | 'no right';

/** Whether a page of a partition can be read or written; one without memory that would get it by being touched gets it. */
export function pageAccess({ machine: { secondLevel } }: Of, gpa: bigint, right: 'read' | 'write'): PageAccess {
  if (gpa >> GPA_BITS !== 0n) return 'unmapped';
  // A page that the partition has mapped in a child is its own, too.
  if (secondLevel.memory.lentAt(gpa)) return 'ok';
  const state = secondLevel.stateAt(gpa);
  if (state === 'unbacked') secondLevel.deflate(gpa & ~0xfffn, 0x1000n);
  else if (state === 'paged-out') secondLevel.pageIn(gpa);
  else if (state !== 'present') return 'unmapped';
  const { permissions, withheld } = secondLevel.lookUp(gpa);
  // Pages whose writes are logged have their right withheld only to hear of the guest's own.
  return permissions[right] || withheld ? 'ok' : 'no right';
}

/** Reads within one page; undefined where the partition can't. */
export function readPage(partition: Of, gpa: bigint, length: number): Uint8Array | undefined {
  if (pageAccess(partition, gpa, 'read') !== 'ok') return undefined;
  const bytes = partition.machine.secondLevel.memory.read(gpa, length);
  return bytes.length === length ? bytes : undefined;
}

/** Writes within one page; false where the partition can't. Decoded code there is dropped. */
export function writePage(partition: Of, gpa: bigint, bytes: Uint8Array): boolean {
  if (pageAccess(partition, gpa, 'write') !== 'ok') return false;
  return partition.machine.secondLevel.memory.write(gpa, bytes) === bytes.length;
}
