import { virtqueueView } from '../../../src/debugger/inspection/virtqueues.ts';
import { imageOfBytes } from '../../../src/devices/disk-image/raw-image.ts';
import type { NetworkCard, NetworkPort } from '../../../src/devices/network-port.ts';
import { Feature, featureBit, Status } from '../../../src/devices/virtio/abi.ts';
import { VirtioBalloon } from '../../../src/devices/virtio/balloon/device.ts';
import { VirtioBlock } from '../../../src/devices/virtio/block/device.ts';
import { VirtioConsole } from '../../../src/devices/virtio/console/device.ts';
import { VirtioEntropy } from '../../../src/devices/virtio/entropy/device.ts';
import type { VirtioModel } from '../../../src/devices/virtio/model.ts';
import { VirtioNetwork } from '../../../src/devices/virtio/network/device.ts';
import { VirtioP9 } from '../../../src/devices/virtio/p9/device.ts';
import { isVirtioDevice } from '../../../src/devices/virtio/virtio-device.ts';
import { VirtioVsock } from '../../../src/devices/virtio/vsock/device.ts';
import { EchoHost } from '../../../src/devices/virtio/vsock/host.ts';
import type { Random } from '../../support/random.ts';
import type { Buffer as GuestBuffer } from './drivers.ts';
import { FakeFolder } from './fake-folder.ts';
import { someMessage } from './fuzz-messages.ts';
import { BUFFERS, PACKED, SPLIT, type VirtioDriver } from './mmio-driver.ts';
import type { DriverMaker } from './transports.ts';

function makeShare(): VirtioP9 {
  const folder = new FakeFolder({ n0: { n1: 'text', n2: { n3: '->n1' } }, n1: 'x'.repeat(5000) });
  return new VirtioP9({ tag: 'fuzzed', folder, start: 0n, now: () => 5n });
}

/** Sends each frame back at once, to everybody. */
class EchoPort implements NetworkPort {
  private card: NetworkCard | undefined;
  connect(card: NetworkCard): void {
    this.card = card;
  }
  transmit(frame: Uint8Array): void {
    this.card?.receive(frame.slice().fill(0xff, 0, 6));
  }
}

/** The devices that are fuzzed. */
export const FUZZED: readonly (readonly [string, () => VirtioModel])[] = [
  ['virtio-rng', () => new VirtioEntropy()],
  ['virtio-blk', () => new VirtioBlock({ image: imageOfBytes(new Uint8Array(64 * 512)), serial: 'fuzzed' })],
  ['virtio-vsock', () => new VirtioVsock({ cid: 3, host: (happened) => new EchoHost(happened) })],
  ['virtio-9p', makeShare],
  ['virtio-balloon', () => new VirtioBalloon({ take: checkPages, give: checkPages })],
  ['virtio-console', () => new VirtioConsole({ transmit: () => {} })],
  [
    'virtio-console with a channel',
    () => new VirtioConsole({ transmit: () => {}, channels: [{ name: 'a', transmit: () => {} }] }),
  ],
  ['virtio-net', () => new VirtioNetwork({ mac: 0x5254_0012_3456, port: new EchoPort() })],
];

/** Whole pages of the first 4 GiB, since that is all that page numbers can name. */
function checkPages(gpa: bigint, size: bigint): void {
  if (gpa % 0x1000n !== 0n || size % 0x1000n !== 0n || size <= 0n || gpa < 0n)
    throw new Error(`${size} bytes at ${gpa} are no pages`);
}

/** What one notification may do at most: 8 chains of 8 descriptors, each read in few pieces, and 1 MiB of data for each chain. */
const MOST_ACCESSES = 8 * 8 * 8;
const MOST_MOVED = 8 * (3 << 20);

const FORMATS = [SPLIT, PACKED, SPLIT | featureBit(Feature.EVENT_IDX), PACKED | featureBit(Feature.EVENT_IDX)] as const;
/** Places that a driver may name, good and bad. */
const PLACES = [BUFFERS, BUFFERS + 0x1000, 0x2_0000, 0x2_2000, 0x2_3000, 0xf_fff0, 0xffff_ffff, 0] as const;
const LENGTHS = [1, 16, 17, 512, 513, 1024, 0x2_0000, 0xffff_ffff, 0] as const;

export interface FuzzOutcome {
  /** Ring states after which the device still ran, and after which it needed a reset. */
  served: number;
  refused: number;
  /** Different reasons of the latter, without their numbers. */
  readonly reasons: Set<string>;
  readonly driver: VirtioDriver;
}

/** Of so many ring states one is looked at before the device sees it. */
const LOOKED_AT = 16;

