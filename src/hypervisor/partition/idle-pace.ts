/**
 * How fast the time of an idle guest passes that waits for somebody to type: with the time of the world outside, so that a login isn't
 * over before a word was typed. Without a pace, time in which nothing runs is skipped. It makes no difference to what the guest does
 * without input, and input is stamped when it comes.
 */
export interface IdlePace {
  /** How many of `wanted` ticks of 1 ns may pass now: 0 to `wanted`. Those that are given are spent. */
  take(wanted: bigint): bigint;
}
