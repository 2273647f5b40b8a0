import { SELECTOR as FW_CFG, PORTS as FW_CFG_PORTS } from '../../devices/fw-cfg/registers.ts';
import { KEYBOARD_IRQ } from '../../devices/i8042/registers.ts';
import { lineOf, type PciBus } from '../../devices/pci/bus.ts';
import { BAR_WINDOW, ECAM, pinOf } from '../../devices/pci/places.ts';
import { CONFIG_ADDRESS, Config } from '../../devices/pci/registers.ts';
import { IRQ as RTC_IRQ } from '../../devices/rtc-cmos/registers.ts';
import { COM1 } from '../../devices/uart16550/registers.ts';
import * as aml from './aml.ts';
import { table } from './tables.ts';

/** Bytes of a table's header (ACPI 6.5, 5.2.6). */
const HEADER = 36;
const CONFIG_PORTS = 8;
const LAST_PORT = 0xffff;

/** What the DSDT of a PC describes: the PCI bus, and the devices that no bus tells of. */
export function pcDevices(bus: PciBus): readonly aml.Aml[] {
  return [
    hostBridge(bus),
    // Its memory belongs to no device, and systems use it only where somebody says that it is taken.
    aml.device('ECAM', ...identity('PNP0C02'), resources(aml.memory32(Number(ECAM.base), Number(ECAM.length)))),
    aml.device(
      'FWCF',
      aml.name('_HID', aml.string('QEMU0002')),
      // Present and working, but nothing for a user to see.
      aml.name('_STA', aml.byte(0x0b)),
      resources(aml.ports(FW_CFG, FW_CFG_PORTS)),
    ),
    aml.device('RTC_', ...identity('PNP0B00'), resources(aml.ports(0x70, 2), aml.isaInterrupt(RTC_IRQ))),
    aml.device('KBD_', ...identity('PNP0303'), resources(aml.ports(0x60, 1), aml.ports(0x64, 1), aml.isaInterrupt(KEYBOARD_IRQ))),
    aml.device('COM1', ...identity('PNP0501'), resources(aml.ports(COM1.base, 8), aml.isaInterrupt(COM1.irq))),
  ];
}

const identity = (id: string): readonly aml.Aml[] => [aml.name('_HID', aml.eisaId(id)), aml.name('_UID', aml.byte(1))];
const resources = (...descriptors: readonly aml.Aml[]): aml.Aml => aml.name('_CRS', aml.resources(...descriptors));

/** Bus 0 (ACPI 6.5, 6.5.5): what its bridge passes on, and where interrupts go. */
function hostBridge(bus: PciBus): aml.Aml {
  const [first, end] = [Number(BAR_WINDOW.base), Number(BAR_WINDOW.base + BAR_WINDOW.length)];
  return aml.device(
    'PCI0',
    ...identity('PNP0A03'),
    resources(
      aml.busRange(0, 0),
      aml.ports(CONFIG_ADDRESS, CONFIG_PORTS),
      aml.portRange(0, CONFIG_ADDRESS - 1),
      aml.portRange(CONFIG_ADDRESS + CONFIG_PORTS, LAST_PORT),
      aml.memoryRange(first, end - 1),
    ),
    aml.name('_PRT', aml.packageOf(...routes(bus))),
  );
}

/** Of the pins that there are alone (6.2.13): reading a table of all slots would take longer than the rest of a start. */
function routes({ functions }: PciBus): readonly aml.Aml[] {
  return functions.flatMap(({ configuration }, slot) => {
    const pin = configuration.read(Config.INTERRUPT_PIN, 1);
    if (pin === 0) return [];
    const anyFunction = ((slot << 16) | 0xffff) >>> 0;
    return [aml.packageOf(aml.dword(anyFunction), aml.byte(pin - 1), aml.zero, aml.byte(pinOf(lineOf(slot, pin))))];
  });
}

/** Where configuration spaces are in memory (PCI Firmware 3.3, 4.1.2). */
export function mcfg(): Uint8Array {
  return table('MCFG', 1, HEADER + 24, (view) => {
    view.setBigUint64(HEADER + 8, ECAM.base, true);
    // Segment 0, from bus 0 to bus 0.
  });
}
