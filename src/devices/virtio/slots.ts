import type { InterruptLine } from '../device.ts';
import type { DmaMemory } from '../dma.ts';
import type { VirtioPart } from './machine-devices.ts';
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

/** Where a slot is. */
export function slotPlace(slot: number): { readonly base: bigint; readonly line: number } {
  return { base: SLOTS_BASE + BigInt(slot) * LENGTH, line: FIRST_LINE + slot };
}

interface SlotsWorld {
  readonly dma: DmaMemory;
  readonly line: (number: number) => InterruptLine;
}

/** Puts devices behind virtio-mmio, into the slots from the first one on. */
export function placeInSlots(parts: readonly VirtioPart[], { dma, line: wire }: SlotsWorld): readonly VirtioMmio[] {
  return parts.map(({ model, name, offersPacked }, slot) => {
    const { base, line } = slotPlace(slot);
    return new VirtioMmio(model, { base, line: wire(line), dma, offersPacked, name });
  });
}