/** Whoever looks at a ring changes nothing, whatever is in it. */
function lookAt({ device, dma, model }: VirtioDriver, queue: number): void {
  if (!isVirtioDevice(device)) throw new Error(`${model.name} can't be looked into`);
  const [bytes, state] = [dma.bytes.slice(), JSON.stringify(device.session.save(), numbers)];
  const view = virtqueueView(device, queue, { reference: String, unfolded: [0, 1, 2] });
  if (view === undefined) throw new Error(`${model.name} has no queue ${queue}`);
  if (Buffer.compare(bytes, dma.bytes) !== 0 || JSON.stringify(device.session.save(), numbers) !== state)
    throw new Error(`a look at ${view.name} of ${model.name} has changed it`);
}
const numbers = (_name: string, value: unknown) => (typeof value === 'bigint' ? String(value) : value);

/**
 * Has a device serve many ring states that were made by a driver and then damaged, at once or in stages. Throws when it does what it must
 * not.
 */
export function fuzzRings(
  makeDriver: DriverMaker,
  make: () => VirtioModel,
  random: Random,
  count: number,
  isStaged = false,
): FuzzOutcome {
  const driver = makeDriver(make());
  const outcome: FuzzOutcome = { served: 0, refused: 0, reasons: new Set(), driver };
  for (let index = 0; index < count; index++) {
    // A queue goes on with what the one before left, now and then.
    if (index % 4 === 0 || driver.status & Status.NEEDS_RESET) driver.start(random.pick(FORMATS));
    driver.dma.ballooned = random.below(8) === 0 ? BigInt(random.pick(PLACES) & ~0xfff) : undefined;
    const queue = random.below(driver.rings.length);
    offerSome(driver, random, queue);
    damage(driver, random, queue);
    if (index % LOOKED_AT === 0) lookAt(driver, queue);
    driver.dma.accesses = 0;
    driver.dma.moved = 0;
    if (random.below(16) === 0) driver.disturb(random);
    fromOutside(driver.model, random);
    if (isStaged) for (const _ of driver.notifyInStages(queue));
    else driver.notify(queue);
    if (driver.dma.accesses > MOST_ACCESSES || driver.dma.moved > MOST_MOVED)
      throw new Error(`ring state ${index}: ${driver.dma.accesses} accesses moved ${driver.dma.moved} bytes`);
    const reason = driver.shown('needs a reset')?.detail;
    if (reason === undefined) outcome.served++;
    else {
      outcome.refused++;
      outcome.reasons.add(reason.replace(/0x[\da-f]+|\d+/g, 'N'));
    }
  }
  return outcome;
}

/** Something that a device is told from outside, now and then. */
function fromOutside(model: VirtioModel, random: Random): void {
  if (model instanceof VirtioConsole && random.below(2) === 0)
    model.receive(random.bytes(random.below(100)), random.pick(['', 'a']) || undefined);
  if (model instanceof VirtioNetwork && random.below(2) === 0) model.receive(random.bytes(random.below(1600)));
  if (model instanceof VirtioBalloon && random.below(2) === 0)
    random.pick([() => model.inflateTo(random.below(9)), () => model.askStatistics(), () => model.askHints()])();
}

/** Chains as a driver makes them, some of them odd. */
function offerSome(driver: VirtioDriver, random: Random, queue: number): void {
  const message = someMessage(driver.model, random);
  driver.dma.bytes.set(message, BUFFERS);
  const isPacket = driver.model instanceof VirtioVsock && queue === 1;
  const honest: readonly GuestBuffer[] =
    driver.model instanceof VirtioP9
      ? [{ gpa: BUFFERS, length: message.length }]
      : Array.from({ length: random.below(4) }, () => ({ gpa: BUFFERS, length: isPacket ? 512 : 16 }));
  const last = driver.model instanceof VirtioP9 ? { gpa: BUFFERS + 0x1000, length: 0x3000 } : { gpa: BUFFERS, length: 513 };
  for (let chains = random.between(1, 3); chains > 0; chains--) {
    const odd = () => ({ gpa: random.pick(PLACES), length: random.pick(LENGTHS), writable: random.below(2) === 0 });
    const buffers: readonly GuestBuffer[] =
      random.below(2) === 0 ? [...honest, { ...last, writable: !isPacket }] : Array.from({ length: random.between(1, 4) }, odd);
    driver.ring(queue).offer(buffers, random.below(3) === 0);
  }
}

/** Changes bytes of the rings, and of the tables behind them. */
function damage({ dma, rings }: VirtioDriver, random: Random, queue: number): void {
  const layout = rings[queue]?.layout;
  if (layout === undefined || random.below(3) === 0) return;
  const { descriptorArea, driverArea, deviceArea } = layout;
  const places = [descriptorArea, descriptorArea, driverArea, deviceArea, descriptorArea + 0x5000n];
  for (let changes = random.between(1, 4); changes > 0; changes--) {
    const at = Number(random.pick(places)) + random.below(random.pick([6, 22, 128]));
    dma.bytes[at] = random.below(2) === 0 ? random.below(256) : (dma.bytes[at] ?? 0) ^ (1 << random.below(8));
  }
}
