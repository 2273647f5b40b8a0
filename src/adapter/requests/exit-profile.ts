import type { GuestGroup } from '../../debugger/guest-group.ts';
import type { ExitProfileData } from '../../hypervisor/journal/exit-profile.ts';
import type { RequestHandler } from './handler.ts';

/** The exits of one partition of the session, over its run. */
export interface PartitionProfile extends ExitProfileData {
  /** Number and name of the partition. */
  readonly id: number;
  readonly name: string;
  readonly platform: string;
}

export interface ExitProfileAnswer {
  readonly partitions: readonly PartitionProfile[];
}

/** The profiles of all partitions, as they are at this moment. */
export function profilesOf({ guests }: GuestGroup): ExitProfileAnswer {
  return {
    partitions: guests.map(({ partition, configuration }) => ({
      id: partition.id,
      name: configuration.name,
      platform: partition.platform,
      ...partition.journal.profile.data(),
    })),
  };
}

/**
 * `hyperscope/exitProfile` (an addition to the protocol): how often each exit reason was over the run of each partition. It works also
 * while the guests run; the event of the same name has the last word on a run that is over.
 */
const exitProfile: RequestHandler = (adapter) => ({ body: profilesOf(adapter.launched) });

export const profileRequests: Readonly<Record<string, RequestHandler>> = { 'hyperscope/exitProfile': exitProfile };
