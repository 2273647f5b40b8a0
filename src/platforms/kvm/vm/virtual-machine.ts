import type { InspectNode } from '../../../devices/inspect.ts';
import type { ExitContext } from '../../../hypervisor/exits/exit-context.ts';
import type { Machine } from '../../../hypervisor/partition/platform.ts';
import type { RunExit } from '../api/run.ts';
import { GsiRouting } from './gsi-routing.ts';
import { IoEvents } from './io-events.ts';
import { MemorySlots } from './memory-slots.ts';
import { MsrFiltering } from './msr-filtering.ts';

/** A VMM process that isn't the devices of the machine itself: KVM_RUN comes back to it. */
export interface UserSpace {
  /** Ends the run of the vCPU that left. What its exit asks for is done before the next one. */
  leave(context: ExitContext, exit: RunExit): void;
}

/** What KVM keeps of a virtual machine as a whole, beside its vCPUs (struct kvm, struct kvm_arch). */
export class VirtualMachine {
  readonly slots: MemorySlots;
  readonly ioEvents = new IoEvents();
  readonly routing: GsiRouting;
  readonly msrs = new MsrFiltering();
  /** The interrupt chip and the timer are in the kernel: KVM_CREATE_IRQCHIP, KVM_CREATE_PIT2. */
  hasIrqchip: boolean;
  hasPit: boolean;
  /** Nanoseconds that kvmclock is ahead of guest time: KVM_SET_CLOCK. */
  clockOffset = 0n;
  /** Bit = number of a hypercall that leaves to the VMM: KVM_CAP_EXIT_HYPERCALL. */
  hypercallExits = 0n;

  /** Rings of devices' doorbells end in the kernel, as if the VMM had made ioeventfds for them; else they are exits to it. */
  doorbellEvents = false;

  /** Without a VMM of its own, the devices of the machine are the VMM's, and RAM is what the machine has. */
  constructor(
    machine: Pick<Machine, 'secondLevel' | 'dirtyLog' | 'devices'>,
    readonly userSpace: UserSpace | undefined,
  ) {
    this.slots = new MemorySlots(machine.secondLevel, machine.dirtyLog);
    this.routing = new GsiRouting(machine.devices);
    this.hasIrqchip = this.hasPit = userSpace === undefined;
    if (userSpace === undefined) this.slots.adopt();
  }

  /** Whether a device is in the kernel: accesses to it never reach the VMM. */
  isInKernel(device: string | undefined): device is string {
    if (device === 'pic8259' || device === 'io-apic') return this.hasIrqchip;
    return device === 'pit8254' && this.hasPit;
  }

  inspect(): readonly InspectNode[] {
    const chip = this.hasIrqchip ? 'PICs, I/O APIC, local APICs' : 'none';
    return [
      this.slots.inspect(),
      { name: 'in-kernel interrupt chip', value: this.hasPit ? `${chip}, PIT` : chip },
      this.ioEvents.inspect(),
      ...(this.userSpace
        ? []
        : [{ name: 'doorbells of virtio', value: this.doorbellEvents ? 'ioeventfds' : 'exits to the VMM' }]),
    ];
  }
}
