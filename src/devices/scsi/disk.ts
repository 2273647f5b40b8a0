import { type DiskImage, ImageError } from '../disk-image/disk-image.ts';
import { OverlaidImage, type OverlayState } from '../disk-image/overlay.ts';
import type { InspectNode } from '../inspect.ts';
import { BLOCK, Operation, READ_CAPACITY_16, SENSE_KEY_NAMES, Status } from './abi.ts';
import { isAboutBlocks, type ScsiCommand } from './command.ts';
import { modeData } from './mode-sense.ts';
import { answer, done, refused, type ScsiData, type ScsiOutcome } from './outcome.ts';
import { inquiryData, MOST_CLEARED, MOST_UNMAP_RANGES, vpdPage } from './pages.ts';
import * as S from './sense.ts';

/** What a disk is made of. */
export interface ScsiDiskWorld {
  /** Whole blocks, at least one. */
  readonly image: DiskImage;
  /** Up to 20 characters of ASCII. */
  readonly serial: string;
  readonly isReadOnly?: boolean;
}

export interface ScsiDiskState {
  readonly overlay: OverlayState;
  readonly isStopped: boolean;
  readonly commands: number;
  readonly errors: number;
}

/** Bytes that one command can move. */
export const LONGEST_TRANSFER = 0x4_0000;
const UNMAP_HEADER = 8;
const UNMAP_RANGE = 16;
/** Flag of WRITE SAME: zeroes, without a block of data. */
const NO_DATA_OUT = 1;
const UNMAPS = 8;

/** A logical unit of a SCSI target that is a disk (SBC-3). What is written is kept in an overlay, which is a part of the state. */
export class ScsiDisk {
  readonly disk: OverlaidImage;
  private isStopped = false;
  private commands = 0;
  private errors = 0;
  private lastSense: S.Sense | undefined;
  /** Why a part of the image couldn't be read, the last time. */
  private damage: string | undefined;

  constructor(private readonly world: ScsiDiskWorld) {
    this.disk = new OverlaidImage(world.image);
  }

  get blocks(): number {
    return this.disk.size / BLOCK;
  }
  get serial(): string {
    return this.world.serial;
  }
  private get isReadOnly(): boolean {
    return this.world.isReadOnly ?? false;
  }

  execute(command: ScsiCommand, data: ScsiData): ScsiOutcome {
    const outcome = this.attempt(command, data);
    this.commands++;
    if (outcome.status !== Status.GOOD) this.errors++;
    if (outcome.sense) this.lastSense = outcome.sense;
    return outcome;
  }

  /** A part of the image that can't be read is a bad block to the guest. */
  private attempt(command: ScsiCommand, data: ScsiData): ScsiOutcome {
    try {
      return this.perform(command, data);
    } catch (error) {
      if (!(error instanceof ImageError)) throw error;
      this.damage = error.message;
      return refused(S.UNREADABLE);
    }
  }

  private perform(command: ScsiCommand, data: ScsiData): ScsiOutcome {
    const { operation, allocation } = command;
    switch (operation) {
      case Operation.INQUIRY:
        return this.inquire(command, data);
      case Operation.REQUEST_SENSE:
        return answer(S.senseBytes(this.isStopped ? S.STOPPED : S.NO_SENSE), allocation, data);
      case Operation.MODE_SENSE_6:
      case Operation.MODE_SENSE_10: {
        const mode = modeData(command, { blocks: this.blocks, isReadOnly: this.isReadOnly });
        return mode instanceof Uint8Array ? answer(mode, allocation, data) : refused(mode);
      }
      case Operation.START_STOP_UNIT:
        return this.startOrStop(command);
      case Operation.PREVENT_ALLOW_MEDIUM_REMOVAL:
        return done();
      case Operation.TEST_UNIT_READY:
        return this.isStopped ? refused(S.STOPPED) : done();
    }
    return this.isStopped ? refused(S.STOPPED) : this.move(command, data);
  }

