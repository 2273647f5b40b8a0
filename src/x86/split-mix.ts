/**
 * SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators): what stands for chance where a run must be repeatable.
 * Its state is one 64-bit number.
 */

const STEP = 0x9e37_79b9_7f4a_7c15n;

/** The state after the next number was drawn. */
export function nextSeed(state: bigint): bigint {
  return BigInt.asUintN(64, state + STEP);
}

/** The 64-bit number that a state stands for. */
export function mixedSeed(state: bigint): bigint {
  let z = state;
  z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58_476d_1ce4_e5b9n);
  z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d0_49bb_1331_11ebn);
  return z ^ (z >> 31n);
}
