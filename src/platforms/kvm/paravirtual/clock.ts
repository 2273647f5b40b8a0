import type { Processor } from '../../../processor/processor.ts';
import { TSC_OFFSET } from '../../../processor/state/layout.ts';
import { readWord, writeBytes } from '../../guest-memory.ts';
import * as Abi from '../abi/msrs.ts';
import type { Kvm } from '../kvm.ts';

/** The vCPU's TSC as RDTSC reads it now. */
export function guestTsc(processor: Processor): bigint {
  return BigInt.asUintN(64, processor.ticks + processor.state.get64(TSC_OFFSET));
}

/**
 * Fills the vCPU's kvmclock structure: system time and TSC of this moment, and how to go on from there. The version is odd
 * while it changes, which no vCPU of this machine can see.
 */
export function updateSystemTime(kvm: Kvm, processor: Processor): void {
  const { systemTime } = kvm.vcpu(processor.index);
  if (!(systemTime & Abi.ENABLED)) return;
  const gpa = systemTime & ~Abi.ENABLED;
  const bytes = new Uint8Array(Abi.VcpuTime.SIZE);
  const view = new DataView(bytes.buffer);
  view.setUint32(Abi.VcpuTime.VERSION, nextVersion(readWord(processor, gpa)), true);
  view.setBigUint64(Abi.VcpuTime.TSC_TIMESTAMP, guestTsc(processor), true);
  view.setBigUint64(Abi.VcpuTime.SYSTEM_TIME, BigInt.asUintN(64, processor.ticks + kvm.vm.clockOffset), true);
  view.setUint32(Abi.VcpuTime.TSC_TO_SYSTEM_MUL, Abi.TSC_MUL, true);
  view.setInt8(Abi.VcpuTime.TSC_SHIFT, Abi.TSC_SHIFT);
  view.setUint8(Abi.VcpuTime.FLAGS, Abi.VcpuTimeFlag.TSC_STABLE);
  writeBytes(processor, gpa, bytes);
}

/** Fills the wall clock structure: when, in seconds since 1970, system time was 0. */
export function writeWallClock(kvm: Kvm, processor: Processor, gpa: bigint): void {
  const bytes = new Uint8Array(Abi.WallClock.SIZE);
  const view = new DataView(bytes.buffer);
  view.setUint32(Abi.WallClock.VERSION, nextVersion(readWord(processor, gpa)), true);
  view.setUint32(Abi.WallClock.SECONDS, Number(kvm.startSeconds & 0xffff_ffffn), true);
  writeBytes(processor, gpa, bytes);
}

/** The next even version: two steps on, past the odd one of the update. */
function nextVersion(version: number): number {
  return (((version | 1) + 1) & ~1) >>> 0;
}

/** The fields that change: up to `preempted`, which a vCPU that runs has 0 in. */
const PREEMPTED_END = Abi.StealTime.PREEMPTED + 1;

/** A vCPU stops running, and another one of the partition does: it says so in its steal time structure (`kvm_steal_time_set_preempted`). */
export function markPreempted(kvm: Kvm, processor: Processor): void {
  const vcpu = kvm.vcpu(processor.index);
  if (!(vcpu.stealTime & Abi.ENABLED)) return;
  const gpa = (vcpu.stealTime & ~Abi.ENABLED) + BigInt(Abi.StealTime.PREEMPTED);
  vcpu.isMarked = writeBytes(processor, gpa, Uint8Array.of(Abi.Preempted.PREEMPTED));
}

/** Adds what the vCPU waited while it was ready to its steal time structure. */
export function updateStealTime(kvm: Kvm, processor: Processor): void {
  const vcpu = kvm.vcpu(processor.index);
  if (!(vcpu.stealTime & Abi.ENABLED)) return;
  vcpu.isMarked = false;
  const stolen = kvm.machine.stolenTicks(processor.index);
  const gpa = vcpu.stealTime & ~Abi.ENABLED;
  const old = processor.readMemory('gpa', gpa, PREEMPTED_END);
  if (old.length < PREEMPTED_END) return;
  // What the vCPU knows of translations is always what the tables say (processor/memory/table-registry.ts): a flush has nothing to do.
  if ((old[Abi.StealTime.PREEMPTED] ?? 0) & Abi.Preempted.FLUSH_TLB) vcpu.tlbFlushes++;
  const view = new DataView(old.slice().buffer);
  const bytes = new Uint8Array(PREEMPTED_END);
  const out = new DataView(bytes.buffer);
  out.setBigUint64(Abi.StealTime.STEAL, BigInt.asUintN(64, view.getBigUint64(0, true) + stolen - vcpu.stolenTold), true);
  out.setUint32(Abi.StealTime.VERSION, nextVersion(view.getUint32(Abi.StealTime.VERSION, true)), true);
  writeBytes(processor, gpa, bytes);
  vcpu.stolenTold = stolen;
}
