import type { MessageSignal } from '../../../devices/pci/message.ts';
import type { EventFd } from './event-fd.ts';
import type { KvmVcpu } from './vcpu.ts';

/** struct kvm_userspace_memory_region. */
export interface MemoryRegion {
  readonly slot: number;
  /** `MemoryFlag`. */
  readonly flags: number;
  readonly guestPhysicalAddress: bigint;
  /** Bytes; 0n deletes the slot. */
  readonly memorySize: bigint;
  /** Where its memory is in the VMM's address space. */
  readonly userspaceAddress: bigint;
}

/** struct kvm_irq_routing_entry: where a line or an eventfd leads. */
export type RoutingEntry =
  /** `IrqChip` and a pin of it. */
  { readonly gsi: number; readonly chip: number; readonly pin: number } | { readonly gsi: number; readonly msi: MessageSignal };

/** struct kvm_ioeventfd: writes that end in the kernel. */
export interface IoEvent {
  readonly address: bigint;
  /** Bytes of a write: 1, 2, 4, 8; 0 for any. */
  readonly length: number;
  /** `IoEventFlag`. */
  readonly flags: number;
  readonly dataMatch: bigint;
  readonly fd: EventFd;
}

/** struct kvm_irqfd. */
export interface IrqFd {
  readonly fd: EventFd;
  readonly gsi: number;
  /** `IrqFdFlag`. */
  readonly flags: number;
  /** Signalled at the end of the interrupt, with RESAMPLE. */
  readonly resampleFd?: EventFd;
}

/** struct kvm_msr_filter_range: a bit of the bitmap for each MSR from `base` on, 1 for allowed. */
export interface MsrRange {
  /** `MsrRangeFlag`. */
  readonly flags: number;
  readonly base: number;
  readonly count: number;
  readonly bitmap: Uint8Array;
}

/** struct kvm_msr_filter. */
export interface MsrFilter {
  /** `MsrFilterFlag`. */
  readonly flags: number;
  readonly ranges: readonly MsrRange[];
}

/** struct kvm_clock_data. */
export interface ClockData {
  /** Nanoseconds of kvmclock. */
  readonly clock: bigint;
  /** `ClockFlag`. */
  readonly flags: number;
}

/** Memory of the VMM's process that guests can be given. */
export interface UserMemory {
  /** mmap(2) of anonymous memory: where it is. ENOMEM when there is no more. */
  map(size: bigint): bigint;
  /** EFAULT for what isn't mapped. */
  read(address: bigint, length: number): Uint8Array;
  write(address: bigint, bytes: Uint8Array): void;
}

/** A virtual machine's file descriptor. Failures are thrown as KvmError. */
export interface KvmVm {
  readonly memory: UserMemory;

  checkExtension(cap: number): number;
  /** EEXIST for an id that is taken, EINVAL for one that is too large. */
  createVcpu(id: number): KvmVcpu;

  /**
   * Makes, moves, changes or deletes a slot. EINVAL for what isn't made of whole pages, for a change of size, of memory or of
   * read-only; EEXIST where another slot is.
   */
  setUserMemoryRegion(region: MemoryRegion): void;
  /** A bit for each page of the slot that was written since the last call. ENOENT for a slot that isn't logged, EINVAL for no slot number. */
  getDirtyLog(slot: number): Uint8Array;
  /** With manual protection: the pages count as not written. Bit i of the bitmap is page `firstPage` + i. */
  clearDirtyLog(slot: number, firstPage: bigint, count: number, bitmap: Uint8Array): void;

  /** PICs, I/O APIC and local APICs in the kernel: EEXIST if they are, EINVAL once there is a vCPU. */
  createIrqchip(): void;
  /** The PIT in the kernel. ENOENT without interrupt chip, EEXIST if it is there. */
  createPit2(): void;
  /** `IrqChip`; the 512 bytes of struct kvm_irqchip. ENXIO without interrupt chip. */
  getIrqchip(chip: number): Uint8Array;
  setIrqchip(chip: number, state: Uint8Array): void;
  /** Level of an interrupt line. ENXIO without interrupt chip. */
  irqLine(gsi: number, level: boolean): void;
  /** EINVAL for a bad entry; the table stays as it was. */
  setGsiRouting(entries: readonly RoutingEntry[]): void;
  /** Gives the number of vCPUs that it reached. */
  signalMsi(msi: MessageSignal): number;
  /** EEXIST for the same place twice, ENOENT for one that isn't there to be taken away, EINVAL for a bad length or flag. */
  ioeventfd(event: IoEvent): void;
  /** EBUSY for an eventfd that has one, EINVAL for a bad line. */
  irqfd(irq: IrqFd): void;

  /** EINVAL for bad flags, no bitmap or more than 16 ranges. */
  setMsrFilter(filter: MsrFilter): void;
  /** EINVAL for a capability that can't be enabled. */
  enableCap(cap: number, argument: bigint): void;
  getClock(): ClockData;
  setClock(clock: ClockData): void;
}
