import type { LocalApic } from '../../devices/local-apic/device.ts';
import type { ExitContext } from '../../hypervisor/exits/exit-context.ts';
import type { Machine } from '../../hypervisor/partition/platform.ts';
import type { HandlerFrame } from '../../stages/stage.ts';
import type { PageRange } from '../zeroed-memory.ts';
import type { DeviceInterrupts } from './interrupts/device-interrupts.ts';
import type { DebuggerLine } from './msrs/synthetic-debugger.ts';
import type { SyntheticMsrs } from './msrs/synthetic-msrs.ts';
import type { Overlays } from './overlay/overlays.ts';
import type { ChildPartition } from './partitions/child-partition.ts';
import type { ChildPartitions } from './partitions/children.ts';
import type { VpSuspension } from './partitions/suspension.ts';
import type { Connections } from './synic/connections.ts';
import type { Doorbells } from './synic/doorbells.ts';
import type { Ports } from './synic/ports.ts';
import type { Synic } from './synic/synic.ts';

/** The guest that has made a partition, and what it knows of it. */
export interface GuestParent {
  readonly hyperv: Hyperv;
  readonly child: ChildPartition;
}

/** Hyper-V of one partition, as its exit handlers and hypercalls see it. */
export interface Hyperv {
  readonly vendor: 'intel' | 'amd';
  /** The processor takes interrupts from the local APIC by itself. */
  readonly hasApicv: boolean;
  readonly machine: Machine;
  /** Number of the partition among those of the hypervisor. The root has 1. */
  readonly partitionId: bigint;
  /** Which privileges the partition has: bits of abi/privileges.ts. */
  readonly privileges: bigint;
  /** What the wall clock shows at switch-on, in seconds since 1970. */
  readonly startSeconds: bigint;
  /** Pages in which nothing was when the guest started. */
  readonly zeroedAtStart: () => readonly PageRange[];
  readonly msrs: SyntheticMsrs;
  /** Pages of the hypervisor's own that the guest sees among its memory. */
  readonly overlays: Overlays;
  /** Where the guest's packets for a debugger go. */
  readonly debugger: DebuggerLine;
  readonly synic: Synic;
  readonly connections: Connections;
  /** Writes of the partition that tell its parent of a port. */
  readonly doorbells: Doorbells;
  /** Interrupts of devices that are assigned to the partition. */
  readonly deviceInterrupts: DeviceInterrupts;
  /** Where others post messages and signal events to the partition. */
  readonly ports: Ports;
  /** Who the guest says that it is (abi/guest-os-id.ts); 0 until it does. */
  readonly guestOsId: bigint;
  /** The hypercall page is enabled: the partition may make hypercalls. */
  readonly hypercallsEnabled: boolean;
  /** CPUID says that the TSC is invariant. */
  readonly showsInvariantTsc: boolean;
  /** Whom its intercepts go to, where a guest has made it; undefined where the parent is not one of the guests. */
  readonly parent: GuestParent | undefined;
  /** The partitions that the guest has made. */
  readonly children: ChildPartitions;
  /** Which of its virtual processors don't run, and why. */
  readonly suspension: VpSuspension;
  /** vCPUs whose registers hypercalls have written: whether they go together is looked at before they run. */
  readonly writtenVps: Set<number>;
  apic(index: number): LocalApic;
  /** Partition reference time: 100 ns since the partition was made. */
  referenceTime(): bigint;
  /** Its parent has installed other intercepts. */
  interceptsChanged(): void;
  /** The guest has written a TSC. */
  tscMoved(): void;
  /** The exit that a vCPU left for last, until its next entry. */
  served(index: number): ExitContext | undefined;
}

/** Whether a partition has a privilege: a bit number of abi/privileges.ts. */
export function hasPrivilege({ privileges }: Pick<Hyperv, 'privileges'>, bit: number): boolean {
  return ((privileges >> BigInt(bit)) & 1n) !== 0n;
}

/** Ticks of guest time (1 ns) in a unit of reference time. */
export const TICKS_PER_UNIT = 100n;

/** A function of the hypervisor: its image is hvix64 on Intel's processors, hvax64 on AMD's. */
export function hypervisorFrame({ vendor }: Pick<Hyperv, 'vendor'>, name: string): HandlerFrame {
  return { name, component: vendor === 'intel' ? 'hvix64' : 'hvax64', servedBy: 'hypervisor' };
}

/** Code of the parent partition: its worker process for a virtual machine, or a driver of its virtualization stack. */
export function parentFrame(
  component: 'vmwp.exe' | 'vid.sys' | 'vmbusr.sys' | 'vmswitch.sys' | 'storvsp.sys' | 'vpcivsp.sys',
  name: string,
): HandlerFrame {
  return { name, component, servedBy: 'parent' };
}
