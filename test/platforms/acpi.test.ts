import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { imageOfBytes } from '../../src/devices/disk-image/raw-image.ts';
import { PciBus } from '../../src/devices/pci/bus.ts';
import { HostBridge } from '../../src/devices/pci/host-bridge.ts';
import { BAR_WINDOW, irqOf } from '../../src/devices/pci/places.ts';
import { VirtioEntropy } from '../../src/devices/virtio/entropy/device.ts';
import { VirtioPci } from '../../src/devices/virtio/transport/pci.ts';
import { acpiTables } from '../../src/platforms/acpi/acpi.ts';
import { FakeDma } from '../devices/virtio/fake-dma.ts';
import { guest } from './run-guest.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'hyperscope-acpi-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const hasIasl = spawnSync('iasl', ['-v']).status === 0;

const segments = acpiTables({ vcpus: 3, virtioDevices: 8 });
const view = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const sum = (bytes: Uint8Array) => bytes.reduce((total, value) => (total + value) & 0xff, 0);
const signature = (bytes: Uint8Array) => new TextDecoder().decode(bytes.subarray(0, 4));
function at(gpa: bigint): Uint8Array {
  const bytes = segments.find((segment) => segment.gpa === gpa)?.bytes;
  if (bytes === undefined) throw new Error(`no table is at 0x${gpa.toString(16)}`);
  return bytes;
}

describe('the tables', () => {
  test('are found from the root pointer on, with sums of zero', () => {
    const [root] = segments;
    expect([root?.gpa, root && new TextDecoder().decode(root.bytes.subarray(0, 8))]).toEqual([0xe_0000n, 'RSD PTR ']);
    const bytes = root?.bytes ?? new Uint8Array(0);
    expect([sum(bytes.subarray(0, 20)), sum(bytes)]).toEqual([0, 0]);
    const xsdt = at(view(bytes).getBigUint64(24, true));
    const [fadt, madt] = [36, 44].map((place) => at(view(xsdt).getBigUint64(place, true)));
    const dsdt = fadt && at(view(fadt).getBigUint64(140, true));
    for (const table of [xsdt, fadt, madt, dsdt])
      expect([table && sum(table), table && view(table).getUint32(4, true)]).toEqual([0, table?.length]);
    expect([xsdt, fadt, madt, dsdt].map((table) => table && signature(table))).toEqual(['XSDT', 'FACP', 'APIC', 'DSDT']);
    expect(fadt && signature(at(BigInt(view(fadt).getUint32(36, true))))).toBe('FACS');
  });

  test('lie one behind the other in the firmware area', () => {
    const sorted = [...segments].sort((a, b) => Number(a.gpa - b.gpa));
    sorted.forEach(({ gpa, size }, index) => {
      expect(gpa + BigInt(size)).toBeLessThanOrEqual(sorted[index + 1]?.gpa ?? 0x10_0000n);
    });
  });

  test.skipIf(!hasIasl)('are what the ACPI compiler reads them as', () => {
    for (const { bytes } of segments.slice(1)) {
      const file = path.join(folder, `${signature(bytes)}.dat`);
      writeFileSync(file, bytes);
      const { stdout, stderr } = spawnSync('iasl', ['-d', file], { encoding: 'latin1' });
      expect(`${stdout}${stderr}`).not.toMatch(/error|warning|invalid|incorrect/i);
    }
    const source = readFileSync(path.join(folder, 'DSDT.dsl'), 'latin1');
    expect(source.match(/"LNRO0005"/g)).toHaveLength(8);
    expect(source).toMatch(/Device \(VR07\).*0xFEB00E00,.*Level, ActiveHigh, Exclusive.*0x00000017/s);
    const processors = readFileSync(path.join(folder, 'APIC.dsl'), 'latin1');
    expect(processors.match(/\[Processor Local APIC\]/g)).toHaveLength(3);
    expect(processors).toMatch(/Bus : 00.*Source : 09.*Interrupt : 00000009.*Polarity : 1.*Trigger Mode : 3/s);
  });
});

