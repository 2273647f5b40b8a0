import { describe, expect, test } from 'vitest';
import { imageOfBytes } from '../../../src/devices/disk-image/raw-image.ts';
import type { NetworkCard, NetworkPort } from '../../../src/devices/network-port.ts';
import { Feature, featureBits, Status } from '../../../src/devices/virtio/abi.ts';
import { VirtioBalloon } from '../../../src/devices/virtio/balloon/device.ts';
import { VirtioBlock } from '../../../src/devices/virtio/block/device.ts';
import { Request } from '../../../src/devices/virtio/block/registers.ts';
import { VirtioConsole } from '../../../src/devices/virtio/console/device.ts';
import { VirtioEntropy } from '../../../src/devices/virtio/entropy/device.ts';
import type { VirtioModel } from '../../../src/devices/virtio/model.ts';
import { VirtioNetwork } from '../../../src/devices/virtio/network/device.ts';
import { VirtioP9 } from '../../../src/devices/virtio/p9/device.ts';
import { FieldWriter, Request as Request9 } from '../../../src/devices/virtio/p9/protocol.ts';
import { VirtioVsock } from '../../../src/devices/virtio/vsock/device.ts';
import { EchoHost } from '../../../src/devices/virtio/vsock/host.ts';
import { packetBytes } from '../../../src/devices/virtio/vsock/packet.ts';
import { Operation } from '../../../src/devices/virtio/vsock/registers.ts';
import type { Handler, HandlerStep } from '../../../src/stages/stage.ts';
import type { Buffer } from './drivers.ts';
import { FakeFolder } from './fake-folder.ts';
import { BUFFERS, MmioDriver, PACKED, SPLIT, type VirtioDriver } from './mmio-driver.ts';
import { onEach, TRANSPORTS } from './transports.ts';

const ROOM = BUFFERS + 0x1000;
const EVENTS = featureBits(Feature.EVENT_IDX);

/** A header of a block request, as bytes at BUFFERS; the buffers that a read of one sector needs. */
function offerRead(driver: VirtioDriver, sector: number): number {
  const { view } = driver.dma;
  const at = BUFFERS + sector * 16;
  view.setUint32(at, Request.IN, true);
  view.setBigUint64(at + 8, BigInt(sector), true);
  const room = ROOM + sector * 1024;
  return driver.ring().offer([
    { gpa: at, length: 16 },
    { gpa: room, length: 512, writable: true },
    { gpa: room + 512, length: 1, writable: true },
  ]);
}

function disk(): VirtioBlock {
  const image = imageOfBytes(Uint8Array.from({ length: 8 * 512 }, (_, index) => 1 + (index >> 9)));
  return new VirtioBlock({ image, serial: 'disk' });
}

const network = () => new VirtioNetwork({ mac: 0x5254_0012_3456, port: { connect() {}, transmit() {} } });

/** Runs to the stage with this id, or to the end; gives all steps. */
function runTo(work: Handler, id?: string): HandlerStep[] {
  const steps: HandlerStep[] = [];
  for (let next = work.next(); !next.done; next = work.next()) {
    steps.push(next.value);
    if (next.value.kind === 'stage' && next.value.id === id) return steps;
  }
  return steps;
}
const idsOf = (steps: readonly HandlerStep[]) => steps.flatMap((step) => (step.kind === 'stage' ? [step.id] : []));
const depthOf = (steps: readonly HandlerStep[]) =>
  steps.reduce((depth, { kind }) => depth + (kind === 'enter' ? 1 : kind === 'leave' ? -1 : 0), 0);

