import type { Machine } from '../../../hypervisor/partition/platform.ts';
import type { Vsp } from '../vmbus/vsp.ts';
import { NetworkVsp } from './network/network-vsp.ts';
import { StorageVsp } from './storage.ts';

/** Channels that a device has at most, however many vCPUs there are. */
const MOST_CHANNELS = 8;

/** The services of the devices that a machine has: its disks, its network card. `mac`: the card's address. */
export function machineServices({ devices, processors }: Machine, mac: number | undefined): readonly Vsp[] {
  const { scsi, network } = devices;
  const channels = Math.min(processors.length, MOST_CHANNELS);
  return [
    ...(scsi ? [new StorageVsp(scsi, { maxSubchannels: channels - 1 })] : []),
    ...(network && mac !== undefined ? [new NetworkVsp({ port: network, mac, queues: channels })] : []),
  ];
}
