/** Where a PC has PCI: addresses as QEMU's machines have them, beyond the end of RAM below 4 GiB. */

/** For memory BARs. */
export const BAR_WINDOW = { base: 0xc000_0000n, length: 0x2000_0000n } as const;

/** Configuration spaces in memory (PCI Express 6.0, 7.2.2): 4 KiB for each function, of bus 0 alone. */
export const ECAM = { base: 0xe000_0000n, length: 0x10_0000n } as const;

/** The pin of the I/O APIC that an interrupt line of the bus leads to. */
export const pinOf = (line: number): number => 16 + line;
/** The interrupt at the PICs that it leads to. */
export const irqOf = (line: number): number => 10 + (line & 1);
/** Those, as bits of the edge/level control register of the second PIC: they are level-triggered. */
export const LEVEL_IRQS = 0x0c;