const someRoom: readonly Buffer[] = [{ gpa: ROOM, length: 0x40, writable: true }];
const KINDS: readonly (readonly [string, () => VirtioModel, (driver: VirtioDriver) => number])[] = [
  [
    'disk',
    disk,
    (driver) => {
      offerRead(driver, 1);
      offerRead(driver, 2);
      return 0;
    },
  ],
  [
    'entropy device',
    () => new VirtioEntropy(),
    (driver) => {
      driver.ring().offer(someRoom);
      return 0;
    },
  ],
  [
    'console that prints',
    () => new VirtioConsole({ transmit: () => {} }),
    (driver) => {
      driver.dma.bytes.fill(0x41, BUFFERS, BUFFERS + 9);
      driver.ring(1).offer([{ gpa: BUFFERS, length: 9 }]);
      return 1;
    },
  ],
  [
    'console that is typed to',
    () => {
      const model = new VirtioConsole({ transmit: () => {} });
      model.receive(Uint8Array.of(1, 2, 3));
      return model;
    },
    (driver) => {
      driver.ring(0).offer(someRoom);
      return 0;
    },
  ],
  [
    'network card that sends',
    network,
    (driver) => {
      driver.dma.bytes.fill(0, BUFFERS, BUFFERS + 200);
      driver.ring(1).offer([{ gpa: BUFFERS, length: 72 }]);
      driver.ring(1).offer([{ gpa: BUFFERS, length: 100 }]);
      return 1;
    },
  ],
  [
    'network card that is told something',
    network,
    (driver) => {
      driver.ring(2).offer([{ gpa: BUFFERS, length: 3 }, ...someRoom]);
      return 2;
    },
  ],
  [
    'network card that gets a frame',
    network,
    (driver) => {
      if (driver.model instanceof VirtioNetwork) driver.model.receive(new Uint8Array(60));
      driver.ring(0).offer([{ gpa: BUFFERS, length: 100, writable: true }]);
      return 0;
    },
  ],
  [
    'shared folder',
    () => new VirtioP9({ tag: 'a', folder: new FakeFolder({}), start: 0n, now: () => 0n }),
    (driver) => {
      const message = new FieldWriter().u32(21).u8(Request9.VERSION).u16(1).u32(8192).text('9P2000.L').bytes();
      driver.dma.bytes.set(message, BUFFERS);
      driver.ring().offer([{ gpa: BUFFERS, length: message.length }, ...someRoom]);
      return 0;
    },
  ],
  [
    'balloon that is told of pages',
    () => new VirtioBalloon({ take() {}, give() {} }),
    (driver) => {
      driver.ring(1).offer([{ gpa: BUFFERS, length: 8 }]);
      return 1;
    },
  ],
  [
    'socket device that is asked for a connection',
    () => new VirtioVsock({ cid: 3, host: (happened) => new EchoHost(happened) }),
    (driver) => {
      const ports = { from: 3n, to: 2n, fromPort: 9, toPort: 7, type: 1, flags: 0, room: 99, passedOn: 0 };
      const packet = packetBytes({ ...ports, operation: Operation.REQUEST, data: new Uint8Array(0) });
      driver.dma.bytes.set(packet, BUFFERS);
      driver.ring(0).offer(someRoom);
      driver.ring(1).offer([{ gpa: BUFFERS, length: packet.length }]);
      return 1;
    },
  ],
  [
    'disk with a bad chain',
    disk,
    (driver) => {
      driver.ring().offer([{ gpa: BUFFERS, length: 3 }]);
      return 0;
    },
  ],
];

describe.each(
  onEach([
    ['split', SPLIT],
    ['split with event index', SPLIT | EVENTS],
    ['packed', PACKED],
  ]),
)('%s rings', (_format, make, features) => {
  test.each(KINDS)('a %s does in stages what it does at once', (_name, model, offer) => {
    const [inStages, atOnce] = [true, false].map((isStaged) => {
      const driver = make(model()).start(features);
      const queue = offer(driver);
      const steps = isStaged ? runTo(driver.notifyInStages(queue)) : [];
      if (!isStaged) driver.notify(queue);
      return { memory: driver.dma.bytes, state: driver.device.save(), line: driver.line.level, steps };
    });
    if (inStages === undefined || atOnce === undefined) throw new Error('there are two');
    expect(inStages.state).toEqual(atOnce.state);
    expect(inStages.line).toEqual(atOnce.line);
    expect(Buffer.compare(inStages.memory, atOnce.memory)).toBe(0);
    expect(idsOf(inStages.steps).length).toBeGreaterThan(1);
    expect(depthOf(inStages.steps)).toBe(0);
  });
});

