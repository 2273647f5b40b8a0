import type { MessageSignal } from '../../../devices/pci/message.ts';
import { ELCR_MASK } from '../../../devices/pic8259/registers.ts';
import { GuestPartition } from '../../../hypervisor/partition/guest-partition.ts';
import { createProcessor } from '../../../processor/cpu.ts';
import { PartitionMemory } from '../../../processor/memory/partition-memory.ts';
import type { CpuModel } from '../../../processor/models/cpu-model.ts';
import { waitForStartUp } from '../../apply-entry.ts';
import { Cap, ManualProtect } from '../abi/capabilities.ts';
import { ClockFlag, IrqChip, IrqFdFlag, MsrExitReason } from '../abi/flags.ts';
import { Hypercall } from '../abi/hypercalls.ts';
import { KvmError } from '../api/errors.ts';
import type { EventFd } from '../api/event-fd.ts';
import type { KvmVcpu } from '../api/vcpu.ts';
import type { ClockData, IoEvent, IrqFd, KvmVm, MemoryRegion, MsrFilter, RoutingEntry } from '../api/vm.ts';
import { KvmPlatform } from '../kvm-platform.ts';
import { updateSystemTime } from '../paravirtual/clock.ts';
import type { VirtualMachine } from '../vm/virtual-machine.ts';
import { ioApicFrom, picFrom, takeIoApic, takePic, withChip } from './chip-state.ts';
import { EmulatedVcpu } from './emulated-vcpu.ts';
import { EmulatedUserMemory } from './user-memory.ts';

/** What an emulated virtual machine is made of: each is decided before its VMM asks for anything. */
export interface EmulatedVmParts {
  readonly id: number;
  readonly model: CpuModel;
  readonly maxVcpus: number;
  /** Bytes of memory that its VMM can map. */
  readonly userMemory: number;
  /** Seconds since 1970 at which it is made. */
  readonly startSeconds: bigint;
  readonly longestRun: number;
  readonly extension: (cap: number) => number;
}

/** A virtual machine of the emulated KVM: the partition, the handlers and the devices that machines of platform kvm have. */
export class EmulatedVm implements KvmVm {
  readonly memory: EmulatedUserMemory;
  /** What it runs on, for whoever looks at it. */
  readonly partition: GuestPartition;
  private readonly platform: KvmPlatform;
  private readonly vcpus = new Map<number, EmulatedVcpu>();
  private readonly irqFds = new Map<EventFd, { readonly gsi: number; readonly stop: () => void }>();

  constructor(private readonly parts: EmulatedVmParts) {
    const { id, model, maxVcpus, userMemory, startSeconds } = parts;
    const memory = new PartitionMemory([{ gpa: 0n, length: userMemory }], maxVcpus);
    let platform: KvmPlatform | undefined;
    this.partition = new GuestPartition({
      id,
      name: `virtual machine ${id}`,
      vendor: model.vendor,
      memory,
      processors: Array.from({ length: maxVcpus }, (_, index) => createProcessor({ index, memory, model })),
      lowMemory: BigInt(userMemory),
      highMemory: 0n,
      startSeconds,
      platform: (machine) => {
        platform = new KvmPlatform(machine, model.vendor, startSeconds, [], {
          userSpace: { leave: (context, exit) => this.vcpus.get(context.vcpu)?.leave(context, exit) },
        });
        return platform;
      },
      load: () => {
        for (const processor of this.partition?.processors ?? []) if (processor.index > 0) waitForStartUp(processor);
      },
    });
    if (platform === undefined) throw new Error('A partition was made without its platform.');
    this.platform = platform;
    for (const processor of this.partition.processors) if (processor.index > 0) waitForStartUp(processor);
    this.partition.secondLevel.removeRam(0n);
    this.memory = new EmulatedUserMemory(this.partition.secondLevel);
  }

  private get vm(): VirtualMachine {
    return this.platform.vm;
  }

  checkExtension(cap: number): number {
    return this.parts.extension(cap);
  }

  createVcpu(id: number): KvmVcpu {
    const { partition, platform, parts } = this;
    const processor = partition.processors[id];
    if (processor === undefined) throw new KvmError('EINVAL', `vCPUs have ids from 0 to ${parts.maxVcpus - 1}`);
    if (this.vcpus.has(id)) throw new KvmError('EEXIST', `There is a vCPU ${id}`);
    const vcpu = new EmulatedVcpu(id, partition, platform, processor, platform.apic(id), parts.longestRun);
    this.vcpus.set(id, vcpu);
    return vcpu;
  }

  // --- memory ---------------------------------------------------------------------------------------------------------

  setUserMemoryRegion(region: MemoryRegion): void {
    this.vm.slots.set(region);
  }
  getDirtyLog(slot: number): Uint8Array {
    return this.vm.slots.getDirtyLog(slot);
  }
  clearDirtyLog(slot: number, firstPage: bigint, count: number, bitmap: Uint8Array): void {
    this.vm.slots.clearDirtyLog(slot, firstPage, count, bitmap);
  }

  // --- interrupts -----------------------------------------------------------------------------------------------------

