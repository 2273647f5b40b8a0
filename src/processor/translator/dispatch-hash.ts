/** A table that finds each of a region's targets by its address, without collisions. */
export interface DispatchHash {
  /** Odd 32-bit factor. */
  readonly multiplier: number;
  /** How far the product is shifted down; the rest is the slot. */
  readonly shift: number;
  /** Index of the target in each slot. */
  readonly slots: readonly (number | undefined)[];
}

/** Multipliers that are tried for a size of the table before it grows. */
const TRIES = 64;
/** Fibonacci hashing's factor, and what leads to the next one to try. */
const FIRST = 0x9e37_79b1;
const STEP = 0x6a09_e66a;

/** Finds a multiplier that gives each of the addresses a slot of its own. They must differ in their low 32 bits. */
export function hashDispatch(rips: readonly bigint[]): DispatchHash {
  const lows = rips.map((rip) => Number(BigInt.asIntN(32, rip)));
  for (let bits = Math.max(1, Math.ceil(Math.log2(rips.length + 1))); bits <= 16; bits++) {
    let multiplier = FIRST | 0;
    for (let attempt = 0; attempt < TRIES; attempt++) {
      const slots: (number | undefined)[] = new Array(1 << bits).fill(undefined);
      const shift = 32 - bits;
      const fits = lows.every((low, index) => {
        const slot = Math.imul(low, multiplier) >>> shift;
        if (slots[slot] !== undefined) return false;
        slots[slot] = index;
        return true;
      });
      if (fits) return { multiplier, shift, slots };
      multiplier = (multiplier + STEP) | 1;
    }
  }
  throw new Error('targets with the same low halves');
}
