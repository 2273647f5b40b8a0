import * as aml from './aml.ts';

/** Where a virtual machine's synthetic devices may have memory: below 4 GiB, behind the configuration spaces of PCI. */
export const VMBUS_MMIO = { base: 0xf000_0000n, length: 0x0800_0000n } as const;
/** And above: 64-bit BARs of functions that are passed through go there. As Hyper-V has it, at the end of the first 64 GiB. */
export const VMBUS_HIGH_MMIO = { base: 0xf_e000_0000n, length: 0x2000_0000n } as const;
/** An interrupt that nobody uses: the bus has those of the synthetic interrupt controllers, but drivers expect one to be named. */
const IRQ = 5;

/**
 * The VMBus as systems look for it: a device of that name, inside a module whose resources (ACPI 6.5, 9.12.1) are what its devices may
 * have of memory.
 */
export function vmbusDevice(): aml.Aml {
  const [first, end] = [Number(VMBUS_MMIO.base), Number(VMBUS_MMIO.base + VMBUS_MMIO.length)];
  const { base, length } = VMBUS_HIGH_MMIO;
  return aml.device(
    'VMOD',
    aml.name('_HID', aml.string('ACPI0004')),
    aml.name('_UID', aml.zero),
    aml.name('_CRS', aml.resources(aml.memoryRange(first, end - 1), aml.highMemoryRange(base, base + length - 1n))),
    aml.device(
      'VMBS',
      aml.name('_HID', aml.string('VMBus')),
      aml.name('_UID', aml.zero),
      aml.name('_STA', aml.byte(PRESENT)),
      aml.name('_CRS', aml.resources(aml.isaInterrupt(IRQ))),
    ),
  );
}

/** Present, enabled, shown and working (6.3.7). */
const PRESENT = 0x0f;
