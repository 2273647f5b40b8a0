import type { Device } from '../device.ts';
import type { InspectNode } from '../inspect.ts';
import { requireVersion } from '../state.ts';
import { Operation } from './abi.ts';
import type { ScsiCommand } from './command.ts';
import { ScsiDisk, type ScsiDiskState, type ScsiDiskWorld } from './disk.ts';
import { answer, refused, type ScsiData, type ScsiOutcome } from './outcome.ts';
import { inquiryDataOfNothing } from './pages.ts';
import { BAD_FIELD } from './sense.ts';

/** Where a logical unit is: bus, target on it, and number there. */
export interface ScsiAddress {
  readonly path: number;
  readonly target: number;
  readonly lun: number;
}

/** A disk; without a serial number it has one of its place. */
export type ScsiDiskDescription = Omit<ScsiDiskWorld, 'serial'> & Partial<Pick<ScsiDiskWorld, 'serial'>>;

export interface ScsiControllerState {
  readonly version: 1;
  readonly disks: readonly ScsiDiskState[];
}

/** Logical units that a controller can have. */
export const MOST_LUNS = 64;
const ADDRESS_SIZE = 8;

/** One target on one bus, whose logical units are disks: 0 … n. How commands come to it is up to others. */
export class ScsiController implements Device<ScsiControllerState> {
  readonly name = 'scsi';
  readonly disks: readonly ScsiDisk[];

  constructor(disks: readonly ScsiDiskDescription[]) {
    this.disks = disks.map((disk, lun) => new ScsiDisk({ ...disk, serial: disk.serial ?? `hyperscope-disk${lun}` }));
  }

  unitAt({ path, target, lun }: ScsiAddress): ScsiDisk | undefined {
    return path === 0 && target === 0 ? this.disks[lun] : undefined;
  }

  /** Undefined: there is no such unit, and nothing is to be said in its place. */
  execute(address: ScsiAddress, command: ScsiCommand, data: ScsiData): ScsiOutcome | undefined {
    if (command.operation === Operation.REPORT_LUNS) return this.reportLuns(address, command, data);
    const unit = this.unitAt(address);
    if (unit) return unit.execute(command, data);
    return command.operation === Operation.INQUIRY ? inquireNothing(address, command, data) : undefined;
  }

  /** SPC-4, 6.33: those of the target, in single level addresses. */
  private reportLuns({ path, target }: ScsiAddress, { cdb, allocation }: ScsiCommand, data: ScsiData): ScsiOutcome {
    const WELL_KNOWN_ONLY = 1;
    const selection = cdb[2] ?? 0;
    if (selection > 2) return refused(BAD_FIELD);
    const count = path === 0 && target === 0 && selection !== WELL_KNOWN_ONLY ? this.disks.length : 0;
    const view = new DataView(new ArrayBuffer((1 + count) * ADDRESS_SIZE));
    view.setUint32(0, count * ADDRESS_SIZE);
    for (let lun = 0; lun < count; lun++) view.setUint8((1 + lun) * ADDRESS_SIZE + 1, lun);
    return answer(new Uint8Array(view.buffer), allocation, data);
  }

  /** The bus, or the controller, is reset; what is on the disks stays. */
  resetUnits(): void {
    for (const disk of this.disks) disk.resetUnit();
  }

  reset(): void {
    for (const disk of this.disks) disk.reset();
  }
  *contents(): Iterable<Uint8Array> {
    for (const [lun, { disk }] of this.disks.entries()) {
      // Which disk it is on is a part of what was written.
      if (disk.written > 0) yield Uint8Array.of(lun);
      yield* disk.contents();
    }
  }
  save(): ScsiControllerState {
    return { version: 1, disks: this.disks.map((disk) => disk.save()) };
  }
  restore(state: ScsiControllerState): void {
    requireVersion(this.name, state, 1);
    for (const [lun, disk] of this.disks.entries()) {
      const saved = state.disks[lun];
      if (saved) disk.restore(saved);
    }
  }
  inspect(): InspectNode {
    return { name: this.name, children: this.disks.map((disk, lun) => disk.inspect(lun)) };
  }
}

function inquireNothing({ lun }: ScsiAddress, { cdb, allocation }: ScsiCommand, data: ScsiData): ScsiOutcome {
  const [, flags = 0, page = 0] = cdb;
  if ((flags & 1) !== 0 || page !== 0) return refused(BAD_FIELD);
  return answer(inquiryDataOfNothing(lun === 0), allocation, data);
}
