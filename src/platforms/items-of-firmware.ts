import { type FirmwareItems, firmwareItems, type Placed } from '../devices/fw-cfg/items.ts';
import { ramRanges, terminated } from '../programs/boot/pvh.ts';
import type { BootImage } from '../programs/boot-image.ts';
import type { Program } from '../programs/program.ts';
import type { PartitionConfiguration } from './configuration.ts';
import type { MemoryMap } from './memory-map.ts';

/** Where QEMU tells its firmware to put a kernel's setup code and its command line. */
const SETUP = 0x1_0000n;
const COMMAND_LINE = 0x2_0000n;
const E820_ENTRY = 20;

/** What a machine tells a firmware that would boot the program; no firmware is there, and the program can look itself. */
export function itemsOfFirmware(
  { vcpus, initrd, commandLine }: PartitionConfiguration,
  { linux, segments: [kernel] }: Program,
  { segments }: BootImage,
  map: MemoryMap,
): FirmwareItems {
  const place = (gpa: bigint, bytes: Uint8Array): Placed => ({ gpa, bytes });
  const initrdAt = segments.find(({ bytes }) => bytes === initrd)?.gpa ?? 0n;
  return firmwareItems({
    processors: vcpus,
    ram: map.lowTop + map.highMemory,
    kernel: linux && kernel && place(kernel.gpa, kernel.bytes),
    setup: linux && place(SETUP, linux.setup),
    initrd: initrd && place(initrdAt, initrd),
    commandLine: commandLine === undefined ? undefined : place(COMMAND_LINE, terminated(commandLine)),
    files: new Map([['etc/e820', e820(map)]]),
  });
}

/** The memory map as the PC's firmware reports it (ACPI 6.5, 15.1): start, length and type of each range. */
function e820({ lowTop, highMemory }: MemoryMap): Uint8Array {
  const ranges = ramRanges(lowTop, highMemory);
  const view = new DataView(new ArrayBuffer(ranges.length * E820_ENTRY));
  ranges.forEach(({ start, size, type }, index) => {
    view.setBigUint64(index * E820_ENTRY, start, true);
    view.setBigUint64(index * E820_ENTRY + 8, size, true);
    view.setUint32(index * E820_ENTRY + 16, type, true);
  });
  return new Uint8Array(view.buffer);
}
