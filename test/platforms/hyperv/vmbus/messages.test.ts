import { describe, expect, test } from 'vitest';
import { guidBytes, guidText } from '../../../../src/platforms/hyperv/abi/guid.ts';
import { HvStatus } from '../../../../src/platforms/hyperv/abi/status.ts';
import {
  MESSAGE_CONNECTION,
  NtStatus,
  REDIRECT_CONNECTION,
  SPOKEN_VERSIONS,
  VmbusVersion,
} from '../../../../src/platforms/hyperv/abi/vmbus.ts';
import { encodeMessage } from '../../../../src/platforms/hyperv/vmbus/message.ts';
import { encodePlugging, VMBUS_INPUT } from '../../../../src/platforms/hyperv/vmbus/plugging.ts';
import { EchoVsp } from './echo-vsp.ts';
import { FakeGuest } from './fake-guest.ts';

const second = { instanceId: '11111111-2222-3333-4444-555555555555' };

test('a GUID has its first fields little-endian', () => {
  const bytes = guidBytes('f8615163-df3e-46c5-913f-f2d2f965ed0e');
  expect([...(bytes ?? [])].slice(0, 10)).toEqual([0x63, 0x51, 0x61, 0xf8, 0x3e, 0xdf, 0xc5, 0x46, 0x91, 0x3f]);
  expect(guidText(bytes ?? new Uint8Array())).toBe('f8615163-df3e-46c5-913f-f2d2f965ed0e');
  expect(guidBytes('f8615163')).toBeUndefined();
});

describe('contact', () => {
  test.each(SPOKEN_VERSIONS)('agrees on version 0x%s', (version) => {
    const guest = new FakeGuest(new EchoVsp());
    if (version < VmbusVersion.WIN10_5_0) guest.port = MESSAGE_CONNECTION;
    const answer = guest.contact(version);
    expect(answer.name).toBe('VERSION_RESPONSE');
    expect(answer.bytes).toHaveLength(16);
    expect([answer.number('supported'), answer.number('state')]).toEqual([1, 0]);
    expect(answer.number('connection')).toBe(version >= VmbusVersion.WIN10_5_0 ? REDIRECT_CONNECTION : version);
  });

  test('refuses a version that it does not speak, so that the guest tries an older one', () => {
    const guest = new FakeGuest();
    expect(guest.contact(VmbusVersion.COPPER).number('supported')).toBe(0);
    expect(guest.bus.connection).toBeUndefined();
    expect(guest.contact(0x0002_0003).number('supported')).toBe(0);
    expect(guest.contact().number('supported')).toBe(1);
  });

  test('sends messages where the guest wants them', () => {
    const guest = new FakeGuest(new EchoVsp());
    guest.contact(VmbusVersion.IRON, { vcpu: 1, target: 5n });
    guest.offers();
    expect(new Set(guest.targets.map(({ vcpu, source }) => `${vcpu}:${source}`))).toEqual(new Set(['1:5']));
    expect(guest.post('INITIATE_CONTACT', { version: VmbusVersion.IRON, vcpu: 2 })).toBe(HvStatus.SUCCESS);
    expect(guest.inbox).toEqual([]);
    expect(guest.bus.notes.latest).toContain('vCPU 2');
  });

  test('a second contact, as after kexec, ends all that was agreed on', () => {
    const vsp = new EchoVsp();
    const guest = new FakeGuest(vsp);
    guest.start();
    guest.contact();
    expect(vsp.closed).toHaveLength(1);
    expect(guest.bus.gpadls.size).toBe(0);
    const [offer] = guest.offers();
    expect(offer && guest.open(offer).id).toBe(1);
  });
});

