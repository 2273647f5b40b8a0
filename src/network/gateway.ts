import type { MovableOutside } from './outside.ts';
import type { UserNetworkOptions } from './user/options.ts';
import type { UserNetworkState } from './user/user-network.ts';

/** A user network on its way from the partition that has ended to another one at its switch, which goes on with it. */
export interface Gateway {
  readonly options: UserNetworkOptions;
  readonly state: UserNetworkState;
  /** Its own time, in ticks, at which it was taken away. */
  readonly now: bigint;
  readonly outside: MovableOutside | undefined;
}
