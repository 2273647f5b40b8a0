import { inflateSync } from 'fflate';
import { type DiskImage, ImageError, type ImageFile, readWhole } from '../disk-image.ts';
import { type Qcow2Header, viewOf } from './header.ts';

/** Bits of entries: the place of a table or cluster; a cluster that is compressed; one that is all zeroes. */
const PLACE = 0x00ff_ffff_ffff_fe00n;
const COMPRESSED = 1n << 62n;
const ZERO = 1n;
const ENTRY = 8;
/** A compressed cluster is told in units of this. */
const SECTOR = 512;
/** Tables of the second level that are kept in memory. */
const TABLES_KEPT = 64;

/** Where the bytes of a cluster are. */
type Source = { readonly kind: 'zero' | 'base' } | { readonly kind: 'file' | 'compressed'; readonly entry: bigint };

/** A disk in a qcow2 file, read and not written. Tables are looked up when they are wanted; each place in them is checked. */
export class Qcow2Image implements DiskImage {
  readonly size: number;
  private readonly clusterSize: number;
  private readonly levelOne: DataView;
  /** By the place in the file, the one used last at the end. */
  private readonly tables = new Map<number, DataView>();
  /** The compressed cluster that was read last: guests read on where they are. */
  private inflated: { readonly entry: bigint; readonly bytes: Uint8Array } | undefined;

  /** `base`: the image that has what this one has not. Throws ImageError. */
  constructor(
    private readonly file: ImageFile,
    private readonly header: Qcow2Header,
    private readonly base: DiskImage | undefined,
  ) {
    this.size = header.size;
    this.clusterSize = 2 ** header.clusterBits;
    this.levelOne = viewOf(readWhole(file, header.levelOneOffset, header.levelOneLength * ENTRY, 'the first table'));
  }

  read(offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const at = offset + done;
      const within = at % this.clusterSize;
      const count = Math.min(this.clusterSize - within, length - done);
      const part = this.readCluster(at, within, count);
      if (part) bytes.set(part, done);
      done += count;
    }
    return bytes;
  }

  /** A part of one cluster; undefined for zeroes. */
  private readCluster(at: number, within: number, count: number): Uint8Array | undefined {
    const source = this.sourceOf(Math.floor(at / this.clusterSize));
    switch (source.kind) {
      case 'zero':
        return undefined;
      case 'base': {
        // A base may be smaller than what is based on it.
        const there = Math.min(count, (this.base?.size ?? 0) - at);
        return there > 0 ? this.base?.read(at, there) : undefined;
      }
      case 'file':
        return readWhole(this.file, this.placeOf(source.entry) + within, count, 'a cluster');
      case 'compressed':
        return this.inflate(source.entry).subarray(within, within + count);
    }
  }

  private sourceOf(cluster: number): Source {
    const perTable = this.clusterSize / ENTRY;
    const table = this.placeOf(this.levelOne.getBigUint64(Math.floor(cluster / perTable) * ENTRY));
    if (table === 0) return { kind: 'base' };
    const entry = this.levelTwo(table).getBigUint64((cluster % perTable) * ENTRY);
    if (entry & COMPRESSED) return { kind: 'compressed', entry };
    if (entry & ZERO) return { kind: 'zero' };
    return this.placeOf(entry) === 0 ? { kind: 'base' } : { kind: 'file', entry };
  }

  private placeOf(entry: bigint): number {
    const place = Number(entry & PLACE);
    if (place % this.clusterSize === 0) return place;
    throw new ImageError(`The disk image ${this.file.path} is damaged: a table names byte ${place}, where no cluster begins.`);
  }

  private levelTwo(place: number): DataView {
    const table = this.tables.get(place) ?? viewOf(readWhole(this.file, place, this.clusterSize, 'a table of the second level'));
    this.tables.delete(place);
    this.tables.set(place, table);
    const [oldest] = this.tables.keys();
    if (this.tables.size > TABLES_KEPT && oldest !== undefined) this.tables.delete(oldest);
    return table;
  }

  /** A whole cluster out of its compressed form: the place of that is in the low bits, the sectors that it goes on for above. */
  private inflate(entry: bigint): Uint8Array {
    if (this.inflated?.entry === entry) return this.inflated.bytes;
    const placeBits = BigInt(62 - (this.header.clusterBits - 8));
    const place = Number(entry & ((1n << placeBits) - 1n));
    const sectors = Number((entry & (COMPRESSED - 1n)) >> placeBits) + 1;
    const length = Math.min(sectors * SECTOR - (place % SECTOR), this.file.size - place);
    const compressed = readWhole(this.file, place, Math.max(length, 1), 'a compressed cluster');
    const bytes = this.inflatedBytes(compressed, place);
    this.inflated = { entry, bytes };
    return bytes;
  }

  private inflatedBytes(compressed: Uint8Array, place: number): Uint8Array {
    try {
      // No more than a cluster is written, whatever the data say.
      const bytes = inflateSync(compressed, { out: new Uint8Array(this.clusterSize) });
      if (bytes.length === this.clusterSize) return bytes;
    } catch {
      // Said below.
    }
    throw new ImageError(
      `The disk image ${this.file.path} is damaged: the compressed cluster at byte ${place} can't be unpacked.`,
    );
  }
}
