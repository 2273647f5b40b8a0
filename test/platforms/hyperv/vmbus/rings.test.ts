import { describe, expect, test } from 'vitest';
import { PacketType, RingControl } from '../../../../src/platforms/hyperv/abi/ring.ts';
import { MESSAGE_CONNECTION, VmbusVersion } from '../../../../src/platforms/hyperv/abi/vmbus.ts';
import { EchoVsp } from './echo-vsp.ts';
import { directExtension, FakeGuest } from './fake-guest.ts';

function start(ringPages = 2) {
  const vsp = new EchoVsp();
  const guest = new FakeGuest(vsp);
  const channel = guest.start(ringPages);
  return { vsp, guest, channel, signal: () => guest.signal(channel.connection) };
}

const payloadOf = (number: number, length: number) => new Uint8Array(length).fill(number & 0xff);

describe('packets', () => {
  test('reach the service, and come back', () => {
    const { vsp, guest, channel, signal } = start();
    channel.out.send({ transaction: 0x1234n, payload: Uint8Array.of(1, 2, 3, 4, 5) });
    signal();
    expect(vsp.received[0]?.packet).toMatchObject({ type: 6, transactionId: 0x1234n, wantsCompletion: true });
    expect(vsp.received[0]?.packet.payload).toEqual(Uint8Array.of(1, 2, 3, 4, 5, 0, 0, 0));
    expect(channel.out.used).toBe(0);
    expect(channel.in.take()).toMatchObject({ type: PacketType.COMPLETION, transaction: 0x1234n, flags: 0 });
    expect(guest.events).toEqual([{ vcpu: 0, source: 2, flag: channel.id }]);
  });

  test('of all sizes go around the end of the ring', () => {
    const { vsp, channel, signal } = start();
    for (let number = 0; number < 600; number++) {
      const length = (number * 8) % 504;
      expect(channel.out.send({ transaction: BigInt(number), payload: payloadOf(number, length) })).toBe(true);
      signal();
      const answer = channel.in.take();
      expect(answer?.transaction).toBe(BigInt(number));
      expect(answer?.payload.every((byte) => byte === (number & 0xff))).toBe(true);
    }
    expect(vsp.received).toHaveLength(600);
    expect(vsp.unsent).toEqual([]);
  });

  test('lead to memory of the guest', () => {
    const { vsp, guest, channel, signal } = start();
    const pages = guest.pages(3);
    const [first = 0, , last = 0] = pages;
    guest.dma.bytes.set([1, 2, 3, 4], first * 4096 + 4092);
    guest.dma.bytes.set([9], last * 4096 + 3);
    const extension = directExtension(4 + 4096 + 4, 4092, pages);
    channel.out.send({ type: PacketType.DATA_GPA_DIRECT, extension });
    signal();
    const buffer = vsp.received[0]?.packet.buffer;
    expect(buffer?.length).toBe(4 + 4096 + 4);
    expect(buffer?.read(0, 5)).toEqual(Uint8Array.of(1, 2, 3, 4, 0));
    expect(buffer?.read(4 + 4096, 4)).toEqual(Uint8Array.of(0, 0, 0, 9));
    expect(buffer?.write(4 + 4096 + 2, Uint8Array.of(1, 2, 3))).toBe(false);
    expect(vsp.received[0]?.packet.payload).toHaveLength(8);
  });

  test.each([
    ['no RAM', directExtension(4096, 0, [0x100])],
    ['too few pages', directExtension(8192, 0, [0x10])],
    ['no ranges', new Uint8Array(8)],
  ])('whose ranges have %s come without memory', (name, extension) => {
    const { vsp, guest, channel, signal } = start();
    channel.out.send({ type: PacketType.DATA_GPA_DIRECT, extension });
    signal();
    const buffer = vsp.received[0]?.packet.buffer;
    if (name === 'no ranges') expect(buffer?.length).toBe(0);
    else expect(buffer).toBeUndefined();
    expect(guest.bus.channel(1)?.open?.problem).toBeUndefined();
  });

  test('for the guest tell where in its buffer their data is', () => {
    const { vsp, channel } = start();
    const transferPages = { set: 0xcafe, ranges: [{ count: 100, offset: 0x2000 }] };
    expect(
      vsp.opened[0]?.send({ type: 7, transactionId: 5n, payload: payloadOf(1, 40), wantsCompletion: true, transferPages }),
    ).toBe(true);
    const packet = channel.in.take();
    expect(packet).toMatchObject({ type: 7, transaction: 5n, flags: 1 });
    const view = new DataView(packet?.extension.buffer ?? new ArrayBuffer(16));
    expect([view.getUint16(0, true), view.getUint32(4, true), view.getUint32(8, true), view.getUint32(12, true)]).toEqual([
      0xcafe, 1, 100, 0x2000,
    ]);
  });
});