describe.each(TRANSPORTS)('a disk in the middle of a request, %s', (_name, make) => {
  const start = () => {
    const driver = make(disk()).start(SPLIT | featureBits(Feature.RING_RESET));
    offerRead(driver, 1);
    offerRead(driver, 2);
    const work = driver.notifyInStages();
    const steps = runTo(work, 'virtio-blk.perform');
    return { driver, work, steps };
  };
  const sector = (driver: VirtioDriver, number: number) => driver.dma.bytes[ROOM + number * 1024];

  test('has taken the chain and moved nothing', () => {
    const { driver, work, steps } = start();
    expect(steps.at(-1)).toMatchObject({ values: { offset: 512n, bytes: 512, capacity: 4096n } });
    expect(driver.ring().collect()).toEqual([]);
    expect([sector(driver, 1), depthOf(steps)]).toEqual([0, 2]);
    runTo(work, 'virtio-blk.status');
    expect(sector(driver, 1)).toBe(2);
    expect(driver.ring().collect()).toEqual([]);
    runTo(work);
    expect(driver.ring().collect()).toEqual([
      { id: 0, written: 513 },
      { id: 3, written: 513 },
    ]);
  });

  test.each([
    ['resets the device', (driver: VirtioDriver) => (driver.status = 0)],
    ['resets the queue', (driver: VirtioDriver) => driver.resetQueue(0)],
    ['is switched off and on', (driver: VirtioDriver) => driver.device.reset()],
    ['is put back to an earlier state', (driver: VirtioDriver) => driver.device.restore(driver.device.save())],
    ['starts anew', (driver: VirtioDriver) => driver.start()],
  ])('touches nothing more where the machine %s', (_name, act) => {
    const { driver, work, steps } = start();
    act(driver);
    const before = driver.dma.bytes.slice();
    const rest = runTo(work);
    expect(idsOf(rest)).toEqual([]);
    expect(depthOf([...steps, ...rest])).toBe(0);
    expect(Buffer.compare(driver.dma.bytes, before)).toBe(0);
  });

  test('works again after a reset', () => {
    const { driver } = start();
    driver.start();
    offerRead(driver, 3);
    driver.notify();
    expect(sector(driver, 3)).toBe(4);
  });

  test('serves what is notified meanwhile behind it, in order', () => {
    const { driver, work } = start();
    offerRead(driver, 3);
    driver.notify();
    runTo(driver.notifyInStages());
    expect([sector(driver, 3), driver.ring().collect()]).toEqual([0, []]);
    runTo(work);
    expect(sector(driver, 3)).toBe(4);
    expect(
      driver
        .ring()
        .collect()
        .map(({ id }) => id),
    ).toEqual([0, 3, 6]);
  });

  test('says that it needs a reset, and why', () => {
    const { driver, work } = start();
    driver.dma.view.setUint16(Number(driver.ring().layout.descriptorArea) + 3 * 16 + 14, 99, true);
    const rest = runTo(work);
    expect(rest.at(-2)).toMatchObject({
      id: 'virtio-session.needs-reset',
      values: { reason: 'descriptor 99 is wanted, but there are 8' },
    });
    expect(driver.status & Status.NEEDS_RESET).not.toBe(0);
  });
});

describe('a network card whose frame is answered at once', () => {
  /** Its receive queue leads nowhere, and two frames wait to be sent. */
  const start = () => {
    let card: NetworkCard | undefined;
    const port: NetworkPort = {
      connect: (one) => {
        card = one;
      },
      transmit: (frame) => card?.receive(frame),
    };
    const driver = new MmioDriver(new VirtioNetwork({ mac: 0x5254_0012_3456, port })).start();
    driver.ring(0).offer([{ gpa: ROOM, length: 2048, writable: true }]);
    driver.dma.view.setBigUint64(Number(driver.ring(0).layout.descriptorArea), 0xffff_0000n, true);
    driver.dma.bytes.fill(0, BUFFERS, BUFFERS + 12).fill(0xff, BUFFERS + 12, BUFFERS + 72);
    for (let frames = 0; frames < 2; frames++) driver.ring(1).offer([{ gpa: BUFFERS, length: 72 }]);
    return driver;
  };

  test.each([
    ['at once', (driver: MmioDriver) => driver.notify(1)],
    ['in stages', (driver: MmioDriver) => void runTo(driver.notifyInStages(1))],
  ])('touches no queue any more once the answer has met a bad one, %s', (_name, notify) => {
    const driver = start();
    notify(driver);
    expect(driver.device.session.needsReset).toMatch(/not all RAM/);
    expect(driver.ring(1).collect()).toEqual([]);
  });
});
