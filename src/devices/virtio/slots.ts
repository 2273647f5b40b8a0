import type { InterruptLine } from '../device.ts';
import type { DmaMemory } from '../dma.ts';
import { VirtioBlock } from './block/device.ts';
import { VirtioConsole } from './console/device.ts';
import { VirtioEntropy } from './entropy/device.ts';
import type { VirtioModel } from './model.ts';
import { VirtioMmio } from './transport/mmio.ts';
import { LENGTH } from './transport/registers.ts';

/** Slots for virtio-mmio devices as QEMU's microvm has them: places in memory, and pins of the I/O APIC from 16 on. */
const SLOTS_BASE = 0xfeb0_0000n;
const FIRST_LINE = 16;
export const SLOTS = 8;
/** The entropy device and the console. */
const OTHERS = 2;
/** Disks that a machine can have beside them. */
export const MOST_DISKS = SLOTS - OTHERS;

/** Virtio devices that a machine with so many disks has; none without disks. */
export const virtioDevicesBeside = (disks: number): number => (disks > 0 ? disks + OTHERS : 0);

/** Where a slot is. */
export function slotPlace(slot: number): { readonly base: bigint; readonly line: number } {
  return { base: SLOTS_BASE + BigInt(slot) * LENGTH, line: FIRST_LINE + slot };
}

/** What a machine's virtio devices are made of. */
export interface VirtioMachine {
  readonly dma: DmaMemory;
  /** Images of at most {@link MOST_DISKS} disks: whole sectors. They are not changed. */
  readonly disks: readonly Uint8Array[];
}

interface SlotsWorld extends VirtioMachine {
  readonly line: (number: number) => InterruptLine;
  /** The guest prints on the console. */
  readonly consoleOut: (byte: number) => void;
}

/** The virtio devices of a machine, in their slots: its disks, an entropy device, a console. */
export class VirtioSlots {
  readonly devices: readonly VirtioMmio[];
  readonly console: VirtioConsole;

  constructor(world: SlotsWorld) {
    const { dma, disks } = world;
    this.console = new VirtioConsole({ transmit: world.consoleOut });
    const blocks = disks.map((image, index) => new VirtioBlock({ image, serial: `hyperscope-disk${index}` }));
    const models: readonly VirtioModel[] = [...blocks, new VirtioEntropy(), this.console];
    this.devices = models.map((model, slot) => {
      const { base, line } = slotPlace(slot);
      // Disks have both kinds of rings to choose from, the others split ones: so a guest that takes packed rings shows both.
      const isDisk = slot < blocks.length;
      const name = isDisk && slot > 0 ? `${model.name}-${slot}` : model.name;
      return new VirtioMmio(model, { base, line: world.line(line), dma, offersPacked: isDisk, name });
    });
  }
}
