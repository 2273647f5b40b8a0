/** Bits of a non-negative integer without leading zeros; 0 for 0. */
export function bitLength(value: bigint): number {
  if (value <= 0xffff_ffffn) return 32 - Math.clz32(Number(value));
  if (value <= 0xffff_ffff_ffff_ffffn) return 64 - Math.clz32(Number(value >> 32n));
  // Products of two significands have no more than 128 bits.
  const high = value >> 64n;
  if (high <= 0xffff_ffff_ffff_ffffn) return 64 + bitLength(high);
  const digits = value.toString(16);
  return digits.length * 4 - Math.clz32(Number.parseInt(digits[0] ?? '0', 16)) + 28;
}
