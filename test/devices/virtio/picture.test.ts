import { describe, expect, test } from 'vitest';
import { imageOfBytes } from '../../../src/devices/disk-image/raw-image.ts';
import { DeviceId, Feature, featureBits } from '../../../src/devices/virtio/abi.ts';
import { VirtioBlock } from '../../../src/devices/virtio/block/device.ts';
import { Request } from '../../../src/devices/virtio/block/registers.ts';
import { VirtioConsole } from '../../../src/devices/virtio/console/device.ts';
import { type Explanation, explainChain } from '../../../src/devices/virtio/picture/explain.ts';
import type { QueuePicture } from '../../../src/devices/virtio/picture/queue-picture.ts';
import { Register as R } from '../../../src/devices/virtio/transport/registers.ts';
import { Random } from '../../support/random.ts';
import { FakeDma } from './fake-dma.ts';
import { BUFFERS, MmioDriver, PACKED, SPLIT } from './mmio-driver.ts';

const ROOM = BUFFERS + 0x1000;
const EVENTS = featureBits(Feature.EVENT_IDX);

function start(features = SPLIT): MmioDriver {
  return new MmioDriver(new VirtioBlock({ image: imageOfBytes(new Uint8Array(64 * 512).fill(7)), serial: 'disk' })).start(
    features,
  );
}

/** Makes a read of a sector available without a word to the device. */
function offer(driver: MmioDriver, sector: number, isIndirect = false): number {
  const { view } = driver.dma;
  const at = BUFFERS + sector * 16;
  view.setUint32(at, Request.IN, true);
  view.setBigUint64(at + 8, BigInt(sector), true);
  const room = ROOM + sector * 1024;
  const buffers = [
    { gpa: at, length: 16 },
    { gpa: room, length: 512, writable: true },
    { gpa: room + 512, length: 1, writable: true },
  ];
  return driver.ring().offer(buffers, isIndirect);
}

function picture(driver: MmioDriver, queue = 0): QueuePicture {
  const found = driver.device.session.pictureOf(queue);
  if (found === undefined) throw new Error('there is no such queue');
  return found;
}

const statesOf = ({ chains }: QueuePicture) => chains.map(({ state, id }) => `${state} ${id}`);
const explained = (driver: MmioDriver, number = 0): Explanation => {
  const chain = picture(driver).chains[number];
  return chain ? explainChain(driver.dma, driver.model.id, chain) : [];
};

describe.each([
  ['split', SPLIT, false],
  ['split, indirect', SPLIT, true],
  ['packed', PACKED, false],
  ['packed, indirect', PACKED, true],
])('the picture of a queue, %s', (_name, features, isIndirect) => {
  test('follows buffers from waiting to in flight', () => {
    const driver = start(features);
    const ids = [offer(driver, 1, isIndirect), offer(driver, 2, isIndirect)];
    expect(statesOf(picture(driver))).toEqual(ids.map((id) => `waiting ${id}`));
    const lengths = picture(driver).chains[0]?.links.map(({ length }) => length);
    expect(lengths).toEqual(isIndirect ? [48, 16, 512, 1] : [16, 512, 1]);

    const work = driver.notifyInStages();
    for (let next = work.next(); !next.done; next = work.next())
      if (next.value.kind === 'stage' && next.value.id === 'virtio-blk.perform') break;
    expect(statesOf(picture(driver))).toEqual([`waiting ${ids[1]}`, `taken ${ids[0]}`]);
    expect(explained(driver, 1)).toEqual([
      ['type', 'IN'],
      ['sector', '0x1'],
      ['data', '512 bytes'],
    ]);
    while (!work.next().done);
    const used = picture(driver).chains.map(({ state, id, written }) => [state, id, written]);
    expect(used).toContainEqual(['used', ids[1], 513]);
    expect(picture(driver).problems).toEqual([]);
  });

  test('gives each entry of the table its buffer', () => {
    const driver = start(features);
    offer(driver, 1, isIndirect);
    offer(driver, 2, isIndirect);
    const owners = picture(driver).entries.map(({ chain }) => chain);
    expect(owners.slice(0, 7)).toEqual(isIndirect ? [0, 1, ...Array(5).fill(undefined)] : [0, 0, 0, 1, 1, 1, undefined]);
  });

  test('stays right where rings wrap', () => {
    const driver = start(features);
    for (let round = 0; round < 7; round++) {
      offer(driver, 1, isIndirect);
      driver.notify();
      driver.ring().collect();
    }
    const ids = [offer(driver, 1, isIndirect), offer(driver, 2, isIndirect)];
    expect(statesOf(picture(driver)).slice(0, 2)).toEqual(ids.map((id) => `waiting ${id}`));
    expect(picture(driver).chains.filter(({ problem }) => problem !== undefined)).toEqual([]);
  });

  test('changes nothing', () => {
    const driver = start(features);
    offer(driver, 1, isIndirect);
    driver.notify();
    offer(driver, 2, isIndirect);
    const [memory, state] = [driver.dma.bytes.slice(), driver.device.save()];
    picture(driver);
    expect(Buffer.compare(memory, driver.dma.bytes)).toBe(0);
    expect(driver.device.save()).toEqual(state);
  });
});