  createIrqchip(): void {
    if (this.vm.hasIrqchip) throw new KvmError('EEXIST', 'The interrupt chip is there');
    if (this.vcpus.size > 0) throw new KvmError('EINVAL', 'The interrupt chip comes before the first vCPU');
    this.vm.hasIrqchip = true;
  }
  createPit2(): void {
    if (this.vm.hasPit) throw new KvmError('EEXIST', 'The timer is there');
    this.requireIrqchip('ENOENT');
    this.vm.hasPit = true;
  }
  private requireIrqchip(code: 'ENXIO' | 'EINVAL' | 'ENOENT' = 'ENXIO'): void {
    if (!this.vm.hasIrqchip) throw new KvmError(code, 'There is no interrupt chip in the kernel');
  }

  getIrqchip(chip: number): Uint8Array {
    this.requireIrqchip();
    const { pic, ioApic } = this.partition.devices;
    if (chip === IrqChip.IOAPIC) return takeIoApic(ioApic.save());
    if (chip === IrqChip.PIC_MASTER) return takePic(pic.save().master, ELCR_MASK.master);
    if (chip === IrqChip.PIC_SLAVE) return takePic(pic.save().slave, ELCR_MASK.slave);
    throw new KvmError('EINVAL', `There is no chip ${chip}`);
  }
  setIrqchip(chip: number, state: Uint8Array): void {
    this.requireIrqchip();
    const { pic, ioApic } = this.partition.devices;
    if (chip === IrqChip.IOAPIC) {
      ioApic.restore(ioApicFrom(state, ioApic.save()));
      return;
    }
    if (chip !== IrqChip.PIC_MASTER && chip !== IrqChip.PIC_SLAVE) throw new KvmError('EINVAL', `There is no chip ${chip}`);
    const isSlave = chip === IrqChip.PIC_SLAVE;
    const pair = pic.save();
    pic.restore(withChip(pair, isSlave, picFrom(state, isSlave ? pair.slave : pair.master)));
  }

  irqLine(gsi: number, level: boolean): void {
    this.requireIrqchip();
    this.vm.routing.setLine(gsi, level);
    this.wake();
  }
  setGsiRouting(entries: readonly RoutingEntry[]): void {
    this.requireIrqchip('EINVAL');
    this.vm.routing.set(entries);
  }
  signalMsi(message: MessageSignal): number {
    this.requireIrqchip('EINVAL');
    const reached = this.vm.routing.send(message);
    this.wake();
    return reached;
  }
  /** An interrupt may end a halt. */
  private wake(): void {
    for (const vcpu of this.partition.vcpus) vcpu.parked = false;
  }

  ioeventfd(event: IoEvent): void {
    this.vm.ioEvents.set(event);
  }
  irqfd({ fd, gsi, flags }: IrqFd): void {
    if (flags & ~(IrqFdFlag.DEASSIGN | IrqFdFlag.RESAMPLE)) throw new KvmError('EINVAL', 'An irqfd has unknown flags');
    const known = this.irqFds.get(fd);
    if (flags & IrqFdFlag.DEASSIGN) {
      if (known?.gsi !== gsi) return;
      known.stop();
      this.irqFds.delete(fd);
      return;
    }
    this.requireIrqchip('EINVAL');
    if (flags & IrqFdFlag.RESAMPLE) throw new KvmError('EINVAL', 'Irqfds that are told of the end of an interrupt are not there');
    if (known) throw new KvmError('EBUSY', 'The eventfd has an irqfd');
    const stop = fd.onSignal(() => {
      this.vm.routing.setLine(gsi, true);
      this.vm.routing.setLine(gsi, false);
      this.wake();
    });
    this.irqFds.set(fd, { gsi, stop });
  }

  // --- the rest -------------------------------------------------------------------------------------------------------

  setMsrFilter(filter: MsrFilter): void {
    this.vm.msrs.set(filter);
    this.platform.msrFilterChanged();
  }
  enableCap(cap: number, argument: bigint): void {
    const fail = () => new KvmError('EINVAL', `Capability ${cap} can't be enabled with ${argument}`);
    switch (cap) {
      case Cap.X86_USER_SPACE_MSR: {
        const known = MsrExitReason.INVAL | MsrExitReason.UNKNOWN | MsrExitReason.FILTER;
        if (argument & ~BigInt(known)) throw fail();
        this.vm.msrs.userSpaceReasons = Number(argument);
        return;
      }
      case Cap.MANUAL_DIRTY_LOG_PROTECT2: {
        const known = BigInt(ManualProtect.ENABLE | ManualProtect.INITIALLY_SET);
        if (argument & ~known || argument === BigInt(ManualProtect.INITIALLY_SET)) throw fail();
        this.vm.slots.manualProtect = Number(argument);
        return;
      }
      case Cap.EXIT_HYPERCALL:
        if (argument & ~(1n << BigInt(Hypercall.MAP_GPA_RANGE))) throw fail();
        this.vm.hypercallExits = argument;
        return;
      default:
        throw fail();
    }
  }

  getClock(): ClockData {
    return { clock: this.partition.now() + this.vm.clockOffset, flags: ClockFlag.TSC_STABLE };
  }
  /** The guest's structures follow at once. */
  setClock({ clock, flags }: ClockData): void {
    if (flags & ~(ClockFlag.TSC_STABLE | ClockFlag.REALTIME | ClockFlag.HOST_TSC))
      throw new KvmError('EINVAL', 'A clock has unknown flags');
    this.vm.clockOffset = clock - this.partition.now();
    for (const id of this.vcpus.keys()) {
      const processor = this.partition.processors[id];
      if (processor) updateSystemTime(this.platform, processor);
    }
  }
}
