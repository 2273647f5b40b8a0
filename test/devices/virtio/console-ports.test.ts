import { describe, expect, test } from 'vitest';
import { Status } from '../../../src/devices/virtio/abi.ts';
import { VirtioConsole } from '../../../src/devices/virtio/console/device.ts';
import { ConsoleFeature, Event } from '../../../src/devices/virtio/console/registers.ts';
import { MmioDriver, PACKED, SPLIT } from './mmio-driver.ts';
import { onEach } from './transports.ts';

const NONE = new Uint8Array(0);
const [CONTROL_RECEIVE, CONTROL_TRANSMIT] = [2, 3];
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const encoded = (words: string) => new TextEncoder().encode(words);

function message(port: number, event: number, value: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(8));
  view.setUint32(0, port, true);
  view.setUint16(4, event, true);
  view.setUint16(6, value, true);
  return new Uint8Array(view.buffer);
}

describe.each(
  onEach([
    ['split', SPLIT],
    ['packed', PACKED],
  ]),
)('a console with channels, %s', (_name, make, features) => {
  const start = () => {
    const heard: string[] = [];
    let printed = '';
    const model = new VirtioConsole({
      transmit: (byte) => (printed += String.fromCharCode(byte)),
      channels: ['first', 'second'].map((name) => ({ name, transmit: (bytes) => heard.push(`${name}: ${text(bytes)}`) })),
    });
    const driver = make(model).start(features);
    const tell = (port: number, event: number, value: number) =>
      driver.request(message(port, event, value), 0, { queue: CONTROL_TRANSMIT });
    /** Messages that wait, as numbers and what is behind them. */
    const told = () => {
      const all: string[] = [];
      for (;;) {
        const { bytes, used } = driver.request(NONE, 64, { queue: CONTROL_RECEIVE });
        if (used === undefined) return all;
        const view = new DataView(bytes.buffer, bytes.byteOffset, 8);
        const more = bytes.subarray(8, used.written);
        const shown = view.getUint16(4, true) === Event.PORT_NAME ? text(more) : [...more].join(' ');
        all.push(`${view.getUint32(0, true)} ${view.getUint16(4, true)} ${view.getUint16(6, true)} ${shown}`.trimEnd());
      }
    };
    return { driver, model, tell, told, heard, printed: () => printed };
  };

  test('tells its ports, their names and the size of the console', () => {
    const { driver, tell, told } = start();
    expect([driver.config(4, 4), driver.model.queues.length]).toEqual([3n, 8]);
    tell(0, Event.DEVICE_READY, 1);
    expect(told()).toEqual(['0 1 0', '1 1 0', '2 1 0']);
    // The buffer that found nothing is filled with the next message.
    tell(0, Event.PORT_READY, 1);
    expect(driver.ring(CONTROL_RECEIVE).collect()).toHaveLength(1);
    expect(told()).toEqual(['0 5 0 80 0 25 0', '0 6 1']);
    tell(2, Event.PORT_READY, 1);
    expect(driver.ring(CONTROL_RECEIVE).collect()).toHaveLength(1);
    expect(told()).toEqual(['2 6 1']);
  });

  test('tells the name of a port', () => {
    const { tell, told } = start();
    tell(1, Event.PORT_READY, 1);
    expect(told()).toEqual(['1 7 1 first', '1 6 1']);
  });

  test('carries bytes both ways, inwards once a program has opened the port', () => {
    const { driver, model, tell, heard, printed } = start();
    driver.request(encoded('to the second'), 0, { queue: 7 });
    driver.request(encoded('console'), 0, { queue: 1 });
    expect([heard, printed()]).toEqual([['second: to the second'], 'console']);
    model.receive(encoded('answer'), 'second');
    driver.ring(6).offer([{ gpa: 0x6_0000, length: 32, writable: true }]);
    driver.notify(6);
    expect(driver.ring(6).collect()).toEqual([]);
    tell(2, Event.PORT_OPEN, 1);
    expect(driver.ring(6).collect()).toMatchObject([{ written: 6 }]);
    expect(text(driver.dma.bytes.slice(0x6_0000, 0x6_0006))).toBe('answer');
    expect(driver.shown('port 2: second')?.value).toBe('open');
    tell(2, Event.PORT_OPEN, 0);
    expect(driver.shown('port 2: second')?.value).toBe('closed');
  });

  test('tells a driver another size by a message and by a configuration change', () => {
    const { driver, model, told } = start();
    model.resize({ columns: 132, rows: 43 });
    model.resize({ columns: 132, rows: 43 });
    expect([driver.config(0, 2), driver.config(2, 2), driver.generation]).toEqual([132n, 43n, 1]);
    expect(driver.acknowledge() & 2).toBe(2);
    expect(told()).toEqual(['0 5 0 132 0 43 0']);
  });

  test('bears messages that nobody sends', () => {
    const { driver, tell, told } = start();
    tell(99, Event.PORT_READY, 1);
    tell(0xffff_ffff, Event.PORT_OPEN, 1);
    tell(0, 77, 1);
    driver.request(NONE.slice(), 4, { queue: CONTROL_TRANSMIT });
    for (let round = 0; round < 200; round++) tell(0, Event.DEVICE_READY, 1);
    expect(told().length).toBeLessThanOrEqual(256);
    expect(driver.status & Status.NEEDS_RESET).toBe(0);
  });

  test('keeps in its state what waits', () => {
    const first = start();
    first.model.receive(encoded('waits'), 'first');
    first.tell(0, Event.DEVICE_READY, 1);
    first.model.resize({ columns: 100, rows: 30 });
    const second = start();
    second.model.restore(structuredClone(first.model.save()));
    expect(second.model.save()).toEqual(first.model.save());
    expect(second.driver.config(0, 2)).toBe(100n);
  });
});

test('a console without channels has one port, and one with them is one to a driver that knows no others', () => {
  const multiple = 1n << BigInt(ConsoleFeature.MULTIPORT);
  expect(new VirtioConsole({ transmit: () => {} }).features & multiple).toBe(0n);
  const model = new VirtioConsole({ transmit: () => {}, channels: [{ name: 'a', transmit: () => {} }] });
  expect(model.features & multiple).toBe(multiple);
  const driver = new MmioDriver(model);
  expect(driver.negotiate(SPLIT)).toBe(true);
  model.resize({ columns: 1, rows: 1 });
  expect(model.save().control).toEqual([]);
});

test('a character is printed without any queue', () => {
  let printed = '';
  const driver = new MmioDriver(new VirtioConsole({ transmit: (byte) => (printed += String.fromCharCode(byte)) }));
  for (const character of 'Oh!') driver.device.writeMmio(0xfeb0_0108n, 4, BigInt(character.charCodeAt(0)));
  driver.device.writeMmio(0xfeb0_0100n, 4, 0x41n);
  expect(printed).toBe('Oh!');
});
