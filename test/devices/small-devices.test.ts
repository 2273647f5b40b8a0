import { describe, expect, test } from 'vitest';
import { AcpiPm } from '../../src/devices/acpi-pm/device.ts';
import { DebugConsole } from '../../src/devices/debug-console/device.ts';
import { DebugExit } from '../../src/devices/debug-exit/device.ts';
import { I8042 } from '../../src/devices/i8042/device.ts';
import { PcDevices } from '../../src/devices/pc/pc.ts';
import { PORT_REFERENCE, portReference } from '../../src/devices/port-reference.ts';
import { fromCalendar, toCalendar } from '../../src/devices/rtc-cmos/calendar.ts';
import { RtcCmos } from '../../src/devices/rtc-cmos/device.ts';
import { SystemControl } from '../../src/devices/system-control/device.ts';
import { TestDevice } from '../../src/devices/test-device/device.ts';
import { FakeClock, FakeLine } from './fake-clock.ts';
import { FakeDma } from './virtio/fake-dma.ts';

describe('the calendar', () => {
  test.each([
    [0n, '1970-1-1 4'],
    [951_782_400n, '2000-2-29 2'],
    [1_767_225_600n, '2026-1-1 4'],
    [4_107_542_400n, '2100-3-1 1'],
    [-1n, '1969-12-31 3'],
  ])('%d s is %s', (seconds, expected) => {
    const { year, month, day, weekday } = toCalendar(seconds);
    expect(`${year}-${month}-${day} ${weekday}`).toBe(expected);
  });

  test('agrees with the platform over 400 years and goes back', () => {
    for (let seconds = -2_000_000_000n; seconds < 10_000_000_000n; seconds += 7_654_321n) {
      const time = toCalendar(seconds);
      const date = new Date(Number(seconds) * 1000);
      expect([time.year, time.month, time.day, time.hour, time.minute, time.second]).toEqual([
        date.getUTCFullYear(),
        date.getUTCMonth() + 1,
        date.getUTCDate(),
        date.getUTCHours(),
        date.getUTCMinutes(),
        date.getUTCSeconds(),
      ]);
      expect(fromCalendar(time)).toBe(seconds);
    }
  });
});

describe('the clock chip', () => {
  function make() {
    const clock = new FakeClock();
    const line = new FakeLine();
    const rtc = new RtcCmos({
      clock,
      line,
      startSeconds: 1_767_225_599n,
      lowMemory: 64n << 20n,
      highMemory: 0n,
      processors: 2,
    });
    const read = (index: number) => {
      rtc.writePort(0x70, 1, index);
      return rtc.readPort(0x71);
    };
    const write = (index: number, value: number) => {
      rtc.writePort(0x70, 1, index);
      rtc.writePort(0x71, 1, value);
    };
    return { clock, line, rtc, read, write };
  }

  test('tells the time in BCD or binary, 24 or 12 hours', () => {
    const { clock, read, write } = make();
    expect([9, 8, 7, 4, 2, 0, 0x32].map(read)).toEqual([0x25, 0x12, 0x31, 0x23, 0x59, 0x59, 0x20]);
    clock.advance(1_000_000_000n);
    expect([9, 8, 7, 4, 2, 0, 6].map(read)).toEqual([0x26, 1, 1, 0, 0, 0, 5]);
    write(0xb, 0x04);
    expect(read(4)).toBe(12);
    expect(read(9)).toBe(26);
  });

  test('can be set', () => {
    const { read, write } = make();
    write(9, 0x30);
    write(4, 0x11);
    expect([read(9), read(4)]).toEqual([0x30, 0x11]);
  });

  test('knows the memory sizes and the number of processors', () => {
    const { read } = make();
    expect(read(0x15) | (read(0x16) << 8)).toBe(640);
    expect(read(0x17) | (read(0x18) << 8)).toBe(63 * 1024);
    expect(read(0x34) | (read(0x35) << 8)).toBe(48 * 16);
    expect(read(0x5f)).toBe(1);
  });

  test('interrupts periodically, and register C ends it', () => {
    const { clock, line, read, write } = make();
    write(0xb, 0x42);
    clock.advance(1_000_000n);
    expect(line.level).toBe(true);
    expect(read(0xc)).toBe(0xc0);
    expect(line.level).toBe(false);
    line.rises = 0;
    clock.advance(1_000_000_000n);
    expect(line.rises).toBe(1024);
  });

  test('interrupts at an alarm', () => {
    const { clock, line, write } = make();
    for (const [index, value] of [
      [1, 0x02],
      [3, 0x00],
      [5, 0xc0],
    ] as const)
      write(index, value);
    write(0xb, 0x22);
    clock.advance(2_900_000_000n);
    expect(line.rises).toBe(0);
    clock.advance(200_000_000n);
    expect(line.rises).toBe(1);
  });
});

