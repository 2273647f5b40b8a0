import { describe, expect, test } from 'vitest';
import { ImageError } from '../../../src/devices/disk-image/disk-image.ts';
import { imageOfBytes } from '../../../src/devices/disk-image/raw-image.ts';
import { Status } from '../../../src/devices/virtio/abi.ts';
import { VirtioBlock } from '../../../src/devices/virtio/block/device.ts';
import { BlockFeature, Outcome, Request } from '../../../src/devices/virtio/block/registers.ts';
import { BUFFERS, MmioDriver, PACKED, SPLIT } from './mmio-driver.ts';
import { onEach } from './transports.ts';

const SECTORS = 100;
const DISCARDS = 1n << BigInt(BlockFeature.DISCARD);

/** Each sector begins with its number, and has a byte of its own else. */
function image(): Uint8Array {
  const bytes = new Uint8Array(SECTORS * 512);
  for (let sector = 0; sector < SECTORS; sector++) bytes.fill(sector, sector * 512, (sector + 1) * 512);
  return bytes;
}

function header(type: number, sector: bigint | number, data: Uint8Array = new Uint8Array(0)): Uint8Array {
  const bytes = new Uint8Array(16 + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, type, true);
  view.setBigUint64(8, BigInt(sector), true);
  bytes.set(data, 16);
  return bytes;
}

function range(sector: number, count: number, flags = 0): Uint8Array {
  const view = new DataView(new ArrayBuffer(16));
  view.setBigUint64(0, BigInt(sector), true);
  view.setUint32(8, count, true);
  view.setUint32(12, flags, true);
  return new Uint8Array(view.buffer);
}