  /** Commands that want the medium. */
  private move(command: ScsiCommand, data: ScsiData): ScsiOutcome {
    const { operation, cdb } = command;
    if (isAboutBlocks(command) && command.lba + BigInt(command.blocks) > BigInt(this.blocks)) return refused(S.BEHIND_THE_END);
    switch (operation) {
      case Operation.READ_CAPACITY_10:
        return answer(this.capacity10(), 8, data);
      case Operation.SERVICE_ACTION_IN_16:
        if (((cdb[1] ?? 0) & 0x1f) !== READ_CAPACITY_16) return refused(S.BAD_FIELD);
        return answer(this.capacity16(), command.allocation, data);
      case Operation.READ_6:
      case Operation.READ_10:
      case Operation.READ_12:
      case Operation.READ_16:
        return this.read(command, data);
      case Operation.WRITE_6:
      case Operation.WRITE_10:
      case Operation.WRITE_12:
      case Operation.WRITE_16:
        return this.write(command, data);
      case Operation.VERIFY_10:
      case Operation.VERIFY_12:
      case Operation.VERIFY_16:
        return this.verify(command, data);
      case Operation.SYNCHRONIZE_CACHE_10:
      case Operation.SYNCHRONIZE_CACHE_16:
        return done();
      case Operation.WRITE_SAME_10:
      case Operation.WRITE_SAME_16:
        return this.writeSame(command, data);
      case Operation.UNMAP:
        return this.unmap(command, data);
      default:
        return refused(S.UNKNOWN_COMMAND);
    }
  }

  private inquire({ cdb, allocation }: ScsiCommand, data: ScsiData): ScsiOutcome {
    const [, flags = 0, page = 0] = cdb;
    const wantsPage = (flags & 1) !== 0;
    if (!wantsPage) return page === 0 ? answer(inquiryData(), allocation, data) : refused(S.BAD_FIELD);
    const { serial } = this.world;
    const bytes = vpdPage(page, { serial, isReadOnly: this.isReadOnly, longestTransfer: LONGEST_TRANSFER });
    return bytes ? answer(bytes, allocation, data) : refused(S.BAD_FIELD);
  }

  /** Power conditions (SBC-3, 5.20) other than by START aren't told apart; the medium can't be ejected. */
  private startOrStop({ cdb }: ScsiCommand): ScsiOutcome {
    const power = cdb[4] ?? 0;
    if (power >> 4 === 0) this.isStopped = (power & 1) === 0;
    return done();
  }

  private capacity10(): Uint8Array {
    const view = new DataView(new ArrayBuffer(8));
    view.setUint32(0, Math.min(this.blocks - 1, 0xffff_ffff));
    view.setUint32(4, BLOCK);
    return new Uint8Array(view.buffer);
  }

  private capacity16(): Uint8Array {
    const view = new DataView(new ArrayBuffer(32));
    view.setBigUint64(0, BigInt(this.blocks - 1));
    view.setUint32(8, BLOCK);
    // Blocks can be unmapped, and read as zeroes then.
    if (!this.isReadOnly) view.setUint8(14, 0xc0);
    return new Uint8Array(view.buffer);
  }

  /** Where the blocks are that a command is about, once they are known to be on the disk. */
  private placeOf({ lba }: ScsiCommand): number {
    return Number(lba) * BLOCK;
  }

  private read(command: ScsiCommand, { room }: ScsiData): ScsiOutcome {
    const wanted = command.blocks * BLOCK;
    const length = Math.min(wanted, room, LONGEST_TRANSFER);
    const bytes = this.disk.read(this.placeOf(command), length);
    return { status: Status.GOOD, data: bytes, moved: length, isCut: wanted > length };
  }

  private write(command: ScsiCommand, { out }: ScsiData): ScsiOutcome {
    if (this.isReadOnly) return refused(S.WRITE_PROTECTED);
    const length = command.blocks * BLOCK;
    if (length > out.length) return refused(S.BAD_FIELD);
    this.disk.write(this.placeOf(command), out.subarray(0, length));
    return done(length);
  }

  /** Without data it asks whether the blocks can be read, which they can; with data, whether they are like it. */
  private verify(command: ScsiCommand, { out }: ScsiData): ScsiOutcome {
    const compares = ((command.cdb[1] ?? 0) >> 1) & 3;
    if (compares === 0) return done();
    const length = command.blocks * BLOCK;
    if (compares !== 1 || length > out.length) return refused(S.BAD_FIELD);
    const bytes = this.disk.read(this.placeOf(command), length);
    return bytes.every((byte, index) => byte === out[index]) ? done(length) : refused(S.DIFFERENT);
  }

