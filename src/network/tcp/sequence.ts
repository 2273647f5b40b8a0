/** Sequence numbers of TCP: 32 bits, which wrap (RFC 9293, 3.4). */

export function after(sequence: number, count: number): number {
  return (sequence + count) >>> 0;
}

/** How far `sequence` is ahead of `base`: negative where it is behind. */
export function ahead(sequence: number, base: number): number {
  return (sequence - base) | 0;
}
