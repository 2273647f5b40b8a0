import { describe, expect, test } from 'vitest';
import { MmioBus } from '../../src/devices/bus/mmio-bus.ts';
import { type NamedPortDevice, PortBus } from '../../src/devices/bus/port-bus.ts';

function portDevice(name: string, base: number, count: number, byteWide = false) {
  const log: string[] = [];
  const device: NamedPortDevice = {
    name,
    byteWide,
    ports: [{ base, count }],
    readPort: (port, size) => {
      log.push(`r${size}@${port.toString(16)}`);
      return size === 1 ? port & 0xff : 0xaabbccdd;
    },
    writePort: (port, size, value) => log.push(`w${size}@${port.toString(16)}=${value.toString(16)}`),
  };
  return { device, log };
}

describe('the port bus', () => {
  test('names both devices that claim a port', () => {
    const bus = new PortBus();
    bus.attach(portDevice('one', 0x10, 4).device);
    expect(() => bus.attach(portDevice('two', 0x13, 1).device)).toThrow(
      'I/O port 0x13 is claimed by both one and two; move one of them.',
    );
  });

  test('reads ones where nobody answers, and combines bytes of neighbours', () => {
    const bus = new PortBus();
    bus.attach(portDevice('one', 0x10, 2).device);
    expect(bus.read(0x100, 2)).toBe(0xffff);
    expect(bus.read(0x100, 4)).toBe(0xffff_ffff);
    expect(bus.read(0x11, 2)).toBe(0xff11);
  });

  test('splits wide accesses to 8-bit devices, and passes them whole to others', () => {
    const bus = new PortBus();
    const narrow = portDevice('narrow', 0x20, 4, true);
    const wide = portDevice('wide', 0x30, 4);
    bus.attach(narrow.device);
    bus.attach(wide.device);
    bus.write(0x20, 2, 0x1234);
    bus.write(0x30, 4, 0x1234_5678);
    expect(narrow.log).toEqual(['w1@20=34', 'w1@21=12']);
    expect(wide.log).toEqual(['w4@30=12345678']);
  });

  test('wraps a wide access at the last port', () => {
    const bus = new PortBus();
    expect(bus.read(0xffff, 4)).toBe(0xffff_ffff);
    expect(() => bus.write(0xffff, 4, 0)).not.toThrow();
  });
});

test('the memory bus names both devices of an overlap and reads ones in gaps', () => {
  const bus = new MmioBus();
  const device = (name: string, base: bigint) => ({
    name,
    mmio: [{ base, length: 0x1000n }],
    readMmio: () => 5n,
    writeMmio: () => {},
  });
  bus.attach(device('one', 0xf000_0000n));
  expect(() => bus.attach(device('two', 0xf000_0800n))).toThrow('claimed by both one and two');
  expect(bus.read(0xf000_0010n, 4)).toBe(5n);
  expect(bus.read(0xe000_0000n, 8)).toBe(0xffff_ffff_ffff_ffffn);
});
