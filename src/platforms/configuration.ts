import { MOST_LUNS } from '../devices/scsi/controller.ts';
import type { AssignableName } from '../devices/virtio/assignable.ts';
import { LONGEST_SERIAL, MOST_QUEUES } from '../devices/virtio/block/device.ts';
import { SECTOR } from '../devices/virtio/block/registers.ts';
import type { VirtioConfiguration, VirtioDisk } from '../devices/virtio/machine-devices.ts';
import { MOST_DISKS } from '../devices/virtio/slots.ts';
import { changeIntercepts, InterceptChangeError } from '../hypervisor/intercepts/changes.ts';
import { interceptSettings } from '../hypervisor/intercepts/settings.ts';
import {
  type PartitionGrant,
  type PartitionLimits,
  type PrivilegeName,
  problemOfGrant,
  USUAL_PRIVILEGES,
} from '../hypervisor/privileges/privileges.ts';
import { VCPU_SIZE } from '../processor/state/layout.ts';
import type { Program } from '../programs/program.ts';
import type { PartitionNetworkPlan } from './network.ts';
import { whyNoVirtio } from './virtio-problems.ts';
import { type VsockPlan, whyNoPorts } from './vsock.ts';

/** Names of the platforms of the command line's contract, also of those that come with later versions. */
export const PLATFORM_NAMES = ['bare', 'kvm', 'hyperv', 'xen-pv', 'xen-pvh', 'xen-hvm', 'nitro'] as const;
export type PlatformName = (typeof PLATFORM_NAMES)[number];

/** Names of machines: `microvm` has its virtio devices at places in memory, `pc` on a PCI bus. */
export const MACHINE_NAMES = ['microvm', 'pc'] as const;
export type MachineName = (typeof MACHINE_NAMES)[number];

/** A disk, by what the user calls its image. */
export interface PartitionDisk extends VirtioDisk {
  readonly path: string;
  /** What the guest writes goes into the image when the run is over. */
  readonly writesBack?: boolean;
}

/** What a partition is to be: plain data, from a command line or a launch configuration. */
export interface PartitionConfiguration {
  readonly platform: PlatformName;
  readonly vendor: 'intel' | 'amd';
  /** Model and features of the processor (models/parse-cpu.ts), one of the vendor's; its usual one when missing. */
  readonly cpu?: string;
  /** Bytes of RAM: whole MiB, 1 MiB to 3.5 GiB. What is usual for the program when missing. */
  readonly memory?: number;
  /** 1 to 64: each takes 16 MiB of the 4 GiB that a partition's memory can have. */
  readonly vcpus: number;
  /** Bytes of WebAssembly that each vCPU keeps of translated code: 0 to have it all interpreted. */
  readonly translator?: number;
  readonly commandLine?: string;
  readonly initrd?: Uint8Array;
  /** Which devices the machine has. Without a name: a microvm that has only what its program looks for. */
  readonly machine?: MachineName;
  /** Disks, which the guest reaches by virtio, or on Hyper-V by SCSI. What it writes stays in the partition, unless it is to be written back. */
  readonly disks?: readonly PartitionDisk[];
  /** Virtio devices and ports that a machine has only for who asks. */
  readonly virtio?: Omit<VirtioConfiguration, 'disks'>;
  /** What the guest's sockets (virtio.vsock) lead to; only the echo of port 7 when missing. */
  readonly vsockPorts?: VsockPlan;
  /** What the real-time clock shows at switch-on, in seconds since 1970. The same start gives the same run. */
  readonly startSeconds?: bigint;
  /** Records that the exit journal keeps in memory: 0 (exits are only counted) to 1,000,000, 4096 when missing. */
  readonly exitsKept?: number;
  /** On platform kvm: doorbells of virtio end in the kernel, as ioeventfds, instead of being exits to the VMM. */
  readonly ioeventfd?: boolean;
  /** The machine has QEMU's pc-testdev: interrupt lines and memory behind ports and MMIO for guests that test the machine. */
  readonly testDevice?: boolean;
  /** What it may ask of the hypervisor (docs/partitions.md); the usual when missing. */
  readonly privileges?: readonly PrivilegeName[];
  readonly limits?: PartitionLimits;
  /** What its network card is plugged into; no card when missing. */
  readonly network?: PartitionNetworkPlan;
  /** On platform hyperv: the machine has a screen. */
  readonly screen?: boolean;
  /** On platform hyperv: functions of the host's that the guest has by itself, each on a virtual PCI bus of its own. */
  readonly assign?: readonly AssignableName[];
  /** What leaves its guests besides what the platform asks for (hypervisor/intercepts/changes.ts). */
  readonly intercepts?: readonly string[];
}

