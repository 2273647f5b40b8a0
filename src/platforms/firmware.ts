import type { PcDevices } from '../devices/pc/pc.ts';
import { LEVEL_IRQS } from '../devices/pci/places.ts';
import * as Pic from '../devices/pic8259/registers.ts';

/** Vectors that a PC's BIOS gives IRQ 0–7 and 8–15. */
const BIOS_VECTORS = { master: 0x08, slave: 0x70 } as const;
const NEEDS_ICW4_CASCADED = 0x11;
const MODE_8086 = 1;
const ALL_MASKED = 0xff;

/**
 * Leaves the interrupt controllers as a BIOS does before it starts a boot sector, except that all lines are masked: the
 * timer of a real BIOS would interrupt at some moment that has nothing to do with the program.
 */
export function initializeLikeBios({ ports }: PcDevices): void {
  const write = (port: number, ...values: readonly number[]) => {
    for (const value of values) ports.write(port, 1, value);
  };
  write(Pic.MASTER_COMMAND, NEEDS_ICW4_CASCADED);
  write(Pic.MASTER_DATA, BIOS_VECTORS.master, 1 << Pic.CASCADE, MODE_8086, ALL_MASKED);
  write(Pic.SLAVE_COMMAND, NEEDS_ICW4_CASCADED);
  write(Pic.SLAVE_DATA, BIOS_VECTORS.slave, Pic.CASCADE, MODE_8086, ALL_MASKED);
}

/** Makes the interrupts of the PICs that PCI has level-triggered, as a BIOS does. */
export function connectPciInterrupts({ ports }: PcDevices): void {
  ports.write(Pic.ELCR_SLAVE, 1, LEVEL_IRQS);
}