describe('interrupts of the guest', () => {
  test('come only when the ring was empty', () => {
    const { guest, channel, signal } = start();
    for (let number = 0; number < 3; number++) channel.out.send({});
    signal();
    expect(guest.events).toHaveLength(1);
    channel.out.send({});
    signal();
    expect(guest.events).toHaveLength(1);
    while (channel.in.take()) {}
    channel.out.send({});
    signal();
    expect(guest.events).toHaveLength(2);
  });

  test('do not come while the guest has them masked, or wants none for the channel', () => {
    const { guest, channel, signal } = start();
    channel.in.word(RingControl.INTERRUPT_MASK, 1);
    channel.out.send({});
    signal();
    expect(guest.events).toEqual([]);
    channel.in.take();
    channel.in.word(RingControl.INTERRUPT_MASK, 0);
    guest.ask('MODIFY_CHANNEL', { channel: 1, vcpu: 0xffff_ffff });
    channel.out.send({});
    signal();
    expect(guest.events).toEqual([]);
    expect(channel.in.used).toBeGreaterThan(0);
  });
});

describe('room', () => {
  test('is never used up', () => {
    const { vsp, channel, signal } = start();
    // 16 + 8 + 8 bytes divide the ring: one packet less than would fill it fits.
    for (let number = 0; number < 127; number++) channel.out.send({ transaction: BigInt(number) });
    expect(channel.out.send({})).toBe(false);
    signal();
    channel.out.send({ transaction: 127n });
    signal();
    expect(vsp.unsent.map(({ transactionId }) => transactionId)).toEqual([127n]);
    expect(channel.in.used).toBe(127 * 32);
    expect(channel.in.word(RingControl.PENDING_SEND_SIZE)).toBe(32);
    channel.in.take();
    signal();
    // As many free bytes as are needed are not enough: the ring would look empty.
    expect(channel.in.used).toBe(127 * 32);
    expect(vsp.unsent).toEqual([]);
    expect(channel.in.word(RingControl.PENDING_SEND_SIZE)).toBe(0);
  });

  test('that the guest waits for is signalled when it is there', () => {
    const { guest, channel, signal } = start();
    channel.in.word(RingControl.INTERRUPT_MASK, 1);
    while (channel.out.send({ wantsCompletion: false })) {}
    channel.out.word(RingControl.PENDING_SEND_SIZE, 1024);
    signal();
    expect(guest.events).toHaveLength(1);
    channel.out.send({ wantsCompletion: false });
    signal();
    // It had the room already.
    expect(guest.events).toHaveLength(1);
    while (channel.out.send({ wantsCompletion: false })) {}
    channel.out.word(RingControl.FEATURES, 0);
    signal();
    expect(guest.events).toHaveLength(1);
  });

  test('there is none for what is larger than the ring', () => {
    const { vsp, channel } = start();
    expect(vsp.opened[0]?.send({ type: 6, transactionId: 0n, payload: new Uint8Array(4096) })).toBe(false);
    expect(channel.in.word(RingControl.PENDING_SEND_SIZE)).toBe(0);
  });
});

test('one signal brings about only so much; the rest comes a little later', () => {
  const { vsp, guest, channel, signal } = start(8);
  let sent = 0;
  while (channel.out.send({ wantsCompletion: false })) sent++;
  signal();
  expect(vsp.received).toHaveLength(256);
  guest.clock.advance(1_000_000n);
  expect(vsp.received).toHaveLength(sent);
});

