import type { Handler } from '../../../stages/stage.ts';
import { type DiskImage, ImageError } from '../../disk-image/disk-image.ts';
import { OverlaidImage, type OverlayState } from '../../disk-image/overlay.ts';
import type { InspectNode } from '../../inspect.ts';
import { requireVersion } from '../../state.ts';
import { DeviceId, featureBit, featureBits } from '../abi.ts';
import { serveRequests as serveRequestsAtOnce } from '../generated/block.ts';
import { type BlockWork, serveRequests } from '../handlers/block.ts';
import type { DriverSide, QueueKind, VirtioModel } from '../model.ts';
import * as R from './registers.ts';
import type { Answer, BlockRequest } from './request.ts';

export interface VirtioBlockState {
  readonly version: 1;
  readonly overlay: OverlayState;
  readonly requests: number;
  readonly errors: number;
}

export interface VirtioBlockWorld {
  /** The disk: whole sectors, at least one. */
  readonly image: DiskImage;
  /** What the device answers when it is asked for its id: up to 20 characters of ASCII. */
  readonly serial: string;
  /** Nothing can be written. */
  readonly isReadOnly?: boolean;
  /** Queues that requests may be put into: 1 when missing. */
  readonly queues?: number;
}

const QUEUE_SIZE = 128;
/** Queues of a disk. */
export const MOST_QUEUES = 16;
export const LONGEST_SERIAL = R.ID_SIZE;
const LONGEST_DATA = R.LONGEST_SEGMENT * R.MOST_SEGMENTS;

const failed: Answer = { outcome: R.Outcome.IO_ERROR, written: 0 };
const unsupported: Answer = { outcome: R.Outcome.UNSUPPORTED, written: 0 };
const done = (written = 0): Answer => ({ outcome: R.Outcome.OK, written });

/** The block device (virtio 1.2, 5.2) on an image. What is written is kept in an overlay, which is a part of the state. */
export class VirtioBlock implements VirtioModel<VirtioBlockState>, BlockWork {
  readonly name = 'virtio-blk';
  readonly id = DeviceId.BLOCK;
  readonly queues: readonly QueueKind[];
  readonly features: bigint;
  readonly featureBits = R.BlockFeature;
  private driver: DriverSide | undefined;
  readonly disk: OverlaidImage;
  private requests = 0;
  private errors = 0;
  /** Why a part of the image couldn't be read, the last time. */
  private damage: string | undefined;

  constructor(private readonly world: VirtioBlockWorld) {
    const { image, isReadOnly = false, queues = 1 } = world;
    this.disk = new OverlaidImage(image);
    this.queues = Array.from({ length: queues }, (_, index) => ({
      name: queues === 1 ? 'requests' : `requests ${index}`,
      size: QUEUE_SIZE,
    }));
    const { SIZE_MAX, SEG_MAX, BLK_SIZE, FLUSH, DISCARD, WRITE_ZEROES, READ_ONLY, MULTIQUEUE } = R.BlockFeature;
    this.features =
      featureBits(SIZE_MAX, SEG_MAX, BLK_SIZE, FLUSH) |
      (isReadOnly ? featureBit(READ_ONLY) : featureBits(DISCARD, WRITE_ZEROES)) |
      (queues > 1 ? featureBit(MULTIQUEUE) : 0n);
  }

  connect(driver: DriverSide): void {
    this.driver = driver;
  }

  get sectors(): number {
    return this.disk.size / R.SECTOR;
  }

  configuration(): Uint8Array {
    const view = new DataView(new ArrayBuffer(R.CONFIGURATION_SIZE));
    view.setBigUint64(R.Place.CAPACITY, BigInt(this.sectors), true);
    const set = (place: number, value: number) => view.setUint32(place, value, true);
    set(R.Place.SIZE_MAX, R.LONGEST_SEGMENT);
    set(R.Place.SEG_MAX, R.MOST_SEGMENTS);
    set(R.Place.BLK_SIZE, R.SECTOR);
    view.setUint16(R.Place.NUM_QUEUES, this.queues.length > 1 ? this.queues.length : 0, true);
    set(R.Place.MAX_DISCARD_SECTORS, R.MOST_CLEARED);
    set(R.Place.MAX_DISCARD_SEG, R.MOST_RANGES);
    set(R.Place.DISCARD_ALIGNMENT, 1);
    set(R.Place.MAX_WRITE_ZEROES_SECTORS, R.MOST_CLEARED);
    set(R.Place.MAX_WRITE_ZEROES_SEG, R.MOST_RANGES);
    view.setUint8(R.Place.WRITE_ZEROES_MAY_UNMAP, 1);
    return new Uint8Array(view.buffer);
  }

  notified(index: number): void {
    if (this.driver) serveRequestsAtOnce(this, this.driver, index);
  }
  *notifiedInStages(index: number): Handler {
    if (this.driver) yield* serveRequests(this, this.driver, index);
  }

