import { describe, expect, test } from 'vitest';
import { LinuxKernel } from '../../../src/symbols/linux/kernel.ts';
import { LinuxSymbols } from '../../../src/symbols/linux/linux-symbols.ts';
import { openSymbols } from '../../../src/symbols/open-symbols.ts';
import { kallsyms, LAYOUTS } from './tables.ts';

const START = 0xffff_ffff_9a00_0000n;
const GPA = 0x1f00_0000n;
const BANNER = 0x40_0000n;
const BANNER_TEXT = 'Linux version 6.1.0 (a@b) #1 SMP';

const SYMBOLS = [
  { name: 'fixed_percpu_data', type: 'A', address: 0n },
  { name: 'current_task', type: 'A', address: 0x1fb80n },
  { name: '_text', type: 'T', address: START },
  ...Array.from({ length: 20 }, (_, index) => ({ name: `f${index}`, type: 't', address: START + 0x100n * BigInt(index + 1) })),
  { name: '__f_text_start', type: 'T', address: START + 0x100n * 20n },
  { name: 'jiffies', type: 'D', address: START + 0x20_0000n },
  { name: 'linux_banner', type: 'D', address: START + BANNER },
  { name: '_end', type: 'B', address: START + 0x50_0000n },
];

/** RAM with a kernel's banner at its place and its symbols somewhere else in it. */
function ram(banner = BANNER_TEXT): Uint8Array {
  const image = new Uint8Array(0x50_0000);
  const text = (at: bigint, value: string) => image.set(new TextEncoder().encode(`${value}\n\0`), Number(at));
  text(BANNER - 0x1000n, 'Linux version %s');
  text(BANNER, banner);
  image.set(kallsyms(SYMBOLS, LAYOUTS['6.1']).bytes, 0x30_0000);
  return image;
}

function find(image: Uint8Array, gpa = GPA): LinuxKernel | undefined {
  return LinuxKernel.find([{ gpa, bytes: image }], (at, length) => image.slice(Number(at - gpa), Number(at - gpa) + length));
}

describe('a kernel in memory', () => {
  test('is found with its banner, and read where it lies', () => {
    const kernel = find(ram());
    expect(kernel?.banner).toBe(BANNER_TEXT);
    expect(kernel?.memory.translate(START)).toBe(GPA);
    expect(kernel?.memory.text(START + BANNER, 5)).toBe('Linux');
    expect(kernel?.btf).toBeUndefined();
  });

  test('is none without its banner at the place that its symbols say', () => {
    expect(find(ram('Linux virgin 6'))).toBeUndefined();
    expect(find(ram(), GPA + 0x1000n)).toBeUndefined();
    expect(find(new Uint8Array(0x1000))).toBeUndefined();
  });
});

describe('symbols of a guest that runs Linux', () => {
  const program = openSymbols({
    mode: 64,
    symbols: [{ name: 'loader', address: 0x10_0000n, size: 16, kind: 'function', global: true }],
  });

  test('are those of the program until a kernel is found', () => {
    const symbols = new LinuxSymbols(program);
    expect(symbols.describe(0x10_0004n)).toBe('loader+0x4');
    expect(symbols.describe(START + 0x104n)).toBeUndefined();
    symbols.setKernel(find(ram()));
    expect(symbols.describe(0x10_0004n)).toBe('loader+0x4');
    expect(symbols.describe(START + 0x104n)).toBe('f0+0x4');
    symbols.setKernel(undefined);
    expect(symbols.describe(START + 0x104n)).toBeUndefined();
  });

  test('are functions, data, and the places of data that each processor has', () => {
    const symbols = new LinuxSymbols(program);
    symbols.setKernel(find(ram()));
    expect(symbols.functionsNamed('f3').map(({ low, high }) => [low, high])).toEqual([[START + 0x400n, START + 0x500n]]);
    expect(symbols.functionsNamed('/^f1.$/')).toHaveLength(10);
    expect(symbols.functionsNamed('jiffies')).toEqual([]);
    // Of two names the first one.
    expect(symbols.describe(START + 0x1404n)).toBe('f19+0x4');
    expect(symbols.symbol('jiffies')).toMatchObject({ address: START + 0x20_0000n, size: 0x20_0000 });
    expect(symbols.symbol('current_task')).toEqual({ address: 0x1fb80n, size: 0 });
    // A small number is no place in the kernel.
    expect(symbols.describe(0x1fb80n)).toBeUndefined();
    expect(symbols.namesWith('ji', 5)).toEqual(['jiffies']);
    expect(symbols.namesWith('f', 3)).toHaveLength(3);
  });

  test('say why a stack ends in a process whose program is unknown', () => {
    const symbols = new LinuxSymbols(program);
    const frame = { pc: 0x40_1000n, registers: { get: () => undefined }, memory: () => undefined, pointerSize: 8 };
    expect(symbols.whyNoCaller(frame)).toBeUndefined();
    symbols.setProcesses(() => 0x1000n);
    expect(symbols.whyNoCaller(frame)).toBe('no symbols of this program');
    expect(symbols.whyNoCaller({ ...frame, pc: 0x10_0004n })).toBeUndefined();
  });
});
