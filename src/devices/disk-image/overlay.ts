import type { DiskImage } from './disk-image.ts';

/** Bytes that are kept together once one of them was written. */
const CLUSTER = 4096;
/** A cluster that is all zeroes takes no room. */
const ZEROES = new Uint8Array(0);

export interface OverlayState {
  /** Numbers and contents of the clusters that were written; no bytes for one that is all zeroes. */
  readonly clusters: readonly { readonly number: number; readonly bytes: Uint8Array }[];
}

/**
 * A disk image that is never changed, and over it what was written. Places are offsets in bytes; the caller keeps within `size`.
 * It holds no more than the image is large.
 */
export class OverlaidImage {
  private clusters = new Map<number, Uint8Array>();

  constructor(private readonly image: DiskImage) {}

  get size(): number {
    return this.image.size;
  }
  /** Bytes of the image that no longer count. */
  get written(): number {
    return this.clusters.size * CLUSTER;
  }

  /** Throws ImageError, as all do that need what is in the image. */
  read(offset: number, length: number): Uint8Array {
    const bytes = this.image.read(offset, length);
    this.each(offset, length, (number, within, done, count) => {
      const cluster = this.clusters.get(number);
      if (cluster === ZEROES) bytes.fill(0, done, done + count);
      else if (cluster) bytes.set(cluster.subarray(within, within + count), done);
    });
    return bytes;
  }

  write(offset: number, bytes: Uint8Array): void {
    this.each(offset, bytes.length, (number, within, done, count) => {
      this.own(number).set(bytes.subarray(done, done + count), within);
    });
  }

  /** Fills a range with zeroes. */
  clear(offset: number, length: number): void {
    this.each(offset, length, (number, within, _done, count) => {
      if (count === CLUSTER) this.clusters.set(number, ZEROES);
      else if (this.clusters.get(number) !== ZEROES) this.own(number).fill(0, within, within + count);
    });
  }

  /** The clusters that a range has parts of: number, place in it, bytes of the range before it and in it. */
  private each(
    offset: number,
    length: number,
    action: (number: number, within: number, done: number, count: number) => void,
  ): void {
    for (let done = 0; done < length; ) {
      const at = offset + done;
      const within = at % CLUSTER;
      const count = Math.min(CLUSTER - within, length - done);
      action((at - within) / CLUSTER, within, done, count);
      done += count;
    }
  }

  /** A cluster to write to. */
  private own(number: number): Uint8Array {
    const known = this.clusters.get(number);
    if (known && known !== ZEROES) return known;
    const made = new Uint8Array(CLUSTER);
    const start = number * CLUSTER;
    if (known === undefined) made.set(this.image.read(start, Math.min(CLUSTER, this.size - start)));
    this.clusters.set(number, made);
    return made;
  }

  /** What was written, as pieces of the disk, in the order of their places. */
  *changes(): Iterable<{ readonly offset: number; readonly bytes: Uint8Array }> {
    for (const number of [...this.clusters.keys()].sort((a, b) => a - b)) {
      const offset = number * CLUSTER;
      const cluster = this.clusters.get(number) ?? ZEROES;
      const bytes = cluster === ZEROES ? new Uint8Array(CLUSTER) : cluster;
      yield { offset, bytes: bytes.subarray(0, Math.min(CLUSTER, this.size - offset)) };
    }
  }

  /** What was written, for the state hash: the same bytes for the same contents, in whatever order they came. Nothing at first. */
  *contents(): Iterable<Uint8Array> {
    for (const number of [...this.clusters.keys()].sort((a, b) => a - b)) {
      yield new Uint8Array(Float64Array.of(number).buffer);
      yield this.clusters.get(number) ?? ZEROES;
    }
  }

  /** Forgets what was written. */
  reset(): void {
    this.clusters = new Map();
  }
  save(): OverlayState {
    return { clusters: [...this.clusters].map(([number, bytes]) => ({ number, bytes: bytes.slice() })) };
  }
  restore({ clusters }: OverlayState): void {
    this.clusters = new Map(clusters.map(({ number, bytes }) => [number, bytes.length === 0 ? ZEROES : bytes.slice()]));
  }
}