describe('a broken ring', () => {
  test.each([
    ['a write index beyond the end', RingControl.WRITE_INDEX, 4096, 'is no place in a ring of 4096 bytes'],
    ['a write index between words', RingControl.WRITE_INDEX, 4, 'is no place'],
    ['a read index beyond the end', RingControl.READ_INDEX, 0xffff_fff8, 'is no place'],
    ['too few bytes', RingControl.WRITE_INDEX, 8, 'too few for a packet'],
    ['a packet of nothing', RingControl.WRITE_INDEX, 64, "a packet of 0 bytes can't be"],
  ])('with %s is left alone', (_name, at, value, why) => {
    const { vsp, guest, channel, signal } = start();
    channel.out.word(at, value);
    signal();
    expect(guest.bus.channel(1)?.open?.problem).toContain(why);
    expect(vsp.received).toEqual([]);
    expect(vsp.opened[0]?.send({ type: 6, transactionId: 0n, payload: new Uint8Array(8) })).toBe(false);
    expect(JSON.stringify(guest.bus.inspect(), (_key, shown) => (typeof shown === 'bigint' ? String(shown) : shown))).toContain(
      why,
    );
  });

  test('whose packet is longer than what was written is left alone', () => {
    const { guest, channel, signal } = start();
    channel.out.send({});
    channel.out.put(4, Uint8Array.of(5, 0));
    signal();
    expect(guest.bus.channel(1)?.open?.problem).toBe("a packet of 40 bytes can't be among 32 in the ring");
  });

  test('whose data begin outside of their packet is left alone', () => {
    const { guest, channel, signal } = start();
    channel.out.send({});
    channel.out.put(2, Uint8Array.of(4, 0));
    signal();
    expect(guest.bus.channel(1)?.open?.problem).toBe("the data of a packet of 24 bytes can't begin at byte 32");
  });

  test('whose memory is gone is left alone', () => {
    const { guest, channel, signal } = start();
    channel.out.send({});
    guest.dma.ballooned = BigInt(channel.out.control);
    signal();
    expect(guest.bus.channel(1)?.open?.problem).toBe('memory of the ring is gone');
  });
});

test('before Windows 8, channels are marked in the interrupt page, both ways', () => {
  const vsp = new EchoVsp();
  const guest = new FakeGuest(vsp);
  guest.port = MESSAGE_CONNECTION;
  const page = (guest.pages(1)[0] ?? 0) * 4096;
  guest.contact(VmbusVersion.WIN7, { target: BigInt(page) });
  const [offer] = guest.offers();
  if (offer === undefined) throw new Error('no offer');
  expect([offer.number('is_dedicated'), offer.number('connection')]).toEqual([0, 2]);
  const channel = guest.open(offer);
  channel.out.send({});
  guest.dma.bytes[page + 2048] = 1 << channel.id;
  guest.signal(2);
  expect(vsp.received).toHaveLength(1);
  expect(guest.dma.bytes[page + 2048]).toBe(0);
  expect(guest.dma.bytes[page]).toBe(1 << channel.id);
  expect(guest.events).toEqual([{ vcpu: 0, source: 2, flag: 0 }]);
});

test('a monitored channel is marked in the monitor page, and looked for once in its latency', () => {
  const vsp = new EchoVsp({ monitorLatency: 1000 });
  const guest = new FakeGuest(vsp);
  const page = (guest.pages(1)[0] ?? 0) * 4096;
  guest.contact(VmbusVersion.IRON, { guest_monitor_page: BigInt(page) });
  const [offer] = guest.offers();
  if (offer === undefined) throw new Error('no offer');
  expect([offer.number('is_monitored'), offer.number('monitor')]).toEqual([1, 0]);
  const channel = guest.open(offer);
  expect(guest.dma.bytes[page]).toBe(1);
  expect(guest.dma.view.getUint16(page + 576, true)).toBe(1000);
  channel.out.send({});
  guest.dma.bytes[page + 8] = 1;
  guest.clock.advance(99_999n);
  expect(vsp.received).toEqual([]);
  guest.clock.advance(1n);
  expect(vsp.received).toHaveLength(1);
  expect(guest.dma.bytes[page + 8]).toBe(0);
  channel.out.send({});
  guest.dma.bytes[page + 8] = 1;
  guest.post('CLOSE_CHANNEL', { channel: 1 });
  guest.clock.advance(1_000_000n);
  expect(vsp.received).toHaveLength(1);
});