describe('offers', () => {
  test('tell of each device, its channel and its connection', () => {
    const guest = new FakeGuest(
      new EchoVsp({ userData: Uint8Array.of(1, 2, 3), mmioMegabytes: 8 }),
      new EchoVsp(second, 'other'),
    );
    guest.contact();
    const [offer, other] = guest.offers();
    expect(offer?.guid('interface')).toBe('f8615163-df3e-46c5-913f-f2d2f965ed0e');
    expect(offer?.guid('instance')).toBe('01234567-89ab-cdef-0123-456789abcdef');
    expect(offer?.bytes).toHaveLength(196);
    expect([...(offer?.bytes.subarray(60, 64) ?? [])]).toEqual([1, 2, 3, 0]);
    expect(offer?.shown()).toMatchObject({ mmio_megabytes: 8, subchannel: 0, channel: 1, is_monitored: 0, is_dedicated: 1 });
    expect(offer?.number('connection')).toBe(0x2001);
    expect(other?.number('channel')).toBe(2);
  });

  test('are given once', () => {
    const guest = new FakeGuest(new EchoVsp());
    guest.contact();
    guest.offers();
    guest.post('REQUEST_OFFERS');
    expect(guest.inbox).toEqual([]);
    expect(guest.bus.notes.latest).toBe('REQUEST_OFFERS came a second time');
  });

  test('wait while the guest has no room for messages, and come in order', () => {
    const guest = new FakeGuest(...Array.from({ length: 30 }, (_, index) => new EchoVsp({}, `echo${index}`)));
    guest.contact();
    guest.room = 4;
    guest.post('REQUEST_OFFERS');
    const seen: string[] = [];
    for (let round = 0; round < 40; round++) {
      seen.push(
        ...guest.inbox.splice(0).map((message) => (message.name === 'OFFER_CHANNEL' ? String(message.number('channel')) : 'all')),
      );
      guest.clock.advance(100_000n);
    }
    expect(seen).toEqual([...Array.from({ length: 30 }, (_, index) => String(index + 1)), 'all']);
  });
});

describe('GPADLs', () => {
  test('of many pages come in several messages', () => {
    const guest = new FakeGuest(new EchoVsp());
    guest.contact();
    guest.offers();
    const pages = guest.pages(100);
    const { gpadl, status } = guest.describe(1, pages);
    expect(status).toBe(0);
    const buffer = guest.bus.gpadls.get(gpadl)?.buffer;
    expect(buffer?.length).toBe(100 * 4096);
    expect(buffer?.write(4090, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8))).toBe(true);
    expect([...guest.dma.read(BigInt((pages[1] ?? 0) * 4096), 2)]).toEqual([7, 8]);
    expect(buffer?.read(4094, 4)).toEqual(Uint8Array.of(5, 6, 7, 8));
    expect(buffer?.read(100 * 4096 - 1, 2)).toBeUndefined();
    expect(guest.ask('GPADL_TEARDOWN', { channel: 1, gpadl }).name).toBe('GPADL_TORNDOWN');
    expect(buffer?.read(0, 1)).toBeUndefined();
  });

  test.each([
    ['pages without RAM', [0x10, 0x400], 8192, 0],
    ['pages beyond any address', [Number.MAX_SAFE_INTEGER], 4096, 0],
    ['fewer pages than bytes', [0x10], 8192, 0],
    ['an offset beyond the first page', [0x10, 0x11], 4096, 4096],
  ])('%s are refused', (_name, pages, bytes, offset) => {
    const guest = new FakeGuest(new EchoVsp());
    guest.contact();
    guest.offers();
    expect(guest.describe(1, pages, bytes, offset).status).toBe(NtStatus.INVALID_PARAMETER);
    expect(guest.bus.gpadls.size).toBe(0);
  });

  test('of a channel that is not offered, or with a number in use, are refused', () => {
    const guest = new FakeGuest(new EchoVsp());
    guest.contact();
    expect(guest.describe(1, [0x10]).status).toBe(NtStatus.INVALID_PARAMETER);
    guest.offers();
    const { gpadl } = guest.describe(1, [0x10]);
    const again = { channel: 1, gpadl, range_bytes: 16, ranges: 1, data: new Uint8Array(16) };
    expect(guest.ask('GPADL_HEADER', again).number('status')).toBe(NtStatus.INVALID_PARAMETER);
  });
});