const MIB = 1024 * 1024;

export const DEFAULT_MEMORY = 64 * MIB;
/** Of a Linux kernel, or another program that has no room in the usual memory. */
const DEFAULT_MEMORY_OF_KERNELS = 256 * MIB;
export const SMALLEST_MEMORY = MIB;
/** A partition's RAM and vCPU blocks share one WebAssembly memory of less than 4 GiB; there is a little else in it. */
const ADDRESSABLE = 4095 * MIB;
export const LARGEST_MEMORY = 3584 * MIB;
export const LARGEST_VCPUS = 64;
export const MOST_ASSIGNED = 8;
export const MOST_EXITS_KEPT = 1_000_000;
/** 2026-01-01 00:00:00 UTC. A fixed date, so that two runs are alike. */
export const DEFAULT_START_SECONDS = 1_767_225_600n;

/** A configuration that no partition can be made from. The message is one sentence that says how to mend it. */
export class ConfigurationError extends Error {}

/** What a configuration lets the partition do. */
export function grantOf({ privileges, limits = {} }: PartitionConfiguration): PartitionGrant {
  return { privileges: privileges === undefined ? USUAL_PRIVILEGES : new Set(privileges), limits };
}

function checkIntercepts(intercepts: readonly string[], vendor: 'intel' | 'amd'): void {
  try {
    changeIntercepts(interceptSettings(), intercepts, vendor);
  } catch (error) {
    throw error instanceof InterceptChangeError ? new ConfigurationError(error.message) : error;
  }
}

/** Bytes of RAM for a program, where none are configured. */
export function usualMemory({ protocol, segments }: Program): number {
  const isLarge = segments.some(({ gpa, size }) => gpa + BigInt(size) > BigInt(DEFAULT_MEMORY / 2));
  return protocol === 'linux' || isLarge ? DEFAULT_MEMORY_OF_KERNELS : DEFAULT_MEMORY;
}

/** Throws ConfigurationError for what is out of range. */
export function checkConfiguration(configuration: PartitionConfiguration): void {
  const { memory = DEFAULT_MEMORY, vcpus, exitsKept = 0, intercepts = [], platform, vendor } = configuration;
  if (!Number.isInteger(memory) || memory % MIB !== 0)
    throw new ConfigurationError(`A memory size must be whole MiB; ${memory} bytes is not. Use a size such as 64M.`);
  if (memory < SMALLEST_MEMORY || memory > LARGEST_MEMORY)
    throw new ConfigurationError(`A partition can have 1M to 3584M of memory; ${memory / MIB}M was asked for.`);
  const problem = problemOfGrant(grantOf(configuration));
  if (problem !== undefined) throw new ConfigurationError(problem);
  if (!Number.isInteger(exitsKept) || exitsKept < 0 || exitsKept > MOST_EXITS_KEPT)
    throw new ConfigurationError(`The exit journal can keep 0 to ${MOST_EXITS_KEPT} records; ${exitsKept} were asked for.`);
  if (!Number.isInteger(vcpus) || vcpus < 1 || vcpus > LARGEST_VCPUS)
    throw new ConfigurationError(`A partition can have 1 to ${LARGEST_VCPUS} vCPUs; ${vcpus} were asked for.`);
  if (intercepts.length > 0 && platform === 'bare')
    throw new ConfigurationError('A bare machine has no hypervisor that could intercept anything; choose another platform.');
  checkIntercepts(intercepts, vendor);
  if (configuration.screen && platform !== 'hyperv')
    throw new ConfigurationError(
      `A screen is one of Hyper-V's, which platform ${platform} has not; use platform hyperv, or leave it out.`,
    );
  checkAssigned(configuration);
  if (configuration.ioeventfd && platform !== 'kvm')
    throw new ConfigurationError(
      `Doorbells of virtio end in KVM's kernel part, which platform ${platform} has not; use platform kvm, or leave ioeventfd out.`,
    );
  checkDisks(configuration);
  checkVirtio(configuration);
  checkRoot(configuration);
  const room = ADDRESSABLE - vcpus * VCPU_SIZE;
  if (memory > room)
    throw new ConfigurationError(
      `A partition with ${vcpus} vCPUs can have ${room / MIB}M of memory; ${memory / MIB}M was asked for. Use less of either.`,
    );
}

