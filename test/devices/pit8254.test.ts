import { beforeEach, describe, expect, test } from 'vitest';
import { Pit8254 } from '../../src/devices/pit8254/device.ts';
import { FakeClock, FakeLine } from './fake-clock.ts';

let clock: FakeClock;
let line: FakeLine;
let pit: Pit8254;
const write = (port: number, ...values: number[]) => {
  for (const value of values) pit.writePort(port, 1, value);
};
const readWord = (port: number) => pit.readPort(port) | (pit.readPort(port) << 8);
/** ns of so many input clocks. */
const clocks = (count: number) => (BigInt(count) * 1_000_000_000n) / 1_193_182n + 1n;

beforeEach(() => {
  clock = new FakeClock();
  line = new FakeLine();
  pit = new Pit8254({ clock, line });
});

describe('the interval timer', () => {
  test('interrupts periodically in mode 2, at the programmed rate', () => {
    write(0x43, 0x34);
    write(0x40, 0x9b, 0x2e);
    line.rises = 0;
    clock.advance(1_000_000_000n);
    expect(line.rises).toBe(100);
  });

  test('interrupts once in mode 0', () => {
    write(0x43, 0x30);
    write(0x40, 0xe8, 0x03);
    expect(line.level).toBe(false);
    clock.advance(clocks(999));
    expect(line.level).toBe(false);
    clock.advance(clocks(2));
    expect(line.level).toBe(true);
    clock.advance(1_000_000_000n);
    expect(line.rises).toBe(1);
  });

  test('counts 0 as 65536: 18.2 Hz in mode 3', () => {
    write(0x43, 0x36);
    write(0x40, 0, 0);
    line.rises = 0;
    clock.advance(10_000_000_000n);
    expect(line.rises).toBe(182);
  });

  test('latches a count while it goes on', () => {
    write(0x43, 0x34);
    write(0x40, 0x00, 0x10);
    clock.advance(clocks(0x100));
    write(0x43, 0x00);
    clock.advance(clocks(0x200));
    expect(readWord(0x40)).toBe(0xf00);
    expect(readWord(0x40)).toBe(0xd00);
  });

  test('reads back status and count', () => {
    write(0x43, 0x34);
    write(0x43, 0xe2);
    expect(pit.readPort(0x40)).toBe(0xf4);
    write(0x40, 0x00, 0x10);
    write(0x43, 0xc2);
    expect(pit.readPort(0x40)).toBe(0xb4);
    expect(readWord(0x40)).toBe(0x1000);
  });

  test('counts in decimal', () => {
    write(0x43, 0x35);
    write(0x40, 0x00, 0x10);
    clock.advance(clocks(1));
    expect(readWord(0x40)).toBe(0x999);
  });

  test('gates channel 2 through port 0x61 and shows its output there', () => {
    write(0x43, 0xb0);
    write(0x42, 0x10, 0x00);
    clock.advance(clocks(100));
    expect(pit.readPort(0x61) & 0x20).toBe(0);
    write(0x61, 1);
    clock.advance(clocks(0x0f));
    expect(pit.readPort(0x61) & 0x21).toBe(1);
    clock.advance(clocks(2));
    expect(pit.readPort(0x61) & 0x21).toBe(0x21);
  });

  test('keeps ticking after save and restore', () => {
    write(0x43, 0x34);
    write(0x40, 0x9b, 0x2e);
    const state = structuredClone(pit.save());
    const otherLine = new FakeLine();
    const other = new Pit8254({ clock, line: otherLine });
    other.restore(state);
    clock.advance(100_000_000n);
    expect(otherLine.rises).toBe(10);
  });
});
