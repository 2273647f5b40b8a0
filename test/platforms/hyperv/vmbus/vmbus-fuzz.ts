import { channelView } from '../../../../src/debugger/inspection/vmbus.ts';
import { PacketType, RingControl } from '../../../../src/platforms/hyperv/abi/ring.ts';
import { HvStatus } from '../../../../src/platforms/hyperv/abi/status.ts';
import { SPOKEN_VERSIONS, VMBUS_MESSAGES, VmbusVersion } from '../../../../src/platforms/hyperv/abi/vmbus.ts';
import { MOST_PAGES } from '../../../../src/platforms/hyperv/vmbus/guest-pages.ts';
import { encodeMessage } from '../../../../src/platforms/hyperv/vmbus/message.ts';
import { MOST_GPADLS } from '../../../../src/platforms/hyperv/vmbus/server.ts';
import type { Random } from '../../../support/random.ts';
import { EchoVsp } from './echo-vsp.ts';
import { directExtension, FakeGuest, type GuestChannel } from './fake-guest.ts';

export interface FuzzOutcome {
  /** Rings that still served their guest afterwards, and rings that were given up; messages that were taken, and that were noted as wrong. */
  served: number;
  refused: number;
  /** Different reasons of the latter, without their numbers. */
  readonly reasons: Set<string>;
}

const withoutNumbers = (reason: string) => reason.replaceAll(/0x[\da-f]+|\d+/g, 'N');

/** What one signal may do at most: a ring of 4 KiB has 170 packets, each read in few pieces and answered once. */
const MOST_ACCESSES = 6000;
const MOST_MOVED = 1 << 20;
/** Of so many ring states one is looked at. */
const LOOKED_AT = 64;
const PAGES = [0x20, 0x21, 0xff, 0x100, 0, 0xfffff] as const;

/** Has a channel serve many rings that were written by a driver and then damaged, at once or in stages. Throws when it does what it must not. */
export function fuzzRings(random: Random, count: number, isStaged = false): FuzzOutcome & { readonly guest: FakeGuest } {
  const vsp = new EchoVsp({ monitorLatency: 100 });
  const guest = new FakeGuest(vsp);
  guest.isStaged = isStaged;
  const outcome = { served: 0, refused: 0, reasons: new Set<string>(), guest };
  let channel = guest.start();
  for (let index = 0; index < count; index++) {
    if (guest.bus.channel(channel.id)?.open?.problem !== undefined || random.below(64) === 0) channel = restart(guest);
    guest.dma.ballooned = random.below(16) === 0 ? BigInt(channel.out.control + random.below(4) * 4096) : undefined;
    for (let packets = random.below(4); packets > 0; packets--) sendSome(channel, random);
    damage(guest, channel, random);
    if (index % LOOKED_AT === 0) lookAt(guest);
    guest.dma.accesses = 0;
    guest.dma.moved = 0;
    guest.signal(channel.connection);
    const { accesses, moved } = guest.dma;
    if (accesses > MOST_ACCESSES || moved > MOST_MOVED)
      throw new Error(`ring state ${index}: ${accesses} accesses moved ${moved} bytes`);
    if (random.below(4) === 0) guest.clock.advance(BigInt(random.below(100_000)));
    while (random.below(4) !== 0 && readSafely(channel)) {}
    const problem = guest.bus.channel(channel.id)?.open?.problem;
    if (problem === undefined) outcome.served++;
    else {
      outcome.refused++;
      outcome.reasons.add(withoutNumbers(problem));
    }
    forget(vsp, guest);
  }
  return outcome;
}

/** What was seen is of no use any more. */
function forget(vsp: EchoVsp, guest: FakeGuest): void {
  for (const list of [vsp.received, vsp.opened, vsp.closed, vsp.unsent, guest.events, guest.targets, guest.steps])
    list.length = 0;
}