test('rings of a split queue have indices, states and event indices', () => {
  const driver = start(SPLIT | EVENTS);
  offer(driver, 1);
  driver.notify();
  driver.ring().collect();
  offer(driver, 2);
  const { available, used, position, areas } = picture(driver);
  expect([available?.index, used?.index, position?.available, position?.used]).toEqual([2, 1, 1, 1]);
  expect(available?.entries.slice(0, 3)).toEqual([
    { id: 0, state: undefined },
    { id: 3, state: 'waiting' },
    { id: 0, state: undefined },
  ]);
  expect(used?.entries[0]).toEqual({ id: 0, written: 513, state: 'used' });
  expect([available?.event, used?.event]).toEqual([0, 1]);
  expect(areas.map(({ name, length }) => [name, length])).toEqual([
    ['descriptor table', 128],
    ['available ring', 22],
    ['used ring', 70],
  ]);
});

test('a packed queue says what each side wants to be told of', () => {
  const driver = start(PACKED | EVENTS);
  driver.ring().interruptAfter(2);
  offer(driver, 1);
  driver.notify();
  const { driverEvents, deviceEvents, available } = picture(driver);
  expect(driverEvents).toEqual({ mode: 'DESCRIPTOR', place: 1, wrap: true });
  expect(deviceEvents).toEqual({ mode: 'DESCRIPTOR', place: 3, wrap: true });
  expect(available).toBeUndefined();
});

describe('a queue of a driver that does what it must not', () => {
  test('has the chain marked that the device refused, in the same words', () => {
    const driver = start();
    offer(driver, 1);
    driver.dma.view.setUint16(Number(driver.ring().layout.descriptorArea) + 16 + 14, 99, true);
    driver.notify();
    const [chain] = picture(driver).chains;
    expect(chain?.problem).toBe('descriptor 99 is wanted, but there are 8');
    expect(driver.device.session.needsReset).toBe(chain?.problem);
    expect(chain?.links.map(({ problem }) => problem)).toEqual([undefined, chain?.problem]);
    expect(chain?.state).toBe('waiting');
  });

  test.each<[string, (driver: MmioDriver) => void, RegExp]>([
    [
      'jumps ahead',
      (driver) => driver.dma.view.setUint16(Number(driver.ring().layout.driverArea) + 2, 100, true),
      /^the available index is 100 entries ahead of the device in a ring of 8$/,
    ],
    [
      'writes into the used ring',
      (driver) => driver.dma.view.setUint16(Number(driver.ring().layout.deviceArea) + 2, 5, true),
      /^the used index in memory is 5, but the device has given back 0: somebody wrote there$/,
    ],
    [
      'gives the memory back',
      (driver) => {
        driver.dma.ballooned = driver.ring().layout.descriptorArea;
      },
      /^no RAM at 0x20000$/,
    ],
  ])('that %s is shown with what is wrong', (_name, act, problem) => {
    const driver = start();
    act(driver);
    expect(picture(driver).problems).toEqual([expect.stringMatching(problem)]);
  });

  test('is not read where it has more entries than can be', () => {
    const driver = start();
    driver.write(R.QUEUE_READY, 0);
    driver.write(R.QUEUE_SIZE, 0xffff_ffff);
    expect(picture(driver)).toMatchObject({
      position: undefined,
      entries: [],
      problems: ['it has 4294967295 entries, but may have 1 to 128'],
    });
  });

  test.each([
    ['split', SPLIT],
    ['packed', PACKED],
  ])('is pictured whatever is in its memory, %s', (_name, features) => {
    const random = new Random(7);
    let wrong = 0;
    for (let round = 0; round < 300; round++) {
      const driver = start(features);
      offer(driver, 1, round % 2 === 0);
      const { descriptorArea, driverArea } = driver.ring().layout;
      for (const area of [descriptorArea, driverArea])
        for (let count = 0; count < 6; count++) driver.dma.view.setUint8(Number(area) + random.below(0x80), random.below(256));
      const { problems, chains } = picture(driver);
      for (const chain of chains) explainChain(driver.dma, driver.model.id, chain);
      wrong += problems.length + chains.filter(({ problem }) => problem !== undefined).length;
    }
    expect(wrong).toBeGreaterThan(100);
  });
});

