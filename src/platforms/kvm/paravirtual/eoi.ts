import type { Processor } from '../../../processor/processor.ts';
import { readWord, writeBytes } from '../../guest-memory.ts';
import * as Skipped from '../../skipped-eoi.ts';
import { ENABLED } from '../abi/msrs.ts';
import type { Kvm } from '../kvm.ts';

const ADDRESS = ~3n;

/**
 * Before an entry: says in the guest's word whether the interrupt in service may end without an exit (`apic_sync_pv_eoi_to_guest`). With
 * APICv no EOI needs an exit for its own sake, and KVM leaves the word alone.
 */
export function offerSkippedEoi(kvm: Kvm, processor: Processor): void {
  const vcpu = kvm.vcpu(processor.index);
  const apic = kvm.apic(processor.index);
  if (!(vcpu.pvEoi & ENABLED) || kvm.hasApicv || vcpu.eoiOffered || !apic.hasSimpleEnd) return;
  vcpu.eoiOffered = Skipped.offerSkippedEoi(apic, wordAt(processor, vcpu.pvEoi & ADDRESS));
}

/**
 * Behind an exit, and before anything is made of the local APIC's state: an EOI that the guest has skipped is done, an offer that it
 * hasn't taken is withdrawn (`apic_sync_pv_eoi_from_guest`).
 */
export function takeSkippedEoi(kvm: Kvm, processor: Processor): void {
  const vcpu = kvm.vcpu(processor.index);
  if (!vcpu.eoiOffered) return;
  vcpu.eoiOffered = false;
  Skipped.takeSkippedEoi(kvm.apic(processor.index), wordAt(processor, vcpu.pvEoi & ADDRESS));
}

function wordAt(processor: Processor, gpa: bigint): Skipped.EoiWord {
  return {
    read: () => readWord(processor, gpa),
    write: (value) => writeBytes(processor, gpa, new Uint8Array(Uint32Array.of(value).buffer)),
  };
}
