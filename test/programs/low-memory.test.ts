import { describe, expect, test } from 'vitest';
import { bootImage } from '../../src/programs/boot/boot-image.ts';
import type { BootImage } from '../../src/programs/boot-image.ts';
import type { LoadSegment, Program } from '../../src/programs/program.ts';

const RAM_TOP = 0x400_0000n;

function program(protocol: 'pvh' | 'multiboot1', gpa: bigint, size: number): Program {
  const segments = [{ gpa, bytes: new Uint8Array(size), size }];
  return { kind: 'elf32', path: 'kernel.elf', protocol, mode: 32, entry: gpa, segments, symbols: [], sections: new Map() };
}

function boot(protocol: 'pvh' | 'multiboot1', gpa: bigint, size: number): BootImage {
  const initrd = new Uint8Array(16).fill(7);
  return bootImage(program(protocol, gpa, size), { ramTop: RAM_TOP, commandLine: 'words', initrd });
}

function overlap(a: LoadSegment, b: LoadSegment): boolean {
  return a.gpa < b.gpa + BigInt(b.size) && b.gpa < a.gpa + BigInt(a.size);
}

/** The text that a 32-bit field of the information at EBX points at. */
function commandLine({ entry, segments }: BootImage, field: number): string {
  const info = segments.find(({ gpa }) => gpa === entry.registers.rbx);
  if (!info) throw new Error('EBX points at nothing');
  const address = new DataView(info.bytes.buffer, info.bytes.byteOffset).getUint32(field, true);
  const text = segments.find(({ gpa }) => gpa === BigInt(address));
  return new TextDecoder().decode(text?.bytes);
}

describe('what a boot protocol hands over', () => {
  test.each([
    ['multiboot1', 0x9500n, 16, 'kernel.elf words\0'],
    ['pvh', 0x6000n, 24, 'words\0'],
  ] as const)('of %s has its usual place beside a program at 1 MiB', (protocol, place, field, text) => {
    const image = boot(protocol, 0x10_0000n, 0x1000);
    expect(image.entry.registers.rbx).toBe(place);
    expect(commandLine(image, field)).toBe(text);
  });

  test.each([
    ['multiboot1', 16, 'kernel.elf words\0'],
    ['pvh', 24, 'words\0'],
  ] as const)('of %s keeps away from a program in low memory', (protocol, field, text) => {
    const image = boot(protocol, 0x4000n, 0x4_0000);
    for (const [index, segment] of image.segments.entries())
      for (const other of image.segments.slice(index + 1)) expect(overlap(segment, other)).toBe(false);
    expect(commandLine(image, field)).toBe(text);
  });

  test('has no place when a program fills low memory', () => {
    expect(() => boot('multiboot1', 0n, 0xa_0000)).toThrow(/fills the memory below 640 KiB/);
  });
});
