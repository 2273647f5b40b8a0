import { hex } from '../../x86/address.ts';
import type { Device, PortDevice } from '../device.ts';
import { DmaError, type DmaMemory } from '../dma.ts';
import type { InspectNode } from '../inspect.ts';
import { requireVersion } from '../state.ts';
import type { FirmwareItems } from './items.ts';
import * as R from './registers.ts';

export interface FwCfgState {
  readonly version: 1;
  readonly key: number;
  readonly offset: number;
  readonly addressHigh: number;
}

export interface FwCfgWorld {
  readonly dma: DmaMemory;
  readonly items: FirmwareItems;
}

const NOTHING = new Uint8Array(0);
/** Bytes that a request may read beyond the end of its item: they are zeroes, and a guest has no use for many. */
const MOST_BEYOND = 0x1_0000;
/** Bytes that are moved at a time. */
const PIECE = 0x10_0000;
const DMA_SIGNATURE = new DataView(new TextEncoder().encode(R.DMA_SIGNATURE).buffer);

/** QEMU's firmware configuration device: items by key, read through ports or by DMA. No item can be written. */
export class FwCfg implements Device<FwCfgState>, PortDevice {
  readonly name = 'fw-cfg';
  readonly ports = [
    { base: R.SELECTOR, count: 2 },
    { base: R.DMA_HIGH, count: 8 },
  ];
  private key = 0;
  private offset = 0;
  private addressHigh = 0;

  constructor(private readonly world: FwCfgWorld) {}

  private select(key: number): void {
    this.key = key & R.KEY_MASK;
    this.offset = 0;
  }
  /** The selected item; empty where there is none. */
  private get item(): Uint8Array {
    return this.world.items.get(this.key) ?? NOTHING;
  }

  readPort(port: number, size: 1 | 2 | 4): number {
    if (port >= R.DMA_HIGH) return this.readSignature(port - R.DMA_HIGH, size);
    if (size !== 1) return 0xffff_ffff >>> (32 - size * 8);
    const value = this.item[this.offset] ?? 0;
    this.skip(1);
    return value;
  }
  private readSignature(offset: number, size: 1 | 2 | 4): number {
    let value = 0;
    // As bytes in memory: the first one in the lowest bits.
    for (let index = 0; index < size; index++) value |= DMA_SIGNATURE.getUint8((offset + index) & 7) << (8 * index);
    return value >>> 0;
  }

  writePort(port: number, size: 1 | 2 | 4, value: number): void {
    if (port === R.SELECTOR && size === 2) this.select(value);
    else if (port === R.DMA_HIGH && size === 4) this.addressHigh = swapped(value);
    else if (port === R.DMA_LOW && size === 4) {
      const gpa = (BigInt(this.addressHigh) << 32n) | BigInt(swapped(value));
      this.addressHigh = 0;
      this.attempt(gpa);
    }
  }

  /** Reading goes on behind the end of an item, where there are zeroes. */
  private skip(bytes: number): void {
    this.offset = Math.min(this.offset + bytes, this.item.length);
  }

  /** Serves a request in memory. One that can't be read or answered has no effect that the guest would see. */
  private attempt(gpa: bigint): void {
    try {
      this.serve(gpa);
    } catch (error) {
      if (!(error instanceof DmaError)) throw error;
    }
  }

  private serve(gpa: bigint): void {
    const { dma } = this.world;
    const bytes = dma.read(gpa, R.Request.SIZE);
    const request = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const control = request.getUint32(R.Request.CONTROL);
    if (control & R.Control.SELECT) this.select(control >>> 16);
    const isDone = this.move(control, request.getUint32(R.Request.LENGTH), request.getBigUint64(R.Request.ADDRESS));
    const answer = new DataView(new ArrayBuffer(4));
    answer.setUint32(0, isDone ? 0 : R.Control.ERROR);
    dma.write(gpa, new Uint8Array(answer.buffer));
  }

  /** Does what a control word asks for; false where it can't be done. Reading comes before writing, and that before skipping. */
  private move(control: number, length: number, gpa: bigint): boolean {
    if (control & R.Control.READ) return this.read(gpa, length);
    if (control & R.Control.WRITE) return length === 0;
    if (control & R.Control.SKIP) this.skip(length);
    return true;
  }

  private read(gpa: bigint, length: number): boolean {
    const { dma } = this.world;
    const rest = this.item.subarray(this.offset);
    if (length > rest.length + MOST_BEYOND || !dma.covers(gpa, length)) return false;
    this.skip(length);
    try {
      for (let at = 0; at < length; at += PIECE) {
        const size = Math.min(PIECE, length - at);
        const piece = new Uint8Array(size);
        piece.set(rest.subarray(at, at + size));
        dma.write(gpa + BigInt(at), piece);
      }
    } catch (error) {
      // A page that the guest gave back.
      if (!(error instanceof DmaError)) throw error;
      return false;
    }
    return true;
  }

  reset(): void {
    this.key = 0;
    this.offset = 0;
    this.addressHigh = 0;
  }
  save(): FwCfgState {
    const { key, offset, addressHigh } = this;
    return { version: 1, key, offset, addressHigh };
  }
  restore(state: FwCfgState): void {
    requireVersion(this.name, state, 1);
    this.key = state.key;
    this.offset = state.offset;
    this.addressHigh = state.addressHigh;
  }

  inspect(): InspectNode {
    const { key, offset, item, world } = this;
    const names = new Map<number, string>(Object.entries(R.Key).map(([name, number]) => [number, name]));
    return {
      name: this.name,
      value: `key ${hex(key, 4)}`,
      detail: `at byte ${offset} of ${item.length}`,
      children: [...world.items].map(([number, bytes]) => ({
        name: number >= R.Key.FIRST_FILE ? `file ${this.fileName(number)}` : (names.get(number) ?? 'item'),
        value: hex(number, 4),
        detail: `${bytes.length} bytes`,
      })),
    };
  }
  private fileName(key: number): string {
    const at = 4 + (key - R.Key.FIRST_FILE) * R.DirectoryEntry.LENGTH + R.DirectoryEntry.NAME;
    const name = this.world.items.get(R.Key.DIRECTORY)?.subarray(at, at + R.LONGEST_NAME) ?? NOTHING;
    return new TextDecoder().decode(name).replaceAll('\0', '');
  }
}

/** The bytes of 32 bits the other way round. */
function swapped(value: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, value);
  return view.getUint32(0, true);
}
