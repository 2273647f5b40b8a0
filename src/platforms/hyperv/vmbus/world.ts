import type { Clock } from '../../../devices/device.ts';
import type { DmaMemory } from '../../../devices/dma.ts';
import type { Connections } from '../synic/connections.ts';
import type { Synic } from '../synic/synic.ts';

/** What the VMBus of a partition needs of the machine around it. */
export interface VmbusWorld {
  /** The guest's memory. */
  readonly dma: DmaMemory;
  readonly clock: Clock;
  readonly synic: Pick<Synic, 'post' | 'signal'>;
  readonly connections: Connections;
  /** vCPUs of the partition. */
  readonly vcpus: number;
}
