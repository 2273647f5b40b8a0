import type { MemoryPlace } from '../x86/address.ts';

/** A live tree of some part's state. Views only walk it; they know no device. */
export interface InspectNode {
  readonly name: string;
  /** Shown beside the name: hex strings for addresses and registers. */
  readonly value?: string;
  /** One sentence or a decoded form: "8N1, 115200 baud". */
  readonly detail?: string;
  /** Where in memory the thing lies, for "view memory". */
  readonly memory?: MemoryPlace;
  /** Writes it from outside as the guest would; false when it can't be written so. Missing for what is only shown. */
  readonly set?: (value: bigint) => boolean;
  readonly children?: readonly InspectNode[];
}