test('a queue that the driver has not placed yet is empty', () => {
  const driver = new MmioDriver(new VirtioBlock({ image: imageOfBytes(new Uint8Array(512)), serial: 'disk' }));
  expect(picture(driver)).toMatchObject({ position: undefined, entries: [], chains: [], problems: [] });
  expect(driver.device.session.pictureOf(1)).toBeUndefined();
});

test('what a console is to print is shown as text', () => {
  const driver = new MmioDriver(new VirtioConsole({ transmit: () => {} })).start();
  driver.dma.bytes.set(new TextEncoder().encode('hello\n'), BUFFERS);
  driver.ring(1).offer([{ gpa: BUFFERS, length: 6 }]);
  const [chain] = picture(driver, 1).chains;
  expect(chain && explainChain(driver.dma, driver.model.id, chain)).toEqual([['text', '"hello\\n"']]);
});

/** Bytes from hexadecimal digits, filled up with zeroes. */
const bytesOf = (digits: string, length: number) =>
  Uint8Array.from({ length }, (_, index) =>
    Number.parseInt(digits.replaceAll(' ', '').slice(index * 2, index * 2 + 2) || '0', 16),
  );

test.each<[string, number, Uint8Array, Explanation]>([
  [
    'a frame of a network',
    DeviceId.NETWORK,
    bytesOf('00 00 0000 0000 0000 0000 0100  52550a000202 525400123456 0806', 64),
    [
      ['flags', '0x00'],
      ['gso', 'none'],
      ['buffers', '1'],
      ['from', '52:54:00:12:34:56'],
      ['to', '52:55:0a:00:02:02'],
      ['protocol', '0x0806'],
    ],
  ],
  [
    'a packet of a socket',
    DeviceId.VSOCK,
    bytesOf('0300000000000000 0200000000000000 00040000 d2040000 05000000 0100 0500', 44),
    [
      ['operation', 'DATA'],
      ['from', '3:1024'],
      ['to', '2:1234'],
      ['data', '5 bytes'],
    ],
  ],
  [
    'a request of a shared folder',
    DeviceId.P9,
    bytesOf('15000000 64 ffff', 21),
    [
      ['request', 'VERSION'],
      ['tag', '65535'],
      ['size', '21 bytes'],
    ],
  ],
  ['less than a header', DeviceId.VSOCK, bytesOf('03', 7), []],
  ['what no kind of device is known for', 99, bytesOf('03', 7), []],
])('%s is explained', (_name, device, bytes, expected) => {
  const dma = new FakeDma();
  dma.bytes.set(bytes, BUFFERS);
  const link = { gpa: BigInt(BUFFERS), length: bytes.length, flags: 0, link: 0, index: 0, isIndirect: false };
  expect(explainChain(dma, device, { state: 'waiting', id: 0, links: [link] })).toEqual(expected);
});
