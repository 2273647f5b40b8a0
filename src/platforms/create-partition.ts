import { asksForMore } from '../devices/virtio/machine-devices.ts';
import { Host } from '../hypervisor/host/host.ts';
import { HostRefusal } from '../hypervisor/host/host-memory.ts';
import { GuestPartition } from '../hypervisor/partition/guest-partition.ts';
import type { Machine, Platform } from '../hypervisor/partition/platform.ts';
import { createProcessor } from '../processor/cpu.ts';
import type { PartitionMemory, RamRegion } from '../processor/memory/partition-memory.ts';
import type { CpuModel } from '../processor/models/cpu-model.ts';
import { cpuModel } from '../processor/models/cpu-models.ts';
import { CpuError, parseCpu } from '../processor/models/parse-cpu.ts';
import type { TranslatorOptions } from '../processor/translator/translator.ts';
import { bootImage } from '../programs/boot/boot-image.ts';
import type { BootImage } from '../programs/boot-image.ts';
import type { Program } from '../programs/program.ts';
import { hex } from '../x86/address.ts';
import { acpiTables, ROOT } from './acpi/acpi.ts';
import { applyEntry, waitForStartUp } from './apply-entry.ts';
import { BarePlatform } from './bare/bare-platform.ts';
import {
  ConfigurationError,
  checkConfiguration,
  DEFAULT_START_SECONDS,
  grantOf,
  type PartitionConfiguration,
  type PlatformName,
  usualMemory,
} from './configuration.ts';
import { connectPciInterrupts, initializeLikeBios } from './firmware.ts';
import { HypervPlatform } from './hyperv/hyperv-platform.ts';
import { checkRoot, hypervOptions } from './hyperv/options.ts';
import { itemsOfFirmware } from './items-of-firmware.ts';
import { KvmPlatform } from './kvm/kvm-platform.ts';
import { memoryMap } from './memory-map.ts';
import { checkNetwork, networkOf } from './network.ts';
import type { PartitionPlace } from './partition-place.ts';
import { unhandledException } from './unhandled-exception.ts';
import { vsockHostOf } from './vsock.ts';
import { zeroedPages } from './zeroed-memory.ts';

type PlatformMaker = (machine: Machine, configuration: PartitionConfiguration, place: PartitionPlace) => Platform;

/** The platforms that are built. */
const PLATFORMS: Readonly<Partial<Record<PlatformName, PlatformMaker>>> = {
  bare: (machine) => new BarePlatform(machine),
  kvm: (machine, { vendor, startSeconds, intercepts, ioeventfd }) =>
    new KvmPlatform(machine, vendor, startSeconds ?? DEFAULT_START_SECONDS, intercepts, { ioeventfd }),
  hyperv: (machine, configuration, place) =>
    new HypervPlatform(machine, configuration.vendor, hypervOptions(configuration, place)),
};

/**
 * Makes a partition of a host (of its own, if none is given) with a program in its memory and its boot vCPU at the program's entry.
 * `parent`: the partition that asks for it, if one does. Throws ConfigurationError or ProgramError, each with one sentence.
 */