  private writeSame(command: ScsiCommand, { out }: ScsiData): ScsiOutcome {
    if (this.isReadOnly) return refused(S.WRITE_PROTECTED);
    const flags = command.cdb[1] ?? 0;
    // No blocks means all up to the end (SBC-3, 5.43).
    const blocks = command.blocks === 0 ? BigInt(this.blocks) - command.lba : BigInt(command.blocks);
    if (blocks > BigInt(MOST_CLEARED)) return refused(S.BAD_FIELD);
    const length = Number(blocks) * BLOCK;
    const hasBlock = (flags & NO_DATA_OUT) === 0;
    if (hasBlock && out.length < BLOCK) return refused(S.BAD_FIELD);
    const block = hasBlock ? out.subarray(0, BLOCK) : undefined;
    if (block === undefined || (flags & UNMAPS) !== 0 || block.every((byte) => byte === 0)) {
      if (block?.some((byte) => byte !== 0)) return refused(S.BAD_FIELD);
      this.disk.clear(this.placeOf(command), length);
    } else for (let done = 0; done < length; done += BLOCK) this.disk.write(this.placeOf(command) + done, block);
    return done(hasBlock ? BLOCK : 0);
  }

  /** All ranges are checked before anything is unmapped (SBC-3, 5.28). */
  private unmap({ allocation }: ScsiCommand, { out }: ScsiData): ScsiOutcome {
    if (this.isReadOnly) return refused(S.WRITE_PROTECTED);
    if (allocation === 0) return done();
    if (allocation < UNMAP_HEADER || out.length < allocation) return refused(S.BAD_LIST_LENGTH);
    const view = new DataView(out.buffer, out.byteOffset, allocation);
    const count = Math.floor(Math.min(view.getUint16(2), allocation - UNMAP_HEADER) / UNMAP_RANGE);
    if (count > MOST_UNMAP_RANGES) return refused(S.BAD_PARAMETER);
    const ranges = Array.from({ length: count }, (_, index) => {
      const at = UNMAP_HEADER + index * UNMAP_RANGE;
      return { lba: view.getBigUint64(at), blocks: view.getUint32(at + 8) };
    });
    if (ranges.some(({ lba, blocks }) => lba + BigInt(blocks) > BigInt(this.blocks))) return refused(S.BEHIND_THE_END);
    if (ranges.reduce((sum, { blocks }) => sum + blocks, 0) > MOST_CLEARED) return refused(S.BAD_PARAMETER);
    for (const { lba, blocks } of ranges) this.disk.clear(Number(lba) * BLOCK, blocks * BLOCK);
    return done(allocation);
  }

  /** As a reset of its bus or of itself leaves it: what is on it stays. */
  resetUnit(): void {
    this.isStopped = false;
  }

  /** As it was before the machine was switched on. */
  reset(): void {
    this.disk.reset();
    this.isStopped = false;
    this.commands = 0;
    this.errors = 0;
    this.lastSense = undefined;
    this.damage = undefined;
  }
  save(): ScsiDiskState {
    const { isStopped, commands, errors } = this;
    return { overlay: this.disk.save(), isStopped, commands, errors };
  }
  restore(state: ScsiDiskState): void {
    this.disk.restore(state.overlay);
    this.isStopped = state.isStopped;
    this.commands = state.commands;
    this.errors = state.errors;
  }
  inspect(lun: number): InspectNode {
    const { disk, damage, lastSense } = this;
    return {
      name: `LUN ${lun}`,
      value: this.isStopped ? 'stopped' : 'ready',
      children: [
        { name: 'capacity', value: `${this.blocks} blocks`, detail: `${disk.size} bytes, serial number ${this.serial}` },
        ...(this.isReadOnly ? [{ name: 'access', value: 'read only' }] : []),
        ...(damage === undefined ? [] : [{ name: 'image', value: 'not readable', detail: damage }]),
        { name: 'overlay', value: `${disk.written} bytes`, detail: 'written by the guest, kept in memory' },
        { name: 'commands', value: String(this.commands), detail: `${this.errors} of them not done` },
        ...(lastSense === undefined
          ? []
          : [{ name: 'last sense', value: SENSE_KEY_NAMES[lastSense.key] ?? String(lastSense.key), detail: lastSense.text }]),
      ],
    };
  }
}
