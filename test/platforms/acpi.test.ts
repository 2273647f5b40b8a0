import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { imageOfBytes } from '../../src/devices/disk-image/raw-image.ts';
import { acpiTables } from '../../src/platforms/acpi/acpi.ts';
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

test('a machine has them when it has disks, and else none', () => {
  const source = 'bits 64\n_start: hlt\n';
  const without = guest(source);
  expect(without.memory.read(0xe_0000n, 0x2_0000).every((byte) => byte === 0)).toBe(true);
  const disks = [{ path: 'disk.img', image: imageOfBytes(new Uint8Array(512)) }];
  const { memory } = guest(source, { disks });
  expect(new TextDecoder().decode(memory.read(0xe_0000n, 8))).toBe('RSD PTR ');
});
