import type { VirtualCpu } from '../../hypervisor/partition/partition.ts';
import type { PassedStop } from '../../processor/processor.ts';

/** Where vCPUs stood when they stopped: what stops there has been seen, and the vCPU may pass it. */
export class SeenPlaces {
  private readonly places = new Map<number, { readonly rip: bigint; readonly icount: bigint; readonly upTo: PassedStop }>();

  /** A vCPU stops, and shows this of the instruction at RIP. */
  note({ index, processor }: VirtualCpu, upTo: PassedStop): void {
    this.places.set(index, { rip: processor.linearRip, icount: processor.icount, upTo });
  }

  /** What has been seen of the instruction that a vCPU is at; undefined where it has not stopped there. */
  at({ index, processor }: VirtualCpu): PassedStop | undefined {
    const place = this.places.get(index);
    return place?.rip === processor.linearRip && place.icount === processor.icount ? place.upTo : undefined;
  }

  clear(): void {
    this.places.clear();
  }
}
