import { beforeEach, describe, expect, test } from 'vitest';
import { Pic8259 } from '../../src/devices/pic8259/device.ts';
import { FakeLine } from './fake-clock.ts';

let output: FakeLine;
let pic: Pic8259;
const write = (port: number, ...values: number[]) => {
  for (const value of values) pic.writePort(port, 1, value);
};

beforeEach(() => {
  output = new FakeLine();
  pic = new Pic8259({ output });
  write(0x20, 0x11);
  write(0x21, 0x20, 4, 1, 0);
  write(0xa0, 0x11);
  write(0xa1, 0x28, 2, 1, 0);
});

describe('the interrupt controllers', () => {
  test('give the vector of the line and wait for the end of the interrupt', () => {
    pic.setLine(4, true);
    expect(output.level).toBe(true);
    expect(pic.acknowledge()).toBe(0x24);
    pic.setLine(4, false);
    pic.setLine(5, true);
    expect(pic.hasInterrupt()).toBe(false);
    write(0x20, 0x20);
    expect(pic.hasInterrupt()).toBe(true);
  });

  test('let a higher priority interrupt a lower one', () => {
    pic.setLine(5, true);
    pic.acknowledge();
    pic.setLine(1, true);
    expect(pic.acknowledge()).toBe(0x21);
  });

  test('cascade the second controller', () => {
    pic.setLine(8, true);
    expect(pic.acknowledge()).toBe(0x28);
    write(0xa0, 0x20);
    write(0x20, 0x20);
    pic.setLine(15, true);
    expect(pic.acknowledge()).toBe(0x2f);
  });

  test('mask lines', () => {
    write(0x21, 0x10);
    pic.setLine(4, true);
    expect(pic.hasInterrupt()).toBe(false);
    expect(pic.readPort(0x21)).toBe(0x10);
    write(0x21, 0);
    expect(pic.hasInterrupt()).toBe(true);
  });

  test('answer with the spurious vector when nothing is pending any more', () => {
    pic.setLine(3, true);
    write(0x21, 0xff);
    expect(pic.acknowledge()).toBe(0x27);
    write(0x20, 0x0b);
    expect(pic.readPort(0x20)).toBe(0);
  });

  test('follow the level where ELCR says so', () => {
    write(0x4d0, 0xff);
    expect(pic.readPort(0x4d0)).toBe(0xf8);
    pic.setLine(5, true);
    expect(pic.acknowledge()).toBe(0x25);
    write(0x20, 0x65);
    expect(pic.hasInterrupt()).toBe(true);
    pic.setLine(5, false);
    expect(pic.hasInterrupt()).toBe(false);
  });

  test('rotate priorities', () => {
    write(0x20, 0xc0 | 4);
    pic.setLine(4, true);
    pic.setLine(5, true);
    expect(pic.acknowledge()).toBe(0x25);
  });

  test('end by themselves in automatic mode', () => {
    write(0x20, 0x11);
    write(0x21, 0x20, 4, 3, 0);
    pic.setLine(4, true);
    pic.acknowledge();
    pic.setLine(4, false);
    pic.setLine(4, true);
    expect(pic.hasInterrupt()).toBe(true);
  });

  test('answer a poll', () => {
    pic.setLine(6, true);
    write(0x20, 0x0c);
    expect(pic.readPort(0x20)).toBe(0x86);
  });

  test('give ISR and IRR as OCW3 asks', () => {
    pic.setLine(6, true);
    expect(pic.readPort(0x20)).toBe(0x40);
    pic.acknowledge();
    write(0x20, 0x0b);
    expect(pic.readPort(0x20)).toBe(0x40);
    const copy = new Pic8259({ output: new FakeLine() });
    copy.restore(structuredClone(pic.save()));
    expect(copy.readPort(0x20)).toBe(0x40);
  });
});
