import type { PciBus } from '../../devices/pci/bus.ts';
import type { LoadSegment } from '../../programs/program.ts';
import { mcfg, pcDevices } from './pci.ts';
import { checksum, dsdt, facs, fadt, madt, table } from './tables.ts';
import { vmbusDevice } from './vmbus.ts';

/** Where firmware leaves the root pointer for systems that search for it (ACPI 6.5, 5.2.5.1), and the tables behind it. */
export const ROOT = 0xe_0000n;
const TABLES = ROOT + 0x40n;
const ALIGNMENT = 0x40n;
const HEADER = 36;

/** What a machine has that only tables tell of. */
export interface AcpiMachine {
  readonly vcpus: number;
  readonly virtioDevices: number;
  /** Where it has one. */
  readonly pciBus?: PciBus;
  /** It is a partition whose parent has devices for it. */
  readonly hasVmbus?: boolean;
}

/**
 * ACPI tables of a machine, as a firmware leaves them below 1 MiB: the root pointer at 0xE0000, then
 * XSDT, FADT, MADT, DSDT, FACS, and MCFG in a machine with PCI.
 */
export function acpiTables({ vcpus, virtioDevices, pciBus, hasVmbus = false }: AcpiMachine): readonly LoadSegment[] {
  const segments: LoadSegment[] = [];
  let end = TABLES;
  const place = (bytes: Uint8Array): bigint => {
    const gpa = (end + ALIGNMENT - 1n) & -ALIGNMENT;
    end = gpa + BigInt(bytes.length);
    segments.push({ gpa, bytes, size: bytes.length });
    return gpa;
  };
  const described = [...(pciBus ? pcDevices(pciBus) : []), ...(hasVmbus ? [vmbusDevice()] : [])];
  const fixed = place(
    fadt({ facs: place(facs()), dsdt: place(dsdt(virtioDevices, described)) }, pciBus !== undefined || hasVmbus),
  );
  const entries = [fixed, place(madt(vcpus)), ...(pciBus ? [place(mcfg())] : [])];
  const extended = place(
    table('XSDT', 1, HEADER + 8 * entries.length, (view) => {
      entries.forEach((gpa, index) => {
        view.setBigUint64(HEADER + 8 * index, gpa, true);
      });
    }),
  );
  const root = rootPointer(extended);
  return [{ gpa: ROOT, bytes: root, size: root.length }, ...segments];
}

/** Root system description pointer (5.2.5.3) of version 2. The first 20 bytes have a checksum of their own. */
function rootPointer(xsdt: bigint): Uint8Array {
  const bytes = new Uint8Array(HEADER);
  const view = new DataView(bytes.buffer);
  bytes.set(new TextEncoder().encode('RSD PTR '));
  bytes.set(new TextEncoder().encode('HYPERS'), 9);
  view.setUint8(15, 2);
  view.setUint32(20, HEADER, true);
  view.setBigUint64(24, xsdt, true);
  bytes[8] = checksum(bytes.subarray(0, 20));
  bytes[32] = checksum(bytes);
  return bytes;
}
