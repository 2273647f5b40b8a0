import type { Machine } from '../../../hypervisor/partition/platform.ts';
import { DeviceMemory } from '../../../hypervisor/second-level/device-memory.ts';
import type { DeviceInterrupts } from '../interrupts/device-interrupts.ts';
import type { Vsp } from '../vmbus/vsp.ts';
import { NetworkVsp } from './network/network-vsp.ts';
import { StorageVsp } from './storage.ts';
import { VideoVsp } from './video/video-vsp.ts';
import { VpciVsp } from './vpci/vpci-vsp.ts';

/** Channels that a device has at most, however many vCPUs there are. */
const MOST_CHANNELS = 8;

/** What is configured of the devices besides what the machine has. */
export interface ServiceWishes {
  /** Address of the network card. */
  readonly mac: number | undefined;
  /** There is a screen. */
  readonly screen?: boolean;
}

/** The services of the devices that a machine has: its disks, its network card, its screen, functions that are assigned to it. */
export function machineServices(
  machine: Machine,
  interrupts: DeviceInterrupts,
  { mac, screen = false }: ServiceWishes,
): readonly Vsp[] {
  const { devices, processors, secondLevel, clock } = machine;
  const { mmio, assigned: functions } = devices;
  const { scsi, network } = devices;
  const channels = Math.min(processors.length, MOST_CHANNELS);
  return [
    ...(scsi ? [new StorageVsp(scsi, { maxSubchannels: channels - 1 })] : []),
    ...(network && mac !== undefined ? [new NetworkVsp({ port: network, mac, queues: channels })] : []),
    ...functions.map((assigned, index) => new VpciVsp({ assigned, index, interrupts, mmio, clock, vcpus: processors.length })),
    ...(screen ? [new VideoVsp({ memory: new DeviceMemory(secondLevel) })] : []),
  ];
}