describe('channels', () => {
  test('are opened, closed and opened again', () => {
    const vsp = new EchoVsp();
    const guest = new FakeGuest(vsp);
    const channel = guest.start();
    expect(vsp.opened.map(({ id }) => id)).toEqual([channel.id]);
    guest.post('CLOSE_CHANNEL', { channel: channel.id });
    expect(vsp.closed).toHaveLength(1);
    expect(guest.ask('GPADL_TEARDOWN', { channel: channel.id, gpadl: channel.gpadl }).name).toBe('GPADL_TORNDOWN');
    const { gpadl } = guest.describe(1, guest.pages(4));
    const answer = guest.ask('OPEN_CHANNEL', { channel: 1, open_id: 9, gpadl, downstream_page: 2 });
    expect(answer.shown()).toMatchObject({ channel: 1, open_id: 9, status: 0n });
  });

  test.each([
    ['a channel that is not there', { channel: 7 }],
    ['a vCPU that is not there', { vcpu: 2 }],
    ['a GPADL that is not there', { gpadl: 5 }],
    ['rings without data', { downstream_page: 1 }],
    ['a second ring without data', { downstream_page: 3 }],
  ])('%s can not be opened', (_name, wrong) => {
    const guest = new FakeGuest(new EchoVsp());
    guest.contact();
    guest.offers();
    const { gpadl } = guest.describe(1, guest.pages(4));
    const good = { channel: 1, gpadl, vcpu: 0, downstream_page: 2 };
    expect(guest.ask('OPEN_CHANNEL', { ...good, ...wrong }).number('status')).toBe(NtStatus.UNSUCCESSFUL);
    expect(guest.ask('OPEN_CHANNEL', good).number('status')).toBe(0);
    expect(guest.ask('OPEN_CHANNEL', good).number('status')).toBe(NtStatus.UNSUCCESSFUL);
  });

  test('interrupt another vCPU once the guest says so', () => {
    const guest = new FakeGuest(new EchoVsp());
    const channel = guest.start();
    expect(guest.ask('MODIFY_CHANNEL', { channel: channel.id, vcpu: 1 }).shown()).toEqual({ channel: 1, status: 0n });
    expect(guest.ask('MODIFY_CHANNEL', { channel: channel.id, vcpu: 9 }).number('status')).not.toBe(0);
    channel.out.send({});
    guest.signal(channel.connection);
    expect(guest.events).toEqual([{ vcpu: 1, source: 2, flag: 1 }]);
  });

  test('do not outlive the memory of their rings', () => {
    const guest = new FakeGuest(new EchoVsp());
    const channel = guest.start();
    guest.ask('GPADL_TEARDOWN', { channel: 1, gpadl: channel.gpadl });
    channel.out.send({});
    guest.signal(channel.connection);
    expect(guest.bus.channel(1)?.open?.problem).toBe('memory of the ring is gone');
    guest.post('CLOSE_CHANNEL', { channel: 1 });
    expect(guest.bus.channel(1)?.open).toBeUndefined();
  });
});

describe('subchannels', () => {
  test('are offered when the service wants them, and go with their channel', () => {
    const vsp = new EchoVsp();
    const guest = new FakeGuest(vsp);
    const channel = guest.start();
    vsp.opened[0]?.offerSubchannels(2);
    const offers = guest.inbox.splice(0);
    expect(offers.map((offer) => [offer.number('channel'), offer.number('subchannel')])).toEqual([
      [2, 1],
      [3, 2],
    ]);
    const [first, last] = offers;
    if (first === undefined || last === undefined) throw new Error('no offers');
    const opened = guest.open(first, 2, 1);
    opened.out.send({ payload: new Uint8Array(8).fill(7) });
    guest.signal(opened.connection);
    expect(vsp.received.at(-1)?.channel).toBe(2);
    expect(vsp.opened[1]?.gpadl(channel.gpadl)?.length).toBe(4 * 4096);
    guest.post('CLOSE_CHANNEL', { channel: channel.id });
    expect(guest.inbox.splice(0).map((message) => [message.name, message.number('channel')])).toEqual([
      ['RESCIND_CHANNEL_OFFER', 2],
      ['RESCIND_CHANNEL_OFFER', 3],
    ]);
    // The guest may ask for new ones before it has let go of those.
    guest.ask('GPADL_TEARDOWN', { channel: 1, gpadl: channel.gpadl });
    guest.open(channel.offer);
    vsp.opened.at(-1)?.offerSubchannels(1);
    expect(guest.next()?.shown()).toMatchObject({ channel: 4, subchannel: 1 });
    guest.post('RELID_RELEASED', { channel: 2 });
    guest.post('RELID_RELEASED', { channel: 3 });
    expect(guest.bus.channels.map(({ id }) => id)).toEqual([1, 4]);
    guest.post('RELID_RELEASED', { channel: 4 });
    expect(guest.bus.channels.map(({ id }) => id)).toEqual([1]);
    expect(vsp.closed).toHaveLength(2);
  });
});

