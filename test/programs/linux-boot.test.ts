import { describe, expect, test } from 'vitest';
import { bootImage } from '../../src/programs/boot/boot-image.ts';
import { loadProgram } from '../../src/programs/load-program.ts';
import type { FileAccess } from '../../src/programs/program.ts';

const NO_FILES: FileAccess = {
  read: () => {
    throw new Error('no file is read');
  },
  exists: () => false,
  resolve: (_from, relative) => relative,
};
const SECTOR = 512;
const SETUP_SECTORS = 3;
const KERNEL_AT = 0x100_0000n;
const RAM_TOP = 0x800_0000n;

/** An image as Linux's build makes it, with nothing in its kernel but its number bytes. */
function kernel(changes: { readonly at: number; readonly bytes: readonly number[] }[] = []): Uint8Array {
  const bytes = new Uint8Array((SETUP_SECTORS + 1) * SECTOR + 1000).fill(0xcc, (SETUP_SECTORS + 1) * SECTOR);
  const view = new DataView(bytes.buffer);
  view.setUint8(0x1f1, SETUP_SECTORS);
  view.setUint16(0x1fe, 0xaa55, true);
  bytes.set([0xeb, 0x6a], 0x200);
  view.setUint32(0x202, 0x5372_6448, true);
  view.setUint16(0x206, 0x20f, true);
  view.setUint8(0x211, 1);
  view.setUint32(0x22c, 0x7fff_ffff, true);
  view.setUint16(0x236, 1, true);
  view.setUint32(0x238, 2047, true);
  view.setBigUint64(0x258, KERNEL_AT, true);
  view.setUint32(0x260, 0x20_0000, true);
  for (const { at, bytes: values } of changes) bytes.set(values, at);
  return bytes;
}

const load = (bytes: Uint8Array) => loadProgram(bytes, 'vmlinuz', {}, NO_FILES);

describe('a Linux kernel by its own boot protocol', () => {
  test('is entered in long mode behind where it wants to lie, with RSI at its parameters', () => {
    const image = bootImage(load(kernel()), { ramTop: RAM_TOP });
    expect(image.entry).toMatchObject({ mode: 64, rip: KERNEL_AT + 0x200n, cr0: 0x8000_0011n, efer: 0x500n });
    expect([image.entry.segments.cs.selector, image.entry.segments.ds.selector]).toEqual([0x10, 0x18]);
    const loaded = image.segments.find(({ gpa }) => gpa === KERNEL_AT);
    expect([loaded?.size, loaded?.bytes[0]]).toEqual([1000, 0xcc]);
    expect(image.entry.registers.rsi).toBe(0x1_0000n);
  });

  test('finds command line, initial RAM disk, memory map and ACPI root pointer in its parameters', () => {
    const initrd = new Uint8Array(5000).fill(7);
    const image = bootImage(load(kernel()), {
      ramTop: RAM_TOP,
      highMemory: 0x4000_0000n,
      commandLine: 'quiet',
      initrd,
      rootPointer: 0xe_0000n,
    });
    const at = (gpa: bigint) => image.segments.find((segment) => segment.gpa === gpa)?.bytes ?? new Uint8Array(0);
    const bytes = at(image.entry.registers.rsi ?? 0n);
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    expect([view.getUint32(0x202, true), view.getUint8(0x210)]).toEqual([0x5372_6448, 0xff]);
    expect(new TextDecoder().decode(at(BigInt(view.getUint32(0x228, true))))).toBe('quiet\0');
    expect([view.getUint32(0x218, true), view.getUint32(0x21c, true)]).toEqual([0x7ff_e000, 5000]);
    expect(at(0x7ff_e000n)).toBe(initrd);
    expect(view.getBigUint64(0x70, true)).toBe(0xe_0000n);
    const map = Array.from({ length: view.getUint8(0x1e8) }, (_, index) => {
      const entry = 0x2d0 + index * 20;
      return [view.getBigUint64(entry, true), view.getBigUint64(entry + 8, true), view.getUint32(entry + 16, true)];
    });
    expect(map).toEqual([
      [0n, 0xa_0000n, 1],
      [0xa_0000n, 0x6_0000n, 2],
      [0x10_0000n, 0x7f0_0000n, 1],
      [0x1_0000_0000n, 0x4000_0000n, 1],
    ]);
  });

  test('without an entry for 64-bit code is entered in protected mode', () => {
    const image = bootImage(load(kernel([{ at: 0x236, bytes: [0, 0] }])), { ramTop: RAM_TOP });
    expect(image.entry).toMatchObject({ mode: 32, rip: KERNEL_AT, cr0: 0x11n, efer: 0n });
    expect(image.entry.registers.rsi).toBe(0x1_0000n);
  });

  test.each([
    ['with boot protocol 2.05', [{ at: 0x206, bytes: [5, 2] }], /boot protocol 2\.05; Linux 3\.8 and later/],
    ['of the kind zImage', [{ at: 0x211, bytes: [0] }], /a zImage\); build a bzImage/],
    ['whose setup code is longer than the file', [{ at: 0x1f1, bytes: [64] }], /setup code alone has 33280; the file is cut off/],
  ])('%s is refused with a sentence', (_what, changes, message) => {
    expect(() => load(kernel(changes))).toThrow(message);
  });

  test('that ends within its header is refused with a sentence', () => {
    expect(() => load(kernel().subarray(0, 0x250))).toThrow(/ends within its header; the file is cut off/);
  });

  test('is refused where its memory or its command line has no room', () => {
    const program = load(kernel());
    expect(() => bootImage(program, { ramTop: 0x110_0000n })).toThrow(/into memory up to 18M, and the guest has 17M/);
    const commandLine = 'x'.repeat(2048);
    expect(() => bootImage(program, { ramTop: RAM_TOP, commandLine })).toThrow(
      /has 2048 bytes, and vmlinuz takes 2047; shorten it/,
    );
  });
});