function checkAssigned({ assign = [], platform }: PartitionConfiguration): void {
  if (assign.length > 0 && platform !== 'hyperv')
    throw new ConfigurationError(
      `Devices are assigned to guests of Hyper-V, and platform ${platform} has no virtual PCI bus for them; use platform hyperv, or leave them out.`,
    );
  if (assign.length > MOST_ASSIGNED)
    throw new ConfigurationError(
      `A partition can have ${MOST_ASSIGNED} assigned devices, each on a bus of its own; ${assign.length} were asked for.`,
    );
}

function checkDisks({ disks = [], platform, machine }: PartitionConfiguration): void {
  if (disks.length > 0 && platform === 'bare')
    throw new ConfigurationError(
      'Disks are devices of a hypervisor, which platform bare has not; use platform kvm or hyperv, or leave them out.',
    );
  if (platform === 'hyperv') checkLuns(disks);
  else if (disks.length > MOST_DISKS && machine !== 'pc')
    throw new ConfigurationError(`A partition can have ${MOST_DISKS} disks; ${disks.length} were asked for.`);
  for (const disk of disks) checkDisk(disk);
  const problem = whyNoWriteBack(disks);
  if (problem !== undefined) throw new ConfigurationError(problem);
}

/** The root of Hyper-V is the one that serves others: it is offered no devices itself. */
function checkRoot(configuration: PartitionConfiguration): void {
  const { platform, disks = [], network, screen, assign = [] } = configuration;
  if (platform !== 'hyperv' || !grantOf(configuration).privileges.has('create-partitions')) return;
  if (disks.length > 0 || network || screen || assign.length > 0)
    throw new ConfigurationError(
      'A partition of hyperv that may make others has its devices from nobody; leave disks, network, screen and assigned devices out, or the privilege create-partitions.',
    );
}

/** On Hyper-V disks are the logical units of one SCSI controller. */
function checkLuns(disks: readonly PartitionDisk[]): void {
  if (disks.length > MOST_LUNS)
    throw new ConfigurationError(
      `A partition on hyperv can have ${MOST_LUNS} disks, which are the logical units of its SCSI controller; ${disks.length} were asked for.`,
    );
  const queued = disks.find(({ queues }) => queues !== undefined);
  if (queued)
    throw new ConfigurationError(
      `Queues are those of a virtio disk, but on hyperv disk ${queued.path} is a SCSI one, whose channels the guest asks for; leave "queues" out.`,
    );
}

function checkVirtio(configuration: PartitionConfiguration): void {
  const { platform, virtio = {}, disks = [], network, vsockPorts, machine = 'microvm' } = configuration;
  // On Hyper-V disks and network cards are no virtio devices; what a bare machine can't have of them is said by itself.
  const isVirtio = platform === 'kvm';
  const wanted = { ...virtio, disks: isVirtio ? disks : [], network: isVirtio && network !== undefined };
  const problem = whyNoVirtio(wanted, platform, machine) ?? (vsockPorts && whyNoPorts(vsockPorts, virtio.vsock));
  if (problem !== undefined) throw new ConfigurationError(problem);
}

/** Why images can't be written back: two disks that have the same one would each undo what the other wrote. */
export function whyNoWriteBack(disks: readonly PartitionDisk[]): string | undefined {
  const twice = disks.find(({ path, writesBack }, index) =>
    disks.some((other, place) => place !== index && other.path === path && (writesBack || other.writesBack)),
  );
  return (
    twice && `The disk image ${twice.path} is written back, so that no other disk can have it; give each an image of its own.`
  );
}

function checkDisk({ path, image, serial = '', queues = 1 }: PartitionDisk): void {
  if (image.size === 0 || image.size % SECTOR !== 0)
    throw new ConfigurationError(
      `The disk image ${path} has ${image.size} bytes, which is no whole number of sectors of ${SECTOR} bytes; lengthen it with \`truncate --size=%${SECTOR}\`.`,
    );
  if (!/^[\x20-\x7e]*$/.test(serial) || serial.length > LONGEST_SERIAL)
    throw new ConfigurationError(
      `The serial number "${serial}" of disk ${path} can't be: it takes up to ${LONGEST_SERIAL} characters of ASCII.`,
    );
  if (!Number.isInteger(queues) || queues < 1 || queues > MOST_QUEUES)
    throw new ConfigurationError(`A disk can have 1 to ${MOST_QUEUES} queues; ${queues} were asked for ${path}.`);
}