describe('a device', () => {
  test('can be taken away while it is used', () => {
    const vsp = new EchoVsp();
    const guest = new FakeGuest(vsp);
    const channel = guest.start();
    expect(guest.bus.removeDevice('nothing')).toBe(false);
    expect(guest.bus.removeDevice('echo')).toBe(true);
    expect(guest.next()?.shown()).toEqual({ channel: 1 });
    expect(vsp.closed).toHaveLength(1);
    guest.post('CLOSE_CHANNEL', { channel: 1 });
    expect(guest.ask('GPADL_TEARDOWN', { channel: 1, gpadl: channel.gpadl }).name).toBe('GPADL_TORNDOWN');
    guest.post('RELID_RELEASED', { channel: 1 });
    expect(guest.bus.channels).toEqual([]);
    expect(guest.bus.notes.total).toBe(0);
    expect(guest.signal(channel.connection)).toBe(HvStatus.INVALID_CONNECTION_ID);
  });

  test('waits until the guest has let go of it, where its service asks for that, or until it is taken away again', () => {
    const gone: (() => void)[] = [];
    const vsp = Object.assign(new EchoVsp(), {
      eject: (then: () => void) => {
        if (gone.length > 0) return false;
        gone.push(then);
        return true;
      },
    });
    for (const letsGo of [true, false]) {
      gone.length = 0;
      const guest = new FakeGuest(vsp);
      guest.start();
      expect(guest.bus.removeDevice('echo')).toBe(true);
      expect([guest.bus.devices.length, guest.bus.channel(1)?.isRescinded, guest.bus.channel(1)?.open === undefined]).toEqual([
        1,
        false,
        false,
      ]);
      if (letsGo) gone[0]?.();
      else guest.bus.removeDevice('echo');
      expect(guest.next()?.name).toBe('RESCIND_CHANNEL_OFFER');
      guest.post('RELID_RELEASED', { channel: 1 });
      expect(guest.bus.devices).toEqual([]);
    }
  });

  test('is given back by the input that takes it away, and is there again after a reset', () => {
    const guest = new FakeGuest(new EchoVsp(), new EchoVsp(second, 'other'));
    guest.start();
    const plug = (isIn: boolean, name = 'echo') => guest.bus.inputs.get(VMBUS_INPUT)?.(encodePlugging({ isIn, name }));
    plug(true);
    expect(guest.next()).toBeUndefined();
    plug(false);
    plug(false);
    expect(guest.next()?.name).toBe('RESCIND_CHANNEL_OFFER');
    plug(true);
    const offer = guest.next();
    // The number of the channel that went is not free before the guest says so.
    expect(offer?.number('channel')).toBe(3);
    expect(offer && guest.open(offer).id).toBe(3);
    guest.post('RELID_RELEASED', { channel: 1 });
    plug(false, 'other');
    expect(guest.bus.channels.map(({ id }) => id)).toEqual([2, 3]);
    guest.bus.inputs.get(VMBUS_INPUT)?.(new Uint8Array(3));
    guest.connections.clear();
    guest.bus.reset();
    expect(guest.bus.channels.map(({ name }) => name)).toEqual(['echo', 'other']);
  });

  test('can be added while the guest runs, and is gone after a reset', () => {
    const guest = new FakeGuest();
    guest.contact();
    guest.offers();
    guest.bus.addDevice(new EchoVsp());
    expect(guest.next()?.name).toBe('OFFER_CHANNEL');
    guest.connections.clear();
    guest.bus.reset();
    expect(guest.bus.channels).toEqual([]);
  });
});

