import type { VirtioBalloonWorld } from '../../devices/virtio/balloon/device.ts';
import { GPA_BITS } from './host-place.ts';
import type { SecondLevelMap } from './second-level-map.ts';

const LIMIT = 1n << GPA_BITS;

/** The memory of a partition as a balloon takes pages away from it. Page numbers are the guest's word: what can't be is passed over. */
export function balloonOf(map: SecondLevelMap): VirtioBalloonWorld {
  return {
    take: (gpa, size, state) => {
      if (gpa + size <= LIMIT) map.balloon(gpa, size, state);
    },
    give: (gpa, size) => {
      if (gpa + size <= LIMIT) map.deflate(gpa, size);
    },
  };
}
