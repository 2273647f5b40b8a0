import { VirtioBlock, type VirtioBlockWorld } from './block/device.ts';
import { VirtioConsole } from './console/device.ts';
import { VirtioEntropy } from './entropy/device.ts';
import type { VirtioModel } from './model.ts';

/** What is configured of a machine's virtio devices. */
export interface VirtioConfiguration {
  /** Of whole sectors. Their images are not changed. */
  readonly disks: readonly VirtioDisk[];
}

/** A disk; without a serial number it has one of its place. */
export type VirtioDisk = Omit<VirtioBlockWorld, 'serial'> & Partial<Pick<VirtioBlockWorld, 'serial'>>;

/** A device of a machine, before it has a place in it. */
export interface VirtioPart {
  readonly model: VirtioModel;
  /** Told apart from others of its kind: `virtio-blk`, `virtio-blk-1` … */
  readonly name: string;
  /** It offers packed rings too. */
  readonly offersPacked: boolean;
}

interface PartsWorld {
  /** The guest prints on the console. */
  readonly consoleOut: (byte: number) => void;
}

/** The virtio devices that a machine has, whatever their transport: its disks, an entropy device, a console. */
export class VirtioParts {
  readonly all: readonly VirtioPart[];
  readonly console: VirtioConsole;

  constructor({ disks }: VirtioConfiguration, world: PartsWorld) {
    this.console = new VirtioConsole({ transmit: world.consoleOut });
    // Disks have both kinds of rings to choose from, the others split ones: so a guest that takes packed rings shows both.
    const blocks = disks.map((disk, index): VirtioPart => {
      const model = new VirtioBlock({ ...disk, serial: disk.serial ?? `hyperscope-disk${index}` });
      return { model, name: numbered(model.name, index), offersPacked: true };
    });
    const others = [new VirtioEntropy(), this.console];
    this.all = [...blocks, ...others.map((model): VirtioPart => ({ model, name: model.name, offersPacked: false }))];
  }
}

/** The second one of a name has the number 1. */
function numbered(name: string, index: number): string {
  return index === 0 ? name : `${name}-${index}`;
}