describe('the tables of a PC', () => {
  const bus = new PciBus({ line: () => ({ set() {} }), irq: () => ({ set() {} }), window: BAR_WINDOW, irqOf });
  const world = { dma: new FakeDma(), send: () => {} };
  for (const device of [new HostBridge(), ...[0, 1].map(() => new VirtioPci(new VirtioEntropy(), world))]) bus.add(device);
  const tables = acpiTables({ vcpus: 2, virtioDevices: 0, pciBus: bus });
  const tableOf = (name: string) => tables.find(({ bytes }) => signature(bytes) === name)?.bytes ?? new Uint8Array(0);

  test('let messages be used, and are all listed', () => {
    expect([view(tableOf('FACP')).getUint16(109, true), sum(tableOf('MCFG')), sum(tableOf('DSDT'))]).toEqual([0x07, 0, 0]);
    expect(view(tableOf('XSDT')).getUint32(4, true)).toBe(36 + 3 * 8);
  });

  test.skipIf(!hasIasl)('are what the ACPI compiler reads them as', () => {
    for (const name of ['DSDT', 'MCFG']) {
      const file = path.join(folder, `pc-${name}.dat`);
      writeFileSync(file, tableOf(name));
      const { stdout, stderr } = spawnSync('iasl', ['-d', file], { encoding: 'latin1' });
      expect(`${stdout}${stderr}`).not.toMatch(/error|warning|invalid|incorrect/i);
    }
    const source = readFileSync(path.join(folder, 'pc-DSDT.dsl'), 'latin1');
    expect(source).toMatch(/Device \(PCI0\)\s+\{\s+Name \(_HID, EisaId \("PNP0A03"\)/);
    expect(source).toMatch(/DWordMemory \(.*MinFixed, MaxFixed,.*\n.*\n\s+0xC0000000,.*\n\s+0xDFFFFFFF,.*\n.*\n\s+0x20000000,/);
    expect(source).toMatch(/WordIO \(.*MinFixed, MaxFixed,.*EntireRange,\s.*\n\s+0x0D00,.*\n\s+0xFFFF,/);
    expect(source).toMatch(/IRQNoFlags \(\)\s+\{4\}/);
    expect(source).toMatch(/Device \(FWCF\)\s+\{\s+Name \(_HID, "QEMU0002"\).*?0x0510,.*?0x0510,.*?0x0C,/s);
    // One route for each pin that there is.
    expect([...source.matchAll(/(0x000.FFFF), \s+(\w+), \s+Zero, \s+(\w+)\s/g)].map(([, ...route]) => route)).toEqual([
      ['0x0001FFFF', '0x00', '0x11'],
      ['0x0002FFFF', '0x00', '0x12'],
    ]);
    expect(readFileSync(path.join(folder, 'pc-MCFG.dsl'), 'latin1')).toMatch(/Base Address : 00000000E0000000/);
  });
});

test.skipIf(!hasIasl)('a child of Hyper-V has the VMBus, and memory for its devices', () => {
  const tables = acpiTables({ vcpus: 1, virtioDevices: 0, hasVmbus: true });
  const file = path.join(folder, 'vmbus-DSDT.dat');
  writeFileSync(file, tables.find(({ bytes }) => signature(bytes) === 'DSDT')?.bytes ?? '');
  const { stdout, stderr } = spawnSync('iasl', ['-d', file], { encoding: 'latin1' });
  expect(`${stdout}${stderr}`).not.toMatch(/error|warning|invalid|incorrect/i);
  const source = readFileSync(path.join(folder, 'vmbus-DSDT.dsl'), 'latin1');
  expect(source).toMatch(
    /Device \(VMOD\).*"ACPI0004".*DWordMemory.*0xF0000000,.*0xF7FFFFFF,.*QWordMemory.*0x0000000FE0000000,.*0x0000000FFFFFFFFF,.*Device \(VMBS\).*"VMBus".*_STA, 0x0F.*\{5\}/s,
  );
});

test('a machine has them when it has disks, and else none', () => {
  const source = 'bits 64\n_start: hlt\n';
  const without = guest(source);
  expect(without.memory.read(0xe_0000n, 0x2_0000).every((byte) => byte === 0)).toBe(true);
  const disks = [{ path: 'disk.img', image: imageOfBytes(new Uint8Array(512)) }];
  const { memory } = guest(source, { disks });
  expect(new TextDecoder().decode(memory.read(0xe_0000n, 8))).toBe('RSD PTR ');
});
