import type { Processor } from '../../../processor/processor.ts';
import { readWord, writeBytes } from '../../guest-memory.ts';
import { ENABLED } from '../abi/msrs.ts';
import type { Kvm } from '../kvm.ts';

/** Bit 0 of the word: the guest clears it instead of writing to the EOI register. */
const SKIPPABLE = 1;
const ADDRESS = ~3n;

/**
 * Before an entry: says in the guest's word whether the interrupt in service may end without an exit (`apic_sync_pv_eoi_to_guest`). With
 * APICv no EOI needs an exit for its own sake, and KVM leaves the word alone.
 */
export function offerSkippedEoi(kvm: Kvm, processor: Processor): void {
  const vcpu = kvm.vcpu(processor.index);
  if (!(vcpu.pvEoi & ENABLED) || kvm.hasApicv || vcpu.eoiOffered || !kvm.apic(processor.index).hasSimpleEnd) return;
  const gpa = vcpu.pvEoi & ADDRESS;
  vcpu.eoiOffered = writeWord(processor, gpa, readWord(processor, gpa) | SKIPPABLE);
}

/**
 * Behind an exit, and before anything is made of the local APIC's state: an EOI that the guest has skipped is done, an offer that it
 * hasn't taken is withdrawn (`apic_sync_pv_eoi_from_guest`).
 */
export function takeSkippedEoi(kvm: Kvm, processor: Processor): void {
  const vcpu = kvm.vcpu(processor.index);
  if (!vcpu.eoiOffered) return;
  vcpu.eoiOffered = false;
  const gpa = vcpu.pvEoi & ADDRESS;
  const word = readWord(processor, gpa);
  if (word & SKIPPABLE) writeWord(processor, gpa, word & ~SKIPPABLE);
  else kvm.apic(processor.index).endOfInterrupt();
}

function writeWord(processor: Processor, gpa: bigint, value: number): boolean {
  return writeBytes(processor, gpa, new Uint8Array(Uint32Array.of(value).buffer));
}
