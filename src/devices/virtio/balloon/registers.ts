/** The memory balloon device (virtio 1.2, 5.5). */
export const BalloonFeature = {
  MUST_TELL_HOST: 0,
  STATS_VQ: 1,
  DEFLATE_ON_OOM: 2,
  FREE_PAGE_HINT: 3,
  PAGE_POISON: 4,
  PAGE_REPORTING: 5,
} as const;

/** Pages are named in units of this, whatever the guest's own pages are. */
export const PAGE = 4096;
export const PAGE_SHIFT = 12n;

/** The configuration: four numbers of 32 bits. */
export const CONFIGURATION_SIZE = 16;
export const Place = { TARGET: 0, ACTUAL: 4, HINT_COMMAND: 8, POISON: 12 } as const;

/** Numbers that stand for no command of free page hints (5.5.6.5). Others are commands. */
export const HintCommand = { STOP: 0, DONE: 1, FIRST: 2 } as const;

/** A statistic: its tag in 16 bits, its value in 64. */
export const STATISTIC_SIZE = 10;
/** Names of the tags, from 0 on (5.5.6.3), and what their values count. */
export const STATISTICS: readonly (readonly [name: string, unit: 'bytes' | 'times'])[] = [
  ['swapped in', 'bytes'],
  ['swapped out', 'bytes'],
  ['major faults', 'times'],
  ['minor faults', 'times'],
  ['free', 'bytes'],
  ['total', 'bytes'],
  ['available', 'bytes'],
  ['disk caches', 'bytes'],
  ['huge pages allocated', 'times'],
  ['huge pages failed', 'times'],
];