test('a guest that unloads is told so, and nothing is left', () => {
  const vsp = new EchoVsp();
  const guest = new FakeGuest(vsp);
  guest.start();
  expect(guest.ask('UNLOAD').name).toBe('UNLOAD_COMPLETE');
  expect(vsp.closed).toHaveLength(1);
  expect(guest.bus.connection).toBeUndefined();
  expect([...guest.connections.all.keys()]).toEqual([1, 4, 2]);
});

test('a socket to the host is refused, and a reserved channel is closed already', () => {
  const guest = new FakeGuest();
  guest.contact();
  const endpoint = '00000000-facb-11e6-bd58-64006a7986d3';
  const answer = guest.ask('TL_CONNECT_REQUEST', { endpoint, service: endpoint });
  expect(answer.shown()).toEqual({ endpoint, service: endpoint, status: BigInt(NtStatus.CONNECTION_REFUSED) });
  expect(guest.ask('CLOSE_RESERVED_CHANNEL', { channel: 3, vcpu: 1, sint: 4 }).number('channel')).toBe(3);
  expect(guest.targets.at(-1)).toEqual({ vcpu: 1, source: 4 });
});

test.each([
  ['no header', new Uint8Array(4), 'has no header'],
  ['an unknown type', Uint8Array.of(99, 0, 0, 0, 0, 0, 0, 0), 'no message of type 0x63'],
  ['too few bytes', encodeMessage('OPEN_CHANNEL').subarray(0, 20), 'OPEN_CHANNEL has 20 bytes, but needs 28'],
  ['a message of the host', encodeMessage('OFFER_CHANNEL'), 'no message that this host takes'],
  ['a close of nothing', encodeMessage('CLOSE_CHANNEL', { channel: 1 }), 'not open'],
  ['a teardown of nothing', encodeMessage('GPADL_TEARDOWN'), 'there is not'],
])('a message with %s is noted and has no effect', (_name, bytes, why) => {
  const guest = new FakeGuest(new EchoVsp());
  guest.contact();
  expect(guest.postBytes(bytes)).toBe(HvStatus.SUCCESS);
  expect(guest.bus.notes.latest).toContain(why);
  expect(guest.inbox).toEqual([]);
});

test('nothing but contact is taken without a connection', () => {
  const guest = new FakeGuest(new EchoVsp());
  guest.post('REQUEST_OFFERS');
  expect(guest.bus.notes.latest).toBe('REQUEST_OFFERS came without a connection');
});

test('a guest that never reads is told to wait', () => {
  const guest = new FakeGuest();
  guest.contact();
  guest.room = 0;
  const statuses = Array.from({ length: 5000 }, () => guest.post('TL_CONNECT_REQUEST'));
  expect(statuses.at(-1)).toBe(HvStatus.INSUFFICIENT_BUFFERS);
  guest.room = 10_000;
  guest.clock.advance(100_000n);
  expect(guest.post('TL_CONNECT_REQUEST')).toBe(HvStatus.SUCCESS);
});

test('in stages all is as at once, with a frame and what was decided', () => {
  const staged = new FakeGuest(new EchoVsp());
  staged.isStaged = true;
  const channel = staged.start();
  channel.out.send({});
  staged.signal(channel.connection);
  const plain = new FakeGuest(new EchoVsp());
  const other = plain.start();
  other.out.send({});
  plain.signal(other.connection);
  expect(staged.events).toEqual(plain.events);
  expect(Buffer.compare(staged.dma.bytes, plain.dma.bytes)).toBe(0);
  const frames = staged.steps.flatMap((step) => (step.kind === 'enter' ? [`${step.frame.component} ${step.frame.name}`] : []));
  expect(frames.slice(-3)).toEqual([
    'vmbusr.sys VMBus channel 1: ring signalled',
    'vmwp.exe echo: take packet',
    'vmbusr.sys VMBus channel 1: send packet',
  ]);
  const stages = staged.steps.flatMap((step) => (step.kind === 'stage' ? [step.id] : []));
  for (const id of [
    'vmbus-message.version',
    'vmbus-message.offer',
    'vmbus-message.open',
    'vmbus-channel.packet',
    'vmbus-packet.signal',
  ])
    expect(stages).toContain(id);
});