  conclude({ writable, room }: BlockRequest, { outcome, written }: Answer): number {
    this.requests++;
    if (outcome !== R.Outcome.OK) this.errors++;
    writable.write(room, Uint8Array.of(outcome));
    // The driver may take it that all bytes up to the length were written (2.7.8.2): the status counts only behind a full buffer.
    return written === room ? room + 1 : written;
  }

  /** A part of the image that can't be read is a bad sector to the guest. */
  perform(request: BlockRequest): Answer {
    try {
      return this.move(request);
    } catch (error) {
      if (!(error instanceof ImageError)) throw error;
      this.damage = error.message;
      return failed;
    }
  }

  private move(request: BlockRequest): Answer {
    switch (request.type) {
      case R.Request.IN:
        return this.read(request);
      case R.Request.OUT:
        return this.write(request);
      case R.Request.FLUSH:
        return done();
      case R.Request.GET_ID:
        return this.identify(request);
      case R.Request.DISCARD:
        return this.accepts(R.BlockFeature.DISCARD) ? this.clear(request, 0) : unsupported;
      case R.Request.WRITE_ZEROES:
        return this.accepts(R.BlockFeature.WRITE_ZEROES) ? this.clear(request, R.UNMAP) : unsupported;
      default:
        return unsupported;
    }
  }

  private accepts(feature: number): boolean {
    return ((this.driver?.features ?? 0n) & featureBit(feature)) !== 0n;
  }

  /** Offset of a sector from which `length` bytes are on the disk, and may be moved at once. */
  private offsetOf(sector: bigint, length: number): number | undefined {
    const isWhole = length % R.SECTOR === 0;
    if (!isWhole || sector + BigInt(length / R.SECTOR) > BigInt(this.sectors)) return undefined;
    return Number(sector) * R.SECTOR;
  }

  private read({ sector, writable, room }: BlockRequest): Answer {
    const offset = room > LONGEST_DATA ? undefined : this.offsetOf(sector, room);
    if (offset === undefined) return failed;
    writable.write(0, this.disk.read(offset, room));
    return done(room);
  }

  private write({ sector, readable }: BlockRequest): Answer {
    const length = readable.length - R.HEADER_SIZE;
    const offset = length > LONGEST_DATA ? undefined : this.offsetOf(sector, length);
    if (offset === undefined || this.world.isReadOnly) return failed;
    this.disk.write(offset, readable.read(R.HEADER_SIZE, length));
    return done();
  }

  private identify({ writable, room }: BlockRequest): Answer {
    const id = new Uint8Array(R.ID_SIZE);
    new TextEncoder().encodeInto(this.world.serial, id);
    writable.write(0, id.subarray(0, room));
    return done(Math.min(room, R.ID_SIZE));
  }

  /** Discards a range or fills it with zeroes, which is the same here. `allowed`: flags that it may have (5.2.6.2). */
  private clear({ readable }: BlockRequest, allowed: number): Answer {
    const length = readable.length - R.HEADER_SIZE;
    if (length === 0 || length % R.RANGE_SIZE !== 0 || length / R.RANGE_SIZE > R.MOST_RANGES) return failed;
    const range = readable.read(R.HEADER_SIZE, R.RANGE_SIZE);
    const view = new DataView(range.buffer, range.byteOffset, range.byteLength);
    const sectors = view.getUint32(8, true);
    if ((view.getUint32(12, true) & ~allowed) !== 0) return unsupported;
    const bytes = sectors * R.SECTOR;
    const offset = sectors > R.MOST_CLEARED ? undefined : this.offsetOf(view.getBigUint64(0, true), bytes);
    if (offset === undefined) return failed;
    this.disk.clear(offset, bytes);
    return done();
  }

  disconnect(): void {}
  reset(): void {
    this.disk.reset();
    this.requests = 0;
    this.errors = 0;
    this.damage = undefined;
  }
  contents(): Iterable<Uint8Array> {
    return this.disk.contents();
  }
  save(): VirtioBlockState {
    return { version: 1, overlay: this.disk.save(), requests: this.requests, errors: this.errors };
  }
  restore(state: VirtioBlockState): void {
    requireVersion(this.name, state, 1);
    this.disk.restore(state.overlay);
    this.requests = state.requests;
    this.errors = state.errors;
  }
  inspect(): readonly InspectNode[] {
    return [
      { name: 'capacity', value: `${this.sectors} sectors`, detail: `${this.disk.size} bytes, id ${this.world.serial}` },
      ...(this.world.isReadOnly ? [{ name: 'access', value: 'read only' }] : []),
      ...(this.damage === undefined ? [] : [{ name: 'image', value: 'not readable', detail: this.damage }]),
      { name: 'overlay', value: `${this.disk.written} bytes`, detail: 'written by the guest, kept in memory' },
      { name: 'requests', value: String(this.requests), detail: `${this.errors} of them not done` },
    ];
  }
}
