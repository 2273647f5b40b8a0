import { PM_BASE, PM_TIMER, PM1_CONTROL, PM1_STATUS, RESET_CONTROL, ResetControl } from '../../devices/acpi-pm/registers.ts';
import { IOAPIC_BASE } from '../../devices/io-apic/registers.ts';
import { slotPlace } from '../../devices/virtio/slots.ts';
import { LENGTH } from '../../devices/virtio/transport/registers.ts';
import * as aml from './aml.ts';

/** Bytes of a table's header (ACPI 6.5, 5.2.6). */
const HEADER = 36;
const LOCAL_APIC = 0xfee0_0000;
/** The interrupt of ACPI's fixed hardware, as a PC has it. */
const SCI = 9;

/** A table with its header and checksum. `fill` writes behind the header. */
export function table(signature: string, revision: number, length: number, fill: (view: DataView) => void): Uint8Array {
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  const text = (at: number, words: string) => bytes.set(new TextEncoder().encode(words), at);
  text(0, signature);
  view.setUint32(4, length, true);
  view.setUint8(8, revision);
  text(10, 'HYPERS');
  text(16, 'HYPRSCOP');
  view.setUint32(24, 1, true);
  text(28, 'HYPS');
  view.setUint32(32, 1, true);
  fill(view);
  bytes[9] = checksum(bytes);
  return bytes;
}

/** What makes the sum of all bytes zero. */
export function checksum(bytes: Uint8Array): number {
  return -bytes.reduce((sum, value) => sum + value, 0) & 0xff;
}

/** Multiple APIC description table (5.2.12): who the processors are, and where the interrupt controllers. */
export function madt(vcpus: number): Uint8Array {
  const entries = [
    ...Array.from({ length: vcpus }, (_, id) => [0, 8, id, id, 1, 0, 0, 0]),
    [1, 12, 0, 0, ...words(Number(IOAPIC_BASE), 0)],
    // ISA interrupt 0 is at pin 2; the SCI is level-triggered and active high; LINT1 of all processors is the NMI.
    [2, 10, 0, 0, ...words(2), 0, 0],
    [2, 10, 0, SCI, ...words(SCI), 0x0d, 0],
    [4, 6, 0xff, 0, 0, 1],
  ].flat();
  return table('APIC', 4, HEADER + 8 + entries.length, (view) => {
    view.setUint32(HEADER, LOCAL_APIC, true);
    // There are PICs too.
    view.setUint32(HEADER + 4, 1, true);
    entries.forEach((value, index) => {
      view.setUint8(HEADER + 8 + index, value);
    });
  });
}

function words(...values: readonly number[]): number[] {
  return values.flatMap((value) => [0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff));
}

/** The table of all that is no standard (5.2.11.1): power-off, the virtio devices in their slots, and what else is described. */
export function dsdt(virtioDevices: number, others: readonly aml.Aml[] = []): Uint8Array {
  const devices = Array.from({ length: virtioDevices }, (_, slot) => {
    const { base, line } = slotPlace(slot);
    return aml.device(
      `VR${slot.toString().padStart(2, '0')}`,
      aml.name('_HID', aml.string('LNRO0005')),
      aml.name('_UID', aml.byte(slot)),
      aml.name('_CRS', aml.resources(aml.memory32(Number(base), Number(LENGTH)), aml.levelInterrupt(line))),
    );
  });
  const code = [
    ...aml.name('_S5_', aml.packageOf(aml.zero, aml.zero, aml.zero, aml.zero)),
    ...aml.scope('_SB_', ...devices, ...others),
  ];
  return table('DSDT', 2, HEADER + code.length, (view) => {
    code.forEach((value, index) => {
      view.setUint8(HEADER + index, value);
    });
  });
}

/** Firmware control structure (5.2.10), which no guest here needs but all expect. It has no checksum. */
export function facs(): Uint8Array {
  const bytes = new Uint8Array(64);
  bytes.set(new TextEncoder().encode('FACS'));
  const view = new DataView(bytes.buffer);
  view.setUint32(4, bytes.length, true);
  view.setUint8(32, 2);
  return bytes;
}

/** Generic addresses (5.2.3.2) of I/O ports. */
const IN_PORTS = 1;
const ACCESS_SIZES: Readonly<Record<number, number>> = { 8: 1, 16: 2, 32: 3 };

/** Fixed ACPI description table (5.2.9): the ports of power management. ACPI is on from the start, so there is no SMI command. */
export function fadt(places: { readonly facs: bigint; readonly dsdt: bigint }, hasMsi = false): Uint8Array {
  return table('FACP', 5, 268, (view) => {
    const port = (at: number, number: number, bits: 8 | 16 | 32) => {
      view.setUint8(at, IN_PORTS);
      view.setUint8(at + 1, bits);
      view.setUint8(at + 3, ACCESS_SIZES[bits] ?? 0);
      view.setBigUint64(at + 4, BigInt(number), true);
    };
    view.setUint32(36, Number(places.facs), true);
    view.setUint32(40, Number(places.dsdt), true);
    view.setUint16(46, SCI, true);
    view.setUint32(56, PM1_STATUS, true);
    view.setUint32(64, PM1_CONTROL, true);
    view.setUint32(76, PM_TIMER, true);
    view.setUint8(88, 4);
    view.setUint8(89, 2);
    view.setUint8(91, 4);
    // No C2 and no C3.
    view.setUint16(96, 0xffff, true);
    view.setUint16(98, 0xffff, true);
    view.setUint8(108, 0x32);
    // There are devices of a PC and a keyboard controller, but no VGA; MSIs come with PCI, also with the virtual buses of Hyper-V.
    view.setUint16(109, hasMsi ? 0x07 : 0x0f, true);
    // WBINVD works, no buttons, the reset register counts.
    view.setUint32(112, 1 | (1 << 4) | (1 << 5) | (1 << 10), true);
    port(116, RESET_CONTROL, 8);
    view.setUint8(128, ResetControl.HARD | ResetControl.RESET);
    view.setUint8(131, 1);
    view.setBigUint64(140, places.dsdt, true);
    port(148, PM_BASE, 32);
    port(172, PM1_CONTROL, 16);
    port(208, PM_TIMER, 32);
  });
}
