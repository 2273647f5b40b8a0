import { describe, expect, test } from 'vitest';
import { PortBus } from '../../../src/devices/bus/port-bus.ts';
import { FwCfg } from '../../../src/devices/fw-cfg/device.ts';
import { firmwareItems } from '../../../src/devices/fw-cfg/items.ts';
import { Control, Key } from '../../../src/devices/fw-cfg/registers.ts';
import { Random } from '../../support/random.ts';
import { FakeDma } from '../virtio/fake-dma.ts';

const REQUEST = 0x1000;
const ROOM = 0x2000;
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const encoded = (words: string) => new TextEncoder().encode(words);

function start() {
  const dma = new FakeDma();
  const items = firmwareItems({
    processors: 3,
    ram: 0x1_2345_6000n,
    kernel: { gpa: 0x10_0000n, bytes: encoded('kernel') },
    initrd: { gpa: 0x800_0000n, bytes: Uint8Array.from({ length: 0x3000 }, (_, index) => index * 7) },
    commandLine: { gpa: 0x2_0000n, bytes: encoded('console=ttyS0\0') },
    files: new Map([
      ['opt/second', encoded('two')],
      ['etc/first', encoded('number one')],
    ]),
  });
  const device = new FwCfg({ dma, items });
  const ports = new PortBus();
  ports.attach(device);
  /** Reads an item through the ports. */
  const read = (key: number, length: number) => {
    ports.write(0x510, 2, key);
    return Uint8Array.from({ length }, () => ports.read(0x511, 1));
  };
  /** Has a request served; gives its control word. */
  const request = (control: number, length = 0, address: number | bigint = ROOM, place = REQUEST) => {
    dma.view.setUint32(place, control);
    dma.view.setUint32(place + 4, length);
    dma.view.setBigUint64(place + 8, BigInt(address));
    const word = new DataView(new ArrayBuffer(4));
    word.setUint32(0, place);
    ports.write(0x514, 4, 0);
    ports.write(0x518, 4, word.getUint32(0, true));
    return dma.view.getUint32(place);
  };
  const select = (key: number, control: number) => ((key << 16) | Control.SELECT | control) >>> 0;
  return { dma, device, ports, read, request, select };
}
const numberOf = (bytes: Uint8Array) => bytes.reduceRight((value, byte) => value * 256 + byte, 0);

describe('items by ports', () => {
  test('say who is there, and what it can', () => {
    const { read, ports } = start();
    expect([text(read(Key.SIGNATURE, 4)), numberOf(read(Key.FEATURES, 4))]).toEqual(['QEMU', 3]);
    expect([ports.read(0x514, 4), ports.read(0x518, 4), ports.read(0x514, 1)]).toEqual([0x554d_4551, 0x4746_4320, 0x51]);
  });

  test('tell of the machine and of what is booted', () => {
    const { read } = start();
    expect([numberOf(read(Key.PROCESSORS, 2)), numberOf(read(Key.RAM_SIZE, 8))]).toEqual([3, 0x1_2345_6000]);
    expect([numberOf(read(Key.KERNEL_SIZE, 4)), numberOf(read(Key.KERNEL_ADDRESS, 4)), text(read(Key.KERNEL, 6))]).toEqual([
      6,
      0x10_0000,
      'kernel',
    ]);
    expect([numberOf(read(Key.COMMAND_LINE_SIZE, 4)), text(read(Key.COMMAND_LINE, 14))]).toEqual([14, 'console=ttyS0\0']);
    expect([numberOf(read(Key.INITRD_SIZE, 4)), read(Key.INITRD, 3)]).toEqual([0x3000, Uint8Array.of(0, 7, 14)]);
    expect([numberOf(read(Key.SETUP_SIZE, 4)), numberOf(read(Key.SETUP, 4))]).toEqual([0, 0]);
  });

  test('have a directory of files, sorted by name', () => {
    const { read } = start();
    const bytes = read(Key.DIRECTORY, 4 + 2 * 64);
    const view = new DataView(bytes.buffer);
    const files = [4, 68].map((at) => [
      text(bytes.subarray(at + 8, at + 64)).replaceAll('\0', ''),
      view.getUint16(at + 4),
      view.getUint32(at),
    ]);
    expect([view.getUint32(0), files]).toEqual([
      2,
      [
        ['etc/first', 0x20, 10],
        ['opt/second', 0x21, 3],
      ],
    ]);
    expect([text(read(0x20, 10)), text(read(0x21, 3))]).toEqual(['number one', 'two']);
  });

  test('are zeroes behind their end, and where there is none', () => {
    const { read, ports } = start();
    expect([read(0x21, 5), read(0x99, 2)]).toEqual([Uint8Array.of(0x74, 0x77, 0x6f, 0, 0), Uint8Array.of(0, 0)]);
    ports.write(0x510, 2, 0x4021);
    expect(ports.read(0x511, 1)).toBe(0x74);
    expect([ports.read(0x510, 2), ports.read(0x511, 1)]).toEqual([0xffff, 0x77]);
  });

  test('can not be written', () => {
    const { read, ports } = start();
    ports.write(0x510, 2, 0x4021);
    ports.write(0x511, 1, 0x99);
    expect(text(read(0x21, 3))).toBe('two');
  });
});