function restart(guest: FakeGuest): GuestChannel {
  guest.dma.ballooned = undefined;
  guest.dma.bytes.fill(0, 0x10 * 4096, 0x20 * 4096);
  guest.inbox.length = 0;
  guest.startAgain();
  return guest.start();
}

function sendSome({ out }: GuestChannel, random: Random): void {
  const isDirect = random.below(3) === 0;
  const pages = Array.from({ length: random.below(4) }, () => random.pick(PAGES));
  try {
    out.send({
      type: isDirect ? PacketType.DATA_GPA_DIRECT : random.pick([PacketType.DATA_IN_BAND, PacketType.COMPLETION, 0, 0xffff]),
      transaction: BigInt(random.next()),
      payload: random.bytes(random.below(200)),
      extension: isDirect ? directExtension(random.below(20_000), random.below(5000), pages) : new Uint8Array(0),
      wantsCompletion: random.below(2) === 0,
    });
  } catch {
    // The driver's own view of a damaged ring may be beyond its memory.
  }
}

function readSafely({ in: ring }: GuestChannel): boolean {
  try {
    return ring.take() !== undefined;
  } catch {
    return false;
  }
}

/** Changes words of the control pages, and bytes of the packets. */
function damage({ dma }: FakeGuest, { out, in: incoming }: GuestChannel, random: Random): void {
  if (random.below(3) === 0) return;
  for (let changes = random.between(1, 3); changes > 0; changes--) {
    const ring = random.pick([out, out, incoming]);
    if (random.below(4) === 0) {
      const at = random.pick(Object.values(RingControl));
      dma.view.setUint32(ring.control + at, random.pick([0, 8, 24, 4088, 4096, random.below(4096) & ~7, random.next()]), true);
    } else {
      const near = (out.read + random.below(64)) % 4096;
      const at = ring.control + 4096 + random.pick([near, random.below(4096)]);
      dma.bytes[at] = random.below(2) === 0 ? random.below(256) : (dma.bytes[at] ?? 0) ^ (1 << random.below(8));
    }
  }
}

/** Whoever looks at the bus changes nothing, whatever is in its rings. */
function lookAt({ bus, dma }: FakeGuest): void {
  const before = dma.bytes.slice();
  const shown = JSON.stringify(bus.inspect(), (_name, value) => (typeof value === 'bigint' ? String(value) : value));
  for (const { id } of bus.channels) channelView(bus, id, { reference: String, unfolded: ['from:0', 'to:0'] });
  if (shown.length === 0 || Buffer.compare(before, dma.bytes) !== 0) throw new Error('a look at the bus has changed memory');
}

/** Has the bus take many messages: of all types, in any order, with good and bad values, some damaged. */
export function fuzzMessages(random: Random, count: number, isStaged = false): FuzzOutcome & { readonly guest: FakeGuest } {
  const devices = [new EchoVsp({ monitorLatency: 50 }), new EchoVsp({}, 'other'), new EchoVsp({}, 'third')];
  const guest = new FakeGuest(...devices);
  guest.isStaged = isStaged;
  const outcome = { served: 0, refused: 0, reasons: new Set<string>(), guest };
  let open = 0;
  for (let index = 0; index < count; index++) {
    guest.room = random.below(8) === 0 ? 0 : Number.POSITIVE_INFINITY;
    guest.port = random.pick([1, 4]);
    const wrong = guest.bus.notes.total;
    const status = guest.postBytes(someMessage(random), random.below(50) === 0 ? random.next() : 1);
    if (status !== HvStatus.SUCCESS && status !== HvStatus.INSUFFICIENT_BUFFERS)
      throw new Error(`message ${index}: status ${status}`);
    if (guest.bus.notes.total === wrong) outcome.served++;
    else {
      outcome.refused++;
      outcome.reasons.add(withoutNumbers(guest.bus.notes.latest ?? ''));
    }
    disturb(guest, devices, random);
    const { gpadls, pagesDescribed, channels } = guest.bus;
    if (gpadls.size > MOST_GPADLS || pagesDescribed > MOST_PAGES) throw new Error(`message ${index}: ${gpadls.size} GPADLs`);
    for (const vsp of devices) {
      open += vsp.opened.length - vsp.closed.length;
      forget(vsp, guest);
    }
    if (channels.filter((channel) => channel.open).length !== open)
      throw new Error(`message ${index}: ${open} channels are open`);
    guest.inbox.length = 0;
  }
  return outcome;
}