export function createPartition(
  configuration: PartitionConfiguration,
  program: Program,
  host = new Host(),
  parent?: GuestPartition,
): GuestPartition {
  checkConfiguration(configuration);
  if (configuration.network) checkNetwork(configuration.network, configuration.platform);
  if (configuration.platform === 'hyperv') checkRoot(configuration, host);
  if (parent && !parent.door.ask('create-partitions', () => `to have a partition made of ${program.path}`))
    throw new ConfigurationError(`Partition ${parent.id} may not make partitions; give it the privilege create-partitions.`);
  const {
    platform,
    vendor,
    memory: bytes = usualMemory(program),
    vcpus,
    commandLine,
    initrd,
    startSeconds,
    network,
    vsockPorts,
  } = configuration;
  const makePlatform = PLATFORMS[platform];
  if (makePlatform === undefined) {
    const built = Object.keys(PLATFORMS);
    const choice = `${built.slice(0, -1).join(', ')} or ${built.at(-1)}`;
    throw new ConfigurationError(`Platform ${platform} comes with a later version; choose ${choice}.`);
  }
  const map = memoryMap(bytes);
  const model = configuration.cpu === undefined ? cpuModel(vendor) : processorOf(configuration.cpu, vendor);
  const translator = translatorOptions(configuration);
  const hasTables = hasFirmwareTables(configuration, program);
  const { lowTop: ramTop, highMemory } = map;
  const image = bootImage(program, { ramTop, highMemory, commandLine, initrd, rootPointer: hasTables ? ROOT : undefined });
  checkFits(image, map.ram, bytes);
  const memory = memoryOf(host, map.ram, vcpus);
  const processors = Array.from({ length: vcpus }, (_, index) => createProcessor({ index, memory, model, translator }));
  const id = host.nextId();
  const wiring = network && networkOf(network, host, id, () => partition);
  let written: readonly { readonly gpa: bigint; readonly size: number }[] = [];
  const zeroedAtStart = () => zeroedPages(map.ram, written);
  const partition: GuestPartition = new GuestPartition({
    id,
    name: program.path,
    vendor,
    memory,
    processors,
    lowMemory: map.lowTop,
    highMemory: map.highMemory,
    startSeconds: startSeconds ?? DEFAULT_START_SECONDS,
    platform: (machine) => makePlatform(machine, configuration, { id, host, mac: wiring?.mac, zeroedAtStart }),
    explainHalt: (stopped) => unhandledException(stopped, platform),
    exitsKept: configuration.exitsKept,
    exitOrder: host.exitOrder,
    testDevice: configuration.testDevice,
    virtio:
      hasTables && platform === 'kvm'
        ? {
            ...configuration.virtio,
            vsockHost: vsockPorts && vsockHostOf(vsockPorts, () => partition),
            disks: configuration.disks ?? [],
          }
        : undefined,
    scsi: platform === 'hyperv' && configuration.disks?.length ? configuration.disks : undefined,
    assigned: configuration.assign,
    hasPci: configuration.machine === 'pc',
    hasVideoFunction: configuration.screen,
    firmware: configuration.machine === 'pc' ? itemsOfFirmware(configuration, program, image, map) : undefined,
    network: wiring,
    grant: grantOf(configuration),
    onRefusal: (vcpu, refusal) => host.noteRefusal(id, vcpu, refusal),
    load: (devices) => {
      if (program.mode === 16) initializeLikeBios(devices);
      if (devices.pciBus) connectPciInterrupts(devices);
      // A program is written over tables in its place.
      const { usedSlots: virtioDevices, pciBus } = devices;
      const tables = hasTables ? acpiTables({ vcpus, virtioDevices, pciBus, hasVmbus: platform === 'hyperv' }) : [];
      for (const segment of [...tables, ...image.segments]) memory.write(segment.gpa, segment.bytes);
      written = [...tables.map(({ gpa, bytes: { length } }) => ({ gpa, size: length })), ...image.segments];
      processors.forEach((processor, index) => {
        if (index === 0) applyEntry(processor, image.entry);
        else waitForStartUp(processor);
      });
    },
  });
  host.add(partition);
  return partition;
}

/** Programs that look for ACPI tables find them: Linux, others that boot by PVH, and whoever was given a device that only they tell of. */
function hasFirmwareTables(
  { disks = [], machine, virtio = {}, network, assign = [] }: PartitionConfiguration,
  { protocol }: Program,
): boolean {
  const hasDevices = disks.length > 0 || network !== undefined || assign.length > 0 || asksForMore(virtio);
  return protocol === 'linux' || protocol === 'pvh' || machine !== undefined || hasDevices;
}

/** Throws ConfigurationError where the host has no room. */
function memoryOf(host: Host, ram: readonly RamRegion[], vcpus: number): PartitionMemory {
  try {
    return host.takeMemory(ram, vcpus);
  } catch (error) {
    if (error instanceof HostRefusal) throw new ConfigurationError(error.message);
    throw error;
  }
}

function processorOf(cpu: string, vendor: PartitionConfiguration['vendor']): CpuModel {
  try {
    return parseCpu(cpu, vendor);
  } catch (error) {
    if (error instanceof CpuError) throw new ConfigurationError(error.message);
    throw error;
  }
}

/** Whose processor a description of one means: that of its model, where it names one of a single vendor's. */
export function vendorOf(cpu: string | undefined): PartitionConfiguration['vendor'] | undefined {
  try {
    return cpu === undefined || /^\s*(max\b|[+-]|$)/i.test(cpu) ? undefined : parseCpu(cpu).vendor;
  } catch {
    // What is wrong is said when the processor is made.
    return undefined;
  }
}

function translatorOptions({ translator }: PartitionConfiguration): Partial<TranslatorOptions> {
  if (translator === undefined) return {};
  return translator === 0 ? { threshold: 0 } : { capacity: translator };
}

/** Throws when a part of the program would lie where no RAM is. */
function checkFits(image: BootImage, ram: readonly RamRegion[], bytes: number): void {
  for (const { gpa, size } of image.segments) {
    if (size === 0) continue;
    if (ram.some((region) => gpa >= region.gpa && gpa + BigInt(size) <= region.gpa + BigInt(region.length))) continue;
    const end = gpa + BigInt(size) - 1n;
    throw new ConfigurationError(
      `The program wants memory from ${hex(gpa)} to ${hex(end)}, where this partition of ${bytes / 2 ** 20}M has none; give it more memory, or link the program elsewhere.`,
    );
  }
}