describe('the keyboard controller', () => {
  test('passes its self test and keeps its configuration', () => {
    const controller = new I8042({ line: new FakeLine(), reset: () => {} });
    controller.writePort(0x64, 1, 0xaa);
    expect(controller.readPort(0x64) & 1).toBe(1);
    expect(controller.readPort(0x60)).toBe(0x55);
    controller.writePort(0x64, 1, 0x60);
    controller.writePort(0x60, 1, 0x03);
    controller.writePort(0x64, 1, 0x20);
    expect(controller.readPort(0x60)).toBe(3);
  });

  test('interrupts anew for each byte of an answer', () => {
    const line = new FakeLine();
    const controller = new I8042({ line, reset: () => {} });
    controller.writePort(0x64, 1, 0x60);
    controller.writePort(0x60, 1, 0x41);
    controller.writePort(0x60, 1, 0xf2);
    const seen = [0xfa, 0xab, 0x83].map((byte, index) => {
      expect(line).toMatchObject({ level: true, rises: index + 1 });
      return controller.readPort(0x60) === byte;
    });
    expect(seen).toEqual([true, true, true]);
    expect(line).toMatchObject({ level: false, rises: 3 });
  });

  test('resets the machine on 0xFE', () => {
    let resets = 0;
    const controller = new I8042({ line: new FakeLine(), reset: () => resets++ });
    controller.writePort(0x64, 1, 0xfe);
    expect(resets).toBe(1);
  });
});

describe('power management', () => {
  test('powers off on SLP_EN with type 0 or 5, not with others', () => {
    const log: string[] = [];
    const pm = new AcpiPm({ clock: new FakeClock(), powerOff: () => log.push('off'), reset: () => log.push('reset') });
    pm.writePort(0x604, 2, 0x2400);
    expect(log).toEqual([]);
    pm.writePort(0x604, 2, 0x2000);
    pm.writePort(0x604, 2, 0x3400);
    expect(log).toEqual(['off', 'off']);
    pm.writePort(0xcf9, 1, 2);
    pm.writePort(0xcf9, 1, 6);
    expect(log).toEqual(['off', 'off', 'reset']);
  });

  test('counts at 3.579545 MHz', () => {
    const clock = new FakeClock();
    const pm = new AcpiPm({ clock, powerOff: () => {}, reset: () => {} });
    clock.advance(1_000_000_000n);
    expect(pm.readPort(0x608, 4)).toBe(3_579_545);
    clock.advance(4_000_000_000n);
    expect(pm.readPort(0x608, 4)).toBe(17_897_725 & 0xff_ffff);
  });
});

test('the debug ports end the run, print, and reset', () => {
  const log: string[] = [];
  new DebugExit({ exit: (value) => log.push(`exit ${value}`) }).writePort(0xf4, 4, 0x10);
  const console = new DebugConsole({ transmit: (byte) => log.push(`print ${byte}`) });
  console.writePort(0xe9, 1, 0x41);
  expect(console.readPort()).toBe(0xe9);
  const control = new SystemControl({ reset: () => log.push('reset') });
  control.writePort(0x92, 1, 3);
  expect(control.readPort(0x92)).toBe(2);
  expect(log).toEqual(['exit 16', 'print 65', 'reset']);
});

test('the test device sets lines and has memory behind ports and addresses', () => {
  const lines = Array.from({ length: 24 }, () => new FakeLine());
  const device = new TestDevice({ line: (number) => lines[number] ?? new FakeLine() });
  const high = () => lines.flatMap(({ level }, number) => (level ? [number] : []));
  device.writePort(0x200b, 1, 1);
  device.writePort(0x2017, 4, 0x100);
  expect(high()).toEqual([11, 23]);
  device.writePort(0x200b, 1, 0);
  device.writePort(0xe0, 4, 0x1234_5678);
  device.writePort(0xe1, 1, 0xab);
  expect([device.readPort(0xe0, 4), device.readPort(0xe2, 2)]).toEqual([0x1234_ab78, 0x1234]);
  device.writeMmio(0xff00_fff8n, 8, 0x1122_3344_5566_7788n);
  expect([device.readMmio(0xff00_fff8n, 4), device.readMmio(0xff00_ffffn, 1)]).toEqual([0x5566_7788n, 0x11n]);
  const saved = device.save();
  device.reset();
  expect(high()).toEqual([]);
  expect([device.readPort(0xe0, 4), device.readMmio(0xff00_fff8n, 8)]).toEqual([0, 0n]);
  device.restore(saved);
  expect([device.readPort(0xe0, 4), device.readMmio(0xff00_fff8n, 4)]).toEqual([0x1234_ab78, 0x5566_7788n]);
});

test('each port of the reference has the device that answers there', () => {
  const clock = new FakeClock();
  const pc = new PcDevices({
    clock,
    cpus: [],
    startSeconds: 0n,
    lowMemory: 0n,
    highMemory: 0n,
    serialOut: () => {},
    debugOut: () => {},
    powerOff: () => {},
    reset: () => {},
    debugExit: () => {},
    hasPci: true,
    firmware: { dma: new FakeDma(), items: new Map() },
  });
  for (const { first, last, device } of PORT_REFERENCE)
    for (let port = first; port <= last; port++)
      expect(pc.portOwner(port), `port ${port.toString(16)}`).toBe(device === 'uart16550' ? 'serial8250' : device);
  expect(portReference(0x9999)).toBeUndefined();
});