/** What goes on besides, now and then. */
function disturb(guest: FakeGuest, devices: readonly EchoVsp[], random: Random): void {
  if (random.below(8) === 0) guest.clock.advance(BigInt(random.below(200_000)));
  if (random.below(20) === 0) for (const vsp of devices) vsp.opened[0]?.offerSubchannels(random.below(4));
  if (random.below(8) === 0) guest.signal(random.pick([0x2001, 0x2002, 0x2003, 0x2004, 2]));
  if (random.below(500) === 0) guest.dma.bytes.set(random.bytes(4096), random.below(0x100) * 4096);
  if (random.below(1000) === 0) lookAt(guest);
}

/** Values that fields have in turns: channels, GPADLs, pages, vCPUs that there are and that there aren't. */
const VALUES = [0, 1, 1, 1, 2, 2, 3, 4, 5, 16, 24, 40, 0x10, 0xffff, 0xffff_ffff] as const;

function someMessage(random: Random): Uint8Array {
  const row = random.below(3) === 0 ? random.pick(VMBUS_MESSAGES) : random.pick(USUAL);
  const values: Record<string, number | bigint | Uint8Array> = {};
  for (const { name, size } of row.fields)
    if (size === 'rest') values[name] = someData(random);
    else if (size === 8) values[name] = random.pick([0n, 2n, 0x10_000n, 0x11_000n, random.u64()]);
    else if (size !== 'guid') values[name] = someValue(name, random);
  const bytes = encodeMessage(row.name, values);
  if (random.below(16) === 0) return bytes.subarray(0, random.below(bytes.length + 1));
  for (let flips = random.below(8) === 0 ? 3 : 0; flips > 0; flips--) {
    const at = random.below(bytes.length);
    bytes[at] = (bytes[at] ?? 0) ^ (1 << random.below(8));
  }
  return bytes;
}

const USUAL = VMBUS_MESSAGES.filter(({ from, name }) => from === 'guest' && name !== 'UNLOAD');

function someValue(name: string, random: Random): number {
  if (random.below(8) === 0) return random.pick(VALUES);
  switch (name) {
    case 'version':
      return random.pick([...SPOKEN_VERSIONS, VmbusVersion.COPPER]);
    case 'channel':
      return random.between(1, 4);
    case 'gpadl':
      return random.between(1, 8);
    case 'vcpu':
      return random.below(2);
    case 'ranges':
      return 1;
    case 'range_bytes':
      return random.pick([40, 40, 16, 24, 400, 0xfff8]);
    case 'downstream_page':
      return 2;
    default:
      return random.pick(VALUES);
  }
}

/** A range of four pages, as rings have, or another one. */
function someData(random: Random): Uint8Array {
  const view = new DataView(new ArrayBuffer(random.below(4) === 0 ? random.below(25) * 8 : 40));
  const pages = Math.max(0, view.byteLength / 8 - 1);
  if (pages > 0) view.setUint32(0, random.below(8) === 0 ? random.next() : pages * 4096, true);
  if (pages > 0 && random.below(16) === 0) view.setUint32(4, random.below(5000), true);
  for (let page = 0; page < pages; page++)
    view.setBigUint64(8 + page * 8, random.below(32) === 0 ? random.u64() : BigInt(0x10 + random.below(0x80)), true);
  return new Uint8Array(view.buffer);
}
