import { FRACTION, ONE } from './real.ts';

/** Sum of ±1 ÷ ((2k + 1) n^(2k + 1)): the arctangent of 1 ÷ n, or its hyperbolic one. */
function inverseTangent(n: bigint, one: bigint, hyperbolic: boolean): bigint {
  let power = one / n;
  let total = 0n;
  for (let k = 1n; power !== 0n; k += 2n) {
    total += hyperbolic || k % 4n === 1n ? power / k : -(power / k);
    power /= n * n;
  }
  return total;
}

const GUARD = 32n;
const fine = ONE << GUARD;

/** π by Machin's formula, ln 2 and log₂ e, with FRACTION bits. */
export const PI = (16n * inverseTangent(5n, fine, false) - 4n * inverseTangent(239n, fine, false)) >> GUARD;
export const LN2 = (2n * inverseTangent(3n, fine, true)) >> GUARD;
export const LOG2E = (ONE << BigInt(FRACTION)) / LN2;

/** π as processors reduce arguments by: 66 significant bits, the rest cut off (Intel SDM vol. 1, 8.3.8). */
export const PI_66 = PI >> BigInt(FRACTION - 64);
export const PI_66_EXPONENT = -64;