const RINGS: readonly (readonly [string, bigint, boolean])[] = [
  ['split', SPLIT, false],
  ['split, indirect', SPLIT, true],
  ['packed', PACKED, false],
  ['packed, indirect', PACKED, true],
];
describe.each(onEach(RINGS))('a block device, %s', (_name, make, features, indirect) => {
  const start = () => {
    const source = image();
    const driver = make(new VirtioBlock({ image: imageOfBytes(source), serial: 'a-serial-number' })).start(features);
    /** Sends a request; gives its status, what was written, and the length that came back. */
    const send = (type: number, sector: bigint | number, data: Uint8Array = new Uint8Array(0), room = 0, piece?: number) => {
      const { bytes, used } = driver.request(header(type, sector, data), room + 1, { piece, indirect });
      return { status: bytes[room], bytes: bytes.subarray(0, room), length: used?.written };
    };
    const read = (sector: number, count = 1) => send(Request.IN, sector, undefined, count * 512).bytes;
    return { driver, source, send, read };
  };

  test('reads sectors', () => {
    const { send } = start();
    const { status, bytes, length } = send(Request.IN, 98, undefined, 1024);
    expect([status, length]).toEqual([Outcome.OK, 1025]);
    expect([bytes[0], bytes[511], bytes[512], bytes[1023]]).toEqual([98, 98, 99, 99]);
  });

  test('writes sectors into an overlay, not into the image', () => {
    const { send, read, source } = start();
    const before = source.slice();
    const data = Uint8Array.from({ length: 9 * 512 }, (_, index) => index * 7);
    expect(send(Request.OUT, 5, data)).toMatchObject({ status: Outcome.OK, length: 1 });
    expect(send(Request.FLUSH, 0).status).toBe(Outcome.OK);
    expect(Buffer.compare(read(5, 9), data)).toBe(0);
    expect([read(4)[511], read(14)[0]]).toEqual([4, 14]);
    expect(Buffer.compare(source, before)).toBe(0);
  });

  test('takes headers, data and status in any pieces', () => {
    const { send, read } = start();
    if (!indirect) return;
    expect(send(Request.OUT, 3, new Uint8Array(512).fill(0xaa), 0, 100).status).toBe(Outcome.OK);
    expect(read(3)).toEqual(new Uint8Array(512).fill(0xaa));
  });

  test('tells its id', () => {
    const { send } = start();
    const { status, bytes, length } = send(Request.GET_ID, 0, undefined, 20);
    expect([status, length]).toEqual([Outcome.OK, 21]);
    expect(new TextDecoder().decode(bytes)).toBe('a-serial-number\0\0\0\0\0');
  });

  test('discards and writes zeroes', () => {
    const { send, read } = start();
    expect(send(Request.DISCARD, 0, range(8, 20)).status).toBe(Outcome.OK);
    expect(send(Request.WRITE_ZEROES, 0, range(50, 1, 1)).status).toBe(Outcome.OK);
    expect([7, 8, 27, 28, 49, 50, 51].map((sector) => read(sector)[0])).toEqual([7, 0, 0, 28, 49, 0, 51]);
    send(Request.OUT, 9, new Uint8Array(512).fill(1));
    expect([8, 9, 10].map((sector) => read(sector)[511])).toEqual([0, 1, 0]);
  });

  test.each<[string, number, bigint | number, Uint8Array | undefined, number, number]>([
    ['reading behind the end', Request.IN, SECTORS, undefined, 512, Outcome.IO_ERROR],
    ['reading over the end', Request.IN, SECTORS - 1, undefined, 1024, Outcome.IO_ERROR],
    ['reading at the last sector of 64 bits', Request.IN, 0xffff_ffff_ffff_ffffn, undefined, 512, Outcome.IO_ERROR],
    ['reading half a sector', Request.IN, 0, undefined, 100, Outcome.IO_ERROR],
    ['writing over the end', Request.OUT, SECTORS - 1, new Uint8Array(1024), 0, Outcome.IO_ERROR],
    ['writing half a sector', Request.OUT, 0, new Uint8Array(700), 0, Outcome.IO_ERROR],
    ['discarding over the end', Request.DISCARD, 0, range(SECTORS - 1, 2), 0, Outcome.IO_ERROR],
    ['discarding far too much', Request.DISCARD, 0, range(0, 0xffff_ffff), 0, Outcome.IO_ERROR],
    ['discarding without a range', Request.DISCARD, 0, undefined, 0, Outcome.IO_ERROR],
    ['discarding with the flag of zeroes', Request.DISCARD, 0, range(0, 1, 1), 0, Outcome.UNSUPPORTED],
    ['zeroes with an unknown flag', Request.WRITE_ZEROES, 0, range(0, 1, 2), 0, Outcome.UNSUPPORTED],
    ['an unknown type', 99, 0, undefined, 0, Outcome.UNSUPPORTED],
  ])('answers %s with a status', (_what, type, sector, data, room, expected) => {
    const { driver, send, read } = start();
    expect(send(type, sector, data, room)).toMatchObject({ status: expected, length: room === 0 ? 1 : 0 });
    expect(driver.status & Status.NEEDS_RESET).toBe(0);
    expect(read(SECTORS - 1)).toEqual(new Uint8Array(512).fill(SECTORS - 1));
  });

  test.each([
    ['a header that is too short', 15, 1],
    ['no room for its status', 16, 0],
  ])('needs a reset after a request with %s', (_what, readable, room) => {
    const { driver } = start();
    driver.request(new Uint8Array(readable), room, { indirect });
    expect(driver.status & Status.NEEDS_RESET).toBe(Status.NEEDS_RESET);
  });

  test('keeps what was written when its driver resets it, and forgets it when the machine is reset', () => {
    const { driver, send, read } = start();
    send(Request.OUT, 1, new Uint8Array(512).fill(0x55));
    driver.start(features);
    expect(read(1)[0]).toBe(0x55);
    driver.device.reset();
    driver.start(features);
    expect(read(1)[0]).toBe(1);
  });

  test('saves what was written', () => {
    const { driver, send } = start();
    send(Request.OUT, 1, new Uint8Array(512).fill(0x55));
    send(Request.DISCARD, 0, range(8, 8));
    const saved = structuredClone(driver.device.save());
    const other = make(new VirtioBlock({ image: imageOfBytes(image()), serial: 'a-serial-number' }));
    other.dma.bytes.set(driver.dma.bytes);
    other.device.restore(saved);
    expect(other.device.save()).toEqual(saved);
    other.start(features);
    const at = (sector: number) => other.request(header(Request.IN, sector), 513, { indirect }).bytes[0];
    expect([at(0), at(1), at(8), at(16)]).toEqual([0, 0x55, 0, 16]);
  });
});

