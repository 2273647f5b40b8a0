import { beforeEach, describe, expect, test } from 'vitest';
import { Uart16550 } from '../../src/devices/uart16550/device.ts';
import { FakeLine } from './fake-clock.ts';

let line: FakeLine;
let sent: number[];
let uart: Uart16550;
const read = (offset: number) => uart.readPort(0x3f8 + offset);
const write = (offset: number, value: number) => uart.writePort(0x3f8 + offset, 1, value);
const bytes = (text: string) => new TextEncoder().encode(text);

beforeEach(() => {
  line = new FakeLine();
  sent = [];
  uart = new Uart16550({ base: 0x3f8, line, transmit: (byte) => sent.push(byte) });
});

describe('the serial port', () => {
  test('sends what is written, and is always ready for more', () => {
    write(0, 0x48);
    expect(sent).toEqual([0x48]);
    expect(read(5)).toBe(0x60);
  });

  test('opens the divisor latch with DLAB and keeps the data register apart', () => {
    write(3, 0x83);
    write(0, 12);
    write(1, 0);
    expect([read(0), read(1)]).toEqual([12, 0]);
    write(3, 3);
    expect(sent).toEqual([]);
    expect(uart.inspect().detail).toBe('8N1, 9600 baud');
  });

  test('keeps bytes in the FIFO and raises the received interrupt at the trigger level', () => {
    write(4, 0x0b);
    write(2, 0x41);
    write(1, 1);
    uart.receive(bytes('abc'));
    expect(line.level).toBe(true);
    expect(read(2)).toBe(0xcc);
    uart.receive(bytes('d'));
    expect(read(2)).toBe(0xc4);
    expect([0, 1, 2, 3].map(() => read(0))).toEqual([97, 98, 99, 100]);
    expect(line.level).toBe(false);
    expect(read(5) & 1).toBe(0);
  });

  test('makes bytes wait outside while the FIFO is full', () => {
    write(2, 1);
    uart.receive(bytes('0123456789abcdefXYZ'));
    const text = Array.from({ length: 19 }, () => String.fromCharCode(read(0))).join('');
    expect(text).toBe('0123456789abcdefXYZ');
  });

  test('raises the transmitter interrupt when it is enabled and after each byte; reading IIR clears it', () => {
    write(4, 8);
    write(1, 2);
    expect(line.level).toBe(true);
    expect(read(2)).toBe(2);
    expect(line.level).toBe(false);
    write(0, 1);
    expect(line.level).toBe(true);
  });

  test('needs OUT2 to drive the interrupt line', () => {
    write(4, 0);
    write(1, 2);
    expect(line.level).toBe(false);
  });

  test('loops bytes and modem lines back', () => {
    write(4, 0x1f);
    expect(read(6) & 0xf0).toBe(0xf0);
    write(0, 0x5a);
    expect(sent).toEqual([]);
    expect(read(0)).toBe(0x5a);
    write(4, 0x10);
    expect(read(6) & 0xf0).toBe(0);
  });

  test('keeps the scratch register, and all state over save and restore', () => {
    write(7, 0xa5);
    write(2, 1);
    uart.receive(bytes('hi'));
    const state = structuredClone(uart.save());
    const other = new Uart16550({ base: 0x3f8, line: new FakeLine(), transmit: () => {} });
    other.restore(state);
    expect(other.readPort(0x3ff)).toBe(0xa5);
    expect(other.readPort(0x3f8)).toBe(0x68);
    expect(() => other.restore({ ...state, version: 2 as 1 })).toThrow('version 2');
  });
});
