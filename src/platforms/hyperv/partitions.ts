import type { Hyperv } from './hyperv.ts';

/** The partitions that one may name in a hypercall besides itself: those that it has created. */
export interface ChildPartitions {
  find(id: bigint): Hyperv | undefined;
}

/** Of a partition that creates none. */
export const NO_CHILDREN: ChildPartitions = { find: () => undefined };