test('discarding is unsupported where it was not negotiated', () => {
  const model = new VirtioBlock({ image: imageOfBytes(image()), serial: '' });
  const driver = new MmioDriver(model);
  driver.start();
  driver.negotiate((model.features | SPLIT) & ~DISCARDS);
  driver.setUp(0, driver.ring().layout);
  driver.status |= Status.DRIVER_OK;
  expect(driver.request(header(Request.DISCARD, 0, range(0, 1)), 1).bytes[0]).toBe(Outcome.UNSUPPORTED);
});

test('the configuration has the size and the limits', () => {
  const driver = new MmioDriver(new VirtioBlock({ image: imageOfBytes(image()), serial: '' }));
  expect([driver.config(0, 8), driver.config(8, 4), driver.config(12, 4), driver.config(20, 4)]).toEqual([
    100n,
    0x8000n,
    32n,
    512n,
  ]);
  expect([36, 40, 44, 48, 52].map((offset) => driver.config(offset, 4))).toEqual([0x4000n, 1n, 1n, 0x4000n, 1n]);
  expect(driver.config(56, 1)).toBe(1n);
});

test('a disk that is only read refuses to be written, and offers nothing that would', () => {
  const model = new VirtioBlock({ image: imageOfBytes(image()), serial: '', isReadOnly: true });
  const driver = new MmioDriver(model).start();
  const status = (type: number, data: Uint8Array) => driver.request(header(type, 0, data), 1).bytes[0];
  expect(status(Request.OUT, new Uint8Array(512).fill(9))).toBe(Outcome.IO_ERROR);
  expect(status(Request.WRITE_ZEROES, range(1, 1))).toBe(Outcome.UNSUPPORTED);
  expect(driver.request(header(Request.IN, 1), 513).bytes.subarray(0, 512)).toEqual(new Uint8Array(512).fill(1));
  expect([...model.contents()]).toEqual([]);
  expect(model.features & DISCARDS).toBe(0n);
});

test('each queue of several serves requests', () => {
  const driver = new MmioDriver(new VirtioBlock({ image: imageOfBytes(image()), serial: '', queues: 3 })).start();
  expect(driver.config(34, 2)).toBe(3n);
  for (const queue of [2, 0, 1]) {
    driver.acknowledge();
    expect(driver.request(header(Request.IN, 7 + queue), 513, { queue }).bytes[0]).toBe(7 + queue);
    expect(driver.line.level).toBe(true);
  }
});

test('what can not be read of an image is an error to the guest, and is shown', () => {
  const broken = {
    size: SECTORS * 512,
    read: (): Uint8Array => {
      throw new ImageError('The disk image is damaged.');
    },
  };
  const driver = new MmioDriver(new VirtioBlock({ image: broken, serial: '' })).start();
  expect(driver.request(header(Request.IN, 0), 513)).toMatchObject({ used: { written: 0 } });
  expect(driver.dma.bytes[BUFFERS + 16 + 512]).toBe(Outcome.IO_ERROR);
  expect(driver.shown('image')?.detail).toBe('The disk image is damaged.');
  expect(driver.request(header(Request.OUT, 0, new Uint8Array(512)), 1).bytes[0]).toBe(Outcome.IO_ERROR);
  // A whole cluster needs nothing of the image.
  expect(driver.request(header(Request.WRITE_ZEROES, 0, range(0, 8)), 1).bytes[0]).toBe(Outcome.OK);
  expect(driver.request(header(Request.IN, 0), 513).bytes[512]).toBe(Outcome.IO_ERROR);
});

test('what was written tells itself for the state hash, whatever the order', () => {
  const written = (sectors: readonly number[]) => {
    const model = new VirtioBlock({ image: imageOfBytes(image()), serial: '' });
    const driver = new MmioDriver(model).start();
    for (const sector of sectors) driver.request(header(Request.OUT, sector, new Uint8Array(512).fill(sector)), 1);
    return [...model.contents()];
  };
  expect(written([])).toEqual([]);
  expect(written([1, 80, 40])).toEqual(written([80, 40, 1]));
  expect(written([1, 80])).not.toEqual(written([1, 40]));
});
