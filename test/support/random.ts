/** A seeded source of random numbers (mulberry32), so that a failure can be repeated from the seed that it prints. */
export class Random {
  private state: number;

  constructor(readonly seed: number) {
    this.state = seed >>> 0;
  }

  /** 32 random bits, unsigned. */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let t = this.state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  }

  /** An integer from 0 to `limit` - 1. */
  below(limit: number): number {
    return Math.floor((this.next() / 0x1_0000_0000) * limit);
  }

  /** An integer from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  chance(probability: number): boolean {
    return this.next() < probability * 0x1_0000_0000;
  }

  pick<T>(from: readonly T[]): T {
    const item = from[this.below(from.length)];
    if (item === undefined) throw new Error('pick from an empty list');
    return item;
  }

  /** 64 random bits. */
  u64(): bigint {
    return (BigInt(this.next()) << 32n) | BigInt(this.next());
  }

  /** A 64-bit value with a preference for those that break things: borders of each size, powers of two, small ones. */
  value(): bigint {
    const kind = this.below(100);
    if (kind < 35) return this.pick(BORDERS);
    if (kind < 50) return BigInt(this.below(256));
    if (kind < 60) return BigInt.asUintN(64, BigInt(this.between(-128, 127)));
    if (kind < 68) return BigInt.asUintN(64, BigInt(this.next() | 0));
    if (kind < 74) return BigInt(this.next());
    return this.u64();
  }

  bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let i = 0; i < length; i++) bytes[i] = this.next() >>> 24;
    return bytes;
  }
}

const BORDERS: readonly bigint[] = [
  ...[0n, 1n, 2n, 3n, 0xffn, 0x7fn, 0x80n, 0x81n, 0x100n, 0x7fffn, 0x8000n, 0xffffn, 0x1_0000n],
  ...[0x7fff_ffffn, 0x8000_0000n, 0xffff_ffffn, 0x1_0000_0000n, 0x7fff_ffff_ffff_ffffn, 0x8000_0000_0000_0000n],
  ...[-1n, -2n, -128n, -129n, -32768n, -0x8000_0000n, -0x8000_0001n].map((value) => BigInt.asUintN(64, value)),
  ...[0x5555_5555_5555_5555n, 0xaaaa_aaaa_aaaa_aaaan, 0x0123_4567_89ab_cdefn, 0xfedc_ba98_7654_3210n],
  ...Array.from({ length: 64 }, (_, bit) => 1n << BigInt(bit)),
];