describe('items by DMA', () => {
  test('are selected, skipped in, and read', () => {
    const { dma, request, select } = start();
    expect(request(select(0x20, Control.READ), 6)).toBe(0);
    expect(text(dma.bytes.subarray(ROOM, ROOM + 6))).toBe('number');
    expect(request(Control.SKIP, 1)).toBe(0);
    expect(request(Control.READ, 5)).toBe(0);
    expect(dma.bytes.slice(ROOM, ROOM + 6)).toEqual(Uint8Array.of(0x6f, 0x6e, 0x65, 0, 0, 0x72));
    expect([request(select(0x99, Control.READ), 2), dma.view.getUint16(ROOM)]).toEqual([0, 0]);
  });

  test('can not be written', () => {
    const { request, select } = start();
    expect(request(select(0x20, Control.WRITE), 4)).toBe(Control.ERROR);
  });

  test.each([
    ['to where no memory is', 0x100, 0xfff_ffff_fff0n],
    ['over the end of the memory', 0x20, 0xf_fff0],
    ['of far more than there is', 0xffff_ffff, ROOM],
    ['of more than there is to where no memory is', 0xffff_ffff, 0n],
  ])('%s fail, and move nothing', (_name, length, address) => {
    const { dma, request, select } = start();
    const before = dma.bytes.slice(ROOM);
    expect(request(select(Key.INITRD, Control.READ), length, address)).toBe(Control.ERROR);
    expect(Buffer.compare(dma.bytes.subarray(ROOM), before)).toBe(0);
  });

  test('to a page that was given back fail', () => {
    const { dma, request, select } = start();
    dma.ballooned = 0x3000n;
    expect(request(select(Key.INITRD, Control.READ), 0x2000)).toBe(Control.ERROR);
  });

  test('with a request where no memory is have no effect', () => {
    const { dma, ports } = start();
    const before = dma.bytes.slice();
    ports.write(0x514, 4, 0xffff_ffff);
    ports.write(0x518, 4, 0xffff_ffff);
    expect(Buffer.compare(dma.bytes, before)).toBe(0);
  });

  test('may overwrite their own request', () => {
    const { dma, request, select } = start();
    expect(request(select(0x20, Control.READ), 10, REQUEST)).toBe(0);
    expect(text(dma.bytes.subarray(REQUEST + 4, REQUEST + 10))).toBe('er one');
  });
});

test('a saved device goes on where it was', () => {
  const first = start();
  first.read(0x20, 3);
  first.ports.write(0x514, 4, 0x1234);
  const saved = structuredClone(first.device.save());
  const second = start();
  second.device.restore(saved);
  expect([second.device.save(), second.ports.read(0x511, 1)]).toEqual([saved, 0x62]);
  second.device.reset();
  expect(second.device.save()).toEqual({ version: 1, key: 0, offset: 0, addressHigh: 0 });
});

test('its items are shown by name', () => {
  const { device } = start();
  expect(device.inspect().children).toContainEqual({ name: 'file etc/first', value: '0x0020', detail: '10 bytes' });
  expect(device.inspect().children).toContainEqual({ name: 'KERNEL', value: '0x0011', detail: '6 bytes' });
});

test('no sequence of accesses makes it throw, or reach far', () => {
  const random = new Random(7);
  const { dma, device, ports, request } = start();
  for (let index = 0; index < 20_000; index++) {
    dma.moved = 0;
    const port = 0x510 + random.below(12);
    const size = random.pick([1, 2, 4] as const);
    const choice = random.below(4);
    if (choice === 0) expect(ports.read(port, size) >= 0).toBe(true);
    else if (choice === 1) ports.write(port, size, random.next() >>> (32 - 8 * size));
    else {
      dma.ballooned = random.below(8) === 0 ? BigInt(random.pick([REQUEST, ROOM, 0x3000])) : undefined;
      const key = random.below(0x30) << 16;
      const length = random.pick([0, 1, 16, 0x2fff, 0x8000, 0x1_3001, 0xffff_ffff]);
      request((key | random.below(32)) >>> 0, length, random.pick([ROOM, REQUEST, 0xf_fff0, 0xffff_ffff_0000n]));
    }
    expect(dma.moved).toBeLessThan(0x4_0000);
  }
  expect(device.save().version).toBe(1);
});
