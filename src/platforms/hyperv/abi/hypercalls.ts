/** Hyper-V's hypercalls (TLFS, "Hypercall reference"). */

/** What is known of a hypercall before it is made. */
export interface HypercallRow {
  readonly code: number;
  readonly name: string;
  readonly description: string;
}

export const HYPERCALL_REFERENCE: readonly HypercallRow[] = [
  { code: 0x5c, name: 'HvCallPostMessage', description: 'posts a message to a connection' },
  { code: 0x5d, name: 'HvCallSignalEvent', description: 'sets an event flag at the other end of a connection' },
];

const BY_CODE = new Map(HYPERCALL_REFERENCE.map((row) => [row.code, row]));

/** The row of a call code; undefined for a number that isn't one. */
export function hypercallRow(code: number): HypercallRow | undefined {
  return BY_CODE.get(code);
}
