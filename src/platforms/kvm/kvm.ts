import type { LocalApic } from '../../devices/local-apic/device.ts';
import type { ExitContext } from '../../hypervisor/exits/exit-context.ts';
import type { Machine } from '../../hypervisor/partition/platform.ts';
import type { PartitionEnd } from '../../hypervisor/partition/run.ts';
import type { HandlerFrame } from '../../stages/stage.ts';
import type { KvmCpuidEntry } from './api/registers.ts';
import type { RunExit } from './api/run.ts';
import { type AsyncPageFaults, freshAsyncPageFaults } from './paravirtual/async-pf.ts';
import type { VirtualMachine } from './vm/virtual-machine.ts';

/** What KVM keeps of one vCPU: values of its paravirtual MSRs, as the guest wrote them. */
export interface VcpuState {
  systemTime: bigint;
  stealTime: bigint;
  pvEoi: bigint;
  /** The guest's word says that it may skip the EOI of the interrupt in service. */
  eoiOffered: boolean;
  pollControl: bigint;
  readonly asyncPageFaults: AsyncPageFaults;
  /** Ticks stolen at the last update of the steal time structure. */
  stolenTold: bigint;
  /** Its steal time structure says that it doesn't run. */
  isMarked: boolean;
  /** Flushes of its TLB that others left to its next entry (PV TLB flush). */
  tlbFlushes: number;
  /** What CPUID answers; undefined for what the processor and KVM have. */
  cpuid: readonly KvmCpuidEntry[] | undefined;
  /** The exit that was served last, until the next entry. */
  served: ExitContext | undefined;
}

/** KVM as its exit handlers see it. */
export interface Kvm {
  readonly vendor: 'intel' | 'amd';
  /** The processor takes interrupts from the local APIC by itself. */
  readonly hasApicv: boolean;
  readonly machine: Machine;
  readonly vm: VirtualMachine;
  /** What the wall clock shows at switch-on, in seconds since 1970. */
  readonly startSeconds: bigint;
  /** Last address written to the wall clock MSR; one for the whole VM. */
  wallClock: bigint;
  vcpu(index: number): VcpuState;
  apic(index: number): LocalApic;
  /** Frame of the vendor module: `handle_io` of kvm-intel or `io_interception` of kvm-amd. */
  vendorFrame(intel: string, amd: string): HandlerFrame;
}

export function freshVcpu(): VcpuState {
  return {
    systemTime: 0n,
    stealTime: 0n,
    pvEoi: 0n,
    eoiOffered: false,
    pollControl: 1n,
    stolenTold: 0n,
    isMarked: false,
    tlbFlushes: 0,
    asyncPageFaults: freshAsyncPageFaults(),
    cpuid: undefined,
    served: undefined,
  };
}

/** KVM_RUN comes back with something that no guest goes on from. A machine that is its own VMM ends with it. */
export function giveUp({ vm, machine }: Kvm, context: ExitContext, exit: RunExit, end: PartitionEnd): void {
  if (vm.userSpace) vm.userSpace.leave(context, exit);
  else machine.finish(end);
}

/** A function of kvm.ko, the part of KVM that the vendors share. */
export function kernelFrame(name: string): HandlerFrame {
  return { name, component: 'kvm.ko', servedBy: 'hypervisor' };
}

/** Code of the process that runs the virtual machine, in user space of the host. */
export function vmmFrame(name: string): HandlerFrame {
  return { name, component: 'VMM process', servedBy: 'device' };
}

/** A device model: in the kernel (PIC, PIT, APICs) or in the VMM process. */
export function deviceFrame(device: string, action: string, inKernel: boolean): HandlerFrame {
  return {
    name: `${device} ${action}`,
    component: inKernel ? 'kvm.ko' : 'VMM process',
    servedBy: inKernel ? 'hypervisor' : 'device',
  };
}

/** A device model where a thread of the VMM that waits for eventfds calls it. */
export function ioThreadFrame(device: string): HandlerFrame {
  return { name: `${device} doorbell`, component: 'VMM I/O thread', servedBy: 'device' };
}
