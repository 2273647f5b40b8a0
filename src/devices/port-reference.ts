/** What the I/O ports of this machine are, for hover texts and register views. `last` is inclusive. */
export interface PortReference {
  readonly first: number;
  readonly last: number;
  readonly device: string;
  readonly description: string;
}

const rows: readonly (readonly [first: number, last: number, device: string, description: string])[] = [
  [0x20, 0x20, 'pic8259', 'master interrupt controller: commands (0x20 ends an interrupt), ISR or IRR'],
  [0x21, 0x21, 'pic8259', 'master interrupt controller: mask of IRQ 0–7'],
  [0x40, 0x40, 'pit8254', 'timer channel 0: IRQ 0'],
  [0x41, 0x41, 'pit8254', 'timer channel 1'],
  [0x42, 0x42, 'pit8254', 'timer channel 2: speaker, gated by port 0x61'],
  [0x43, 0x43, 'pit8254', 'timer control word'],
  [0x60, 0x60, 'i8042', 'keyboard controller: data'],
  [0x61, 0x61, 'pit8254', 'system control port B: gate (bit 0) and output (bit 5) of timer channel 2'],
  [0x64, 0x64, 'i8042', 'keyboard controller: status and commands (0xFE resets the machine)'],
  [0x70, 0x70, 'rtc-cmos', 'CMOS index'],
  [0x71, 0x71, 'rtc-cmos', 'CMOS data: clock and memory sizes'],
  [0x80, 0x80, 'system-control', 'POST code'],
  [0x92, 0x92, 'system-control', 'system control port A: fast reset (bit 0), A20 gate (bit 1)'],
  [0xa0, 0xa0, 'pic8259', 'slave interrupt controller: commands'],
  [0xa1, 0xa1, 'pic8259', 'slave interrupt controller: mask of IRQ 8–15'],
  [0xe9, 0xe9, 'debug-console', 'debug console: prints the byte'],
  [0xf4, 0xf7, 'debug-exit', 'debug exit: ends the run with status (V << 1) | 1'],
  [0x3f8, 0x3f8, 'uart16550', 'COM1: data, or divisor low with DLAB'],
  [0x3f9, 0x3f9, 'uart16550', 'COM1: interrupt enable, or divisor high with DLAB'],
  [0x3fa, 0x3fa, 'uart16550', 'COM1: interrupt identification, FIFO control'],
  [0x3fb, 0x3fb, 'uart16550', 'COM1: line control (bit 7 is DLAB)'],
  [0x3fc, 0x3fc, 'uart16550', 'COM1: modem control (OUT2, bit 3, lets interrupts through)'],
  [0x3fd, 0x3fd, 'uart16550', 'COM1: line status (bit 0 data ready, bit 5 transmitter empty)'],
  [0x3fe, 0x3fe, 'uart16550', 'COM1: modem status'],
  [0x3ff, 0x3ff, 'uart16550', 'COM1: scratch'],
  [0x4d0, 0x4d1, 'pic8259', 'edge/level control of the interrupt controllers'],
  [0x510, 0x510, 'fw-cfg', "QEMU's firmware configuration: key of an item, 16 bits"],
  [0x511, 0x511, 'fw-cfg', "QEMU's firmware configuration: next byte of the item"],
  [0x514, 0x51b, 'fw-cfg', "QEMU's firmware configuration: address of a DMA request, 64 bits big-endian; the low half starts it"],
  [0x600, 0x603, 'acpi-pm', 'ACPI PM1a status and enable'],
  [0x604, 0x605, 'acpi-pm', 'ACPI PM1a control: 0x2000 powers off'],
  [0x608, 0x60b, 'acpi-pm', 'ACPI PM timer, 3.579545 MHz, 24 bits'],
  [0xcf8, 0xcf8, 'pci-configuration', 'PCI configuration address, 32 bits, in a machine with PCI'],
  [0xcf9, 0xcf9, 'acpi-pm', 'reset control: 6 resets the machine'],
  [0xcfc, 0xcff, 'pci-configuration', 'PCI configuration data: the register that port 0xCF8 names'],
];

export const PORT_REFERENCE: readonly PortReference[] = rows.map(([first, last, device, description]) => ({
  first,
  last,
  device,
  description,
}));

/** The row of a port; undefined where nothing answers. */
export function portReference(port: number): PortReference | undefined {
  return PORT_REFERENCE.find((row) => port >= row.first && port <= row.last);
}
