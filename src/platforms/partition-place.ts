import type { Host } from '../hypervisor/host/host.ts';
import type { PageRange } from './zeroed-memory.ts';

/** What a platform is told of its partition besides the configuration. */
export interface PartitionPlace {
  readonly id: number;
  readonly host: Host;
  /** Address of its network card, where it has one. */
  readonly mac: number | undefined;
  /** Pages in which nothing was when the guest started last. */
  readonly zeroedAtStart: () => readonly PageRange[];
}
