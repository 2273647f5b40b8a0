import type { Processor } from '../../../processor/processor.ts';
import { isRam } from '../../guest-memory.ts';
import { ENABLED, MSR_REFERENCE, Msr, StealTime } from '../abi/msrs.ts';
import type { Kvm } from '../kvm.ts';
import { acknowledgeReady, enableAsyncPageFaults } from './async-pf.ts';
import { updateStealTime, updateSystemTime, writeWallClock } from './clock.ts';

/** True for the numbers of KVM's own MSRs, whether this KVM offers them or not. */
export function isKvmMsr(msr: number): boolean {
  return MSR_REFERENCE.some(({ index }) => index === msr);
}

/** Value of a KVM MSR; undefined (#GP) for one whose feature isn't offered. */
export function readKvmMsr(kvm: Kvm, vcpu: number, msr: number): bigint | undefined {
  const state = kvm.vcpu(vcpu);
  switch (msr) {
    case Msr.WALL_CLOCK:
    case Msr.WALL_CLOCK_OLD:
      return kvm.wallClock;
    case Msr.SYSTEM_TIME:
    case Msr.SYSTEM_TIME_OLD:
      return state.systemTime;
    case Msr.STEAL_TIME:
      return state.stealTime;
    case Msr.EOI_EN:
      return state.pvEoi;
    case Msr.POLL_CONTROL:
      return state.pollControl;
    case Msr.ASYNC_PF_EN:
      return state.asyncPageFaults.enable;
    case Msr.ASYNC_PF_INT:
      return state.asyncPageFaults.vector;
    case Msr.ASYNC_PF_ACK:
      return 0n;
    default:
      return undefined;
  }
}

/** Writes a KVM MSR; false (#GP) for a bad value or one whose feature isn't offered. */
export function writeKvmMsr(kvm: Kvm, processor: Processor, msr: number, value: bigint): boolean {
  const state = kvm.vcpu(processor.index);
  switch (msr) {
    case Msr.WALL_CLOCK:
    case Msr.WALL_CLOCK_OLD:
      kvm.wallClock = value;
      writeWallClock(kvm, processor, value);
      return true;
    case Msr.SYSTEM_TIME:
    case Msr.SYSTEM_TIME_OLD:
      state.systemTime = value;
      updateSystemTime(kvm, processor);
      return true;
    case Msr.STEAL_TIME:
      // Bits 5:1 are reserved: the structure is aligned to 64 bytes.
      if (value & 0x3en) return false;
      if (value & ENABLED && !isRam(processor, value & ~ENABLED, StealTime.SIZE)) return false;
      state.stealTime = value;
      state.stolenTold = kvm.machine.stolenTicks(processor.index);
      updateStealTime(kvm, processor);
      return true;
    case Msr.EOI_EN:
      // The word is aligned to 4 bytes.
      if (value & 2n) return false;
      if (value & ENABLED && !isRam(processor, value & ~3n, 4)) return false;
      state.pvEoi = value;
      state.eoiOffered = false;
      return true;
    case Msr.POLL_CONTROL:
      if (value & ~1n) return false;
      state.pollControl = value;
      return true;
    case Msr.ASYNC_PF_EN:
      return enableAsyncPageFaults(kvm, processor, value);
    case Msr.ASYNC_PF_INT:
      if (value >> 8n) return false;
      state.asyncPageFaults.vector = value;
      return true;
    case Msr.ASYNC_PF_ACK:
      acknowledgeReady(kvm, processor, value);
      return true;
    default:
      return false;
  }
}
