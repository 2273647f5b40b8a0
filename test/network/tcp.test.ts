import { describe, expect, test } from 'vitest';
import { TcpFlag as Flag, type TcpSegment } from '../../src/network/packets/tcp.ts';
import { parseForward, parseGuestForward, type UserNetworkOptions } from '../../src/network/user/options.ts';
import { GATEWAY } from '../../src/network/user/subnet.ts';
import { Random } from '../support/random.ts';
import { encoded, Station, text } from './station.ts';

const SECOND = 1_000_000_000n;
/** The guest's port and the first number that it uses, near the end of the numbers, so that they wrap in each test. */
const PORT = 40_000;
const FIRST = 0xffff_fffe;
const OPTIONS: Partial<UserNetworkOptions> = {
  guestForwards: [parseGuestForward('tcp:80:8000')],
  forwards: [parseForward('tcp:2222:22')],
};

/** A guest that is connected with the service outside that is flow 2. */
class Connected {
  readonly station = new Station(OPTIONS).announce();
  /** The next numbers of both sides. */
  own = (FIRST + 1) >>> 0;
  other = 0;

  constructor({ mss = 1460, window = 0xffff } = {}) {
    this.send({ sequence: FIRST, flags: Flag.SYN, mss, window });
    this.station.happened({ kind: 'connected', flow: 2 });
    const [answer] = this.station.takeTcp();
    this.other = ((answer?.sequence ?? 0) + 1) >>> 0;
    this.send({ flags: Flag.ACK, window });
    this.station.takeTcp();
  }
  send(segment: Partial<TcpSegment>): void {
    const numbers = { sequence: this.own, acknowledgment: segment.flags === Flag.SYN ? 0 : this.other };
    this.station.sendTcp(PORT, 80, { ...numbers, ...segment });
  }
  /** Sends bytes from `offset` on, before which others may be missing. */
  sendAt(offset: number, words: string, more: Partial<TcpSegment> = {}): void {
    this.send({ sequence: (this.own + offset) >>> 0, flags: Flag.ACK, payload: encoded(words), ...more });
  }
  get heard(): string {
    return this.station.outside.sent.get(2) ?? '';
  }
  /** Numbers, flags and bytes of what has come, by how far they are from what was expected. */
  take(): [sequence: number, acknowledged: number, flags: number, bytes: string][] {
    return this.station.takeTcp().map(({ sequence, acknowledgment, flags, payload }) => {
      return [(sequence - this.other) | 0, (acknowledgment - this.own) | 0, flags, text(payload)];
    });
  }
}

describe('a connection of the guest to a service', () => {
  test('is made once the service has taken it', () => {
    const station = new Station(OPTIONS).announce();
    station.sendTcp(PORT, 80, { sequence: FIRST, flags: Flag.SYN, mss: 1000 });
    expect([station.take(), station.outside.asked]).toEqual([[], ['open 2 tcp 8000']]);
    station.sendTcp(PORT, 80, { sequence: FIRST, flags: Flag.SYN, mss: 1000 });
    expect([station.take(), station.outside.asked.length]).toEqual([[], 1]);
    station.happened({ kind: 'connected', flow: 2 });
    const answer = {
      sourcePort: 80,
      destinationPort: PORT,
      flags: Flag.SYN | Flag.ACK,
      acknowledgment: 0xffff_ffff,
      mss: 1460,
      window: 0xffff,
    };
    expect(station.takeTcp()).toMatchObject([answer]);
    station.sendTcp(PORT, 80, { sequence: FIRST, flags: Flag.SYN, mss: 1000 });
    expect(station.takeTcp()).toMatchObject([answer]);
  });

  test.each(['refused', 'not named', 'at another address'])('is reset when it is %s', (why) => {
    const station = new Station(OPTIONS).announce();
    const port = why === 'not named' ? 81 : 80;
    station.sendTcp(PORT, port, { sequence: FIRST, flags: Flag.SYN }, why === 'at another address' ? GATEWAY + 1 : GATEWAY);
    station.happened({ kind: 'closed', flow: 2 });
    expect(station.takeTcp()).toMatchObject([
      { sourcePort: port, flags: Flag.RST | Flag.ACK, sequence: 0, acknowledgment: 0xffff_ffff },
    ]);
  });

  test('segments without a connection are reset, but no resets', () => {
    const station = new Station(OPTIONS).announce();
    station.sendTcp(PORT, 80, { sequence: 5, acknowledgment: 77, flags: Flag.ACK });
    station.sendTcp(PORT, 80, { sequence: 5, flags: Flag.FIN, payload: encoded('ab') });
    station.sendTcp(PORT, 80, { sequence: 5, flags: Flag.RST });
    expect(station.takeTcp()).toMatchObject([
      { sequence: 77, flags: Flag.RST },
      { sequence: 0, acknowledgment: 8, flags: Flag.RST | Flag.ACK },
    ]);
  });

  test('carries bytes both ways', () => {
    const guest = new Connected();
    guest.sendAt(0, 'GET /');
    expect([guest.heard, guest.take()]).toEqual(['GET /', [[0, 5, Flag.ACK, '']]]);
    guest.own += 5;
    guest.station.happened({ kind: 'data', flow: 2, bytes: encoded('x'.repeat(3000)) });
    expect(guest.take()).toEqual([
      [0, 0, Flag.ACK, 'x'.repeat(1460)],
      [1460, 0, Flag.ACK, 'x'.repeat(1460)],
      [2920, 0, Flag.ACK | Flag.PSH, 'x'.repeat(80)],
    ]);
  });

  test('puts in order what comes in disorder, and takes nothing twice', () => {
    const guest = new Connected();
    guest.sendAt(6, 'ghi');
    guest.sendAt(3, 'def');
    guest.sendAt(5, 'fgh');
    expect([guest.heard, guest.take().map(([, acknowledged]) => acknowledged)]).toEqual(['', [0, 0, 0]]);
    guest.sendAt(0, 'abcd');
    expect([guest.heard, guest.take()]).toEqual(['abcdefghi', [[0, 9, Flag.ACK, '']]]);
    guest.sendAt(0, 'abcdefghij');
    expect([guest.heard, guest.take()]).toEqual(['abcdefghij', [[0, 10, Flag.ACK, '']]]);
    guest.sendAt(3, 'def');
    expect([guest.heard, guest.take()]).toEqual(['abcdefghij', [[0, 10, Flag.ACK, '']]]);
  });

  test('tells the guest to wait while the service takes nothing', () => {
    const guest = new Connected();
    for (let offset = 0; offset < 0xffff; offset += 1000) guest.sendAt(offset, 'y'.repeat(1000));
    expect(guest.heard.length).toBe(0xffff);
    expect(guest.station.takeTcp().at(-1)?.window).toBe(0);
    guest.own = (guest.own + 0xffff) >>> 0;
    guest.sendAt(0, 'z');
    expect(guest.take()).toEqual([[0, 0, Flag.ACK, '']]);
    guest.station.happened({ kind: 'taken', flow: 2, count: 1000 });
    expect(guest.take()).toEqual([]);
    guest.station.happened({ kind: 'taken', flow: 2, count: 1000 });
    expect(guest.station.takeTcp()).toMatchObject([{ window: 2000 }]);
    guest.sendAt(0, 'z');
    expect(guest.heard.length).toBe(0x1_0000);
  });

  test('keeps to the window and the largest segment of the guest', () => {
    const guest = new Connected({ mss: 100, window: 250 });
    guest.station.happened({ kind: 'data', flow: 2, bytes: encoded('w'.repeat(400)) });
    expect(guest.take().map(([at, , , bytes]) => [at, bytes.length])).toEqual([
      [0, 100],
      [100, 100],
      [200, 50],
    ]);
    guest.other += 200;
    guest.send({ flags: Flag.ACK, window: 250 });
    expect(guest.take().map(([at, , , bytes]) => [at, bytes.length])).toEqual([
      [50, 100],
      [150, 50],
    ]);
  });

  test('probes a closed window, and goes on when it opens', () => {
    const guest = new Connected({ window: 0 });
    guest.station.happened({ kind: 'data', flow: 2, bytes: encoded('probe') });
    expect(guest.take()).toEqual([]);
    for (let probe = 0; probe < 12; probe++) {
      guest.station.clock.advance(60n * SECOND);
      expect(guest.take().at(-1)).toEqual([0, 0, Flag.ACK | Flag.PSH, 'p']);
      guest.send({ flags: Flag.ACK, window: 0 });
    }
    guest.other++;
    guest.send({ flags: Flag.ACK, window: 1000 });
    expect(guest.take()).toEqual([[0, 0, Flag.ACK | Flag.PSH, 'robe']]);
  });

  test('has those outside wait while much waits for the guest', () => {
    const guest = new Connected({ window: 0 });
    const asked = () => guest.station.outside.asked.slice(1);
    guest.station.happened({ kind: 'data', flow: 2, bytes: new Uint8Array(100_000) });
    expect(asked()).toEqual([]);
    guest.station.happened({ kind: 'data', flow: 2, bytes: new Uint8Array(50_000) });
    expect(asked()).toEqual(['pause 2']);
    for (let taken = 0; taken < 2; taken++) {
      guest.send({ flags: Flag.ACK, window: 50_000 });
      guest.other = (guest.other + 50_000) >>> 0;
    }
    expect(asked()).toEqual(['pause 2']);
    guest.send({ flags: Flag.ACK, window: 50_000 });
    expect(asked()).toEqual(['pause 2', 'resume 2']);
  });
});

describe('what is lost', () => {
  const sent = (guest: Connected) => guest.take().map(([at, , , bytes]) => [at, bytes]);

  test('is sent again, later and later, until the connection is given up', () => {
    const guest = new Connected();
    guest.station.happened({ kind: 'data', flow: 2, bytes: encoded('lost') });
    expect(sent(guest)).toEqual([[0, 'lost']]);
    const { clock, outside } = guest.station;
    clock.advance(SECOND - 1n);
    expect(sent(guest)).toEqual([]);
    clock.advance(1n);
    expect(sent(guest)).toEqual([[0, 'lost']]);
    clock.advance(2n * SECOND - 1n);
    expect(sent(guest)).toEqual([]);
    clock.advance(1n);
    expect(sent(guest)).toEqual([[0, 'lost']]);
    clock.advance(1000n * SECOND);
    const all = guest.station.takeTcp();
    expect([all.length, all.at(-1)?.flags]).toEqual([7, Flag.RST | Flag.ACK]);
    expect(outside.asked).toEqual(['open 2 tcp 8000', 'close 2']);
  });

  test('is sent again at the third duplicate acknowledgment, and what is lost behind it too', () => {
    const guest = new Connected({ mss: 100 });
    guest.station.happened({ kind: 'data', flow: 2, bytes: encoded('a'.repeat(100) + 'b'.repeat(100) + 'c'.repeat(300)) });
    guest.take();
    guest.send({ flags: Flag.ACK });
    guest.send({ flags: Flag.ACK });
    expect(sent(guest)).toEqual([]);
    guest.send({ flags: Flag.ACK });
    expect(sent(guest)).toEqual([[0, 'a'.repeat(100)]]);
    guest.other = (guest.other + 100) >>> 0;
    guest.send({ flags: Flag.ACK });
    expect(sent(guest)).toEqual([[0, 'b'.repeat(100)]]);
    guest.other = (guest.other + 400) >>> 0;
    guest.send({ flags: Flag.ACK });
    guest.station.clock.advance(100n * SECOND);
    expect(sent(guest)).toEqual([]);
  });

  test.each([1, 2, 3, 4])('does no harm to a long stream: seed %d', (seed) => {
    const random = new Random(seed);
    const guest = new Connected({ mss: 536, window: 8000 });
    const bytes = random.bytes(60_000);
    guest.station.happened({ kind: 'data', flow: 2, bytes });
    guest.station.happened({ kind: 'finished', flow: 2 });
    const got = new Uint8Array(bytes.length);
    const have = new Set<number>();
    const start = guest.other;
    let isOver = false;
    for (let round = 0; round < 5000 && !isOver; round++) {
      const segments = guest.station.takeTcp();
      if (segments.length === 0) guest.station.clock.advance(60n * SECOND);
      for (const { sequence, payload, flags } of segments) {
        if (random.below(5) === 0) continue;
        const at = (sequence - start) >>> 0;
        got.set(payload, at);
        for (let index = 0; index < payload.length; index++) have.add(at + index);
        let next = (guest.other - start) >>> 0;
        while (have.has(next)) next++;
        isOver ||= (flags & Flag.FIN) !== 0 && at + payload.length === next;
        guest.other = (start + next + (isOver ? 1 : 0)) >>> 0;
        if (isOver || random.below(5) > 0) guest.send({ flags: Flag.ACK, window: 8000 });
      }
    }
    expect(isOver).toBe(true);
    expect(Buffer.compare(got, bytes)).toBe(0);
  });
});

describe('an end', () => {
  test('by the guest first', () => {
    const guest = new Connected();
    guest.sendAt(0, 'bye', { flags: Flag.ACK | Flag.FIN });
    expect([guest.heard, guest.take()]).toEqual(['bye', [[0, 4, Flag.ACK, '']]]);
    expect(guest.station.outside.asked).toEqual(['open 2 tcp 8000', 'finish 2']);
    guest.own += 4;
    guest.station.happened({ kind: 'data', flow: 2, bytes: encoded('late') });
    guest.station.happened({ kind: 'finished', flow: 2 });
    expect(guest.take()).toEqual([
      [0, 0, Flag.ACK | Flag.PSH, 'late'],
      [4, 0, Flag.ACK | Flag.FIN, ''],
    ]);
    guest.other += 5;
    guest.send({ flags: Flag.ACK });
    expect(guest.station.outside.asked.at(-1)).toBe('close 2');
  });

  test('by the service first', () => {
    const guest = new Connected();
    guest.station.happened({ kind: 'finished', flow: 2 });
    expect(guest.take()).toEqual([[0, 0, Flag.ACK | Flag.FIN, '']]);
    guest.other++;
    guest.sendAt(0, 'last');
    guest.own += 4;
    guest.send({ flags: Flag.ACK | Flag.FIN });
    expect([guest.heard, guest.take()]).toEqual([
      'last',
      [
        [0, 0, Flag.ACK, ''],
        [0, 1, Flag.ACK, ''],
      ],
    ]);
    const phase = () => guest.station.network.inspect().children?.[1]?.children?.map(({ value }) => value);
    expect(phase()).toEqual(['TIME-WAIT']);
    // A late one is answered again.
    guest.send({ flags: Flag.ACK | Flag.FIN });
    expect(guest.take()).toEqual([[0, 1, Flag.ACK, '']]);
    guest.station.clock.advance(SECOND);
    expect([phase(), guest.station.outside.asked.at(-1)]).toEqual([[], 'close 2']);
  });

  test('by both at once', () => {
    const guest = new Connected();
    guest.station.happened({ kind: 'finished', flow: 2 });
    guest.send({ flags: Flag.ACK | Flag.FIN });
    guest.own++;
    guest.take();
    guest.other++;
    guest.send({ flags: Flag.ACK });
    guest.station.clock.advance(SECOND);
    expect(guest.station.outside.asked.at(-1)).toBe('close 2');
  });

  test('by a reset, which must have the very number that comes next', () => {
    const guest = new Connected();
    guest.send({ sequence: guest.own + 1, flags: Flag.RST });
    expect(guest.take()).toEqual([[0, 0, Flag.ACK, '']]);
    expect(guest.station.outside.asked.length).toBe(1);
    guest.send({ flags: Flag.RST });
    expect([guest.take(), guest.station.outside.asked.at(-1)]).toEqual([[], 'close 2']);
  });

  test('by a reset outside', () => {
    const guest = new Connected();
    guest.station.happened({ kind: 'closed', flow: 2 });
    expect(guest.take()).toEqual([[0, 0, Flag.RST | Flag.ACK, '']]);
  });

  test('makes room for the same port at once', () => {
    const guest = new Connected();
    guest.station.happened({ kind: 'finished', flow: 2 });
    guest.other++;
    guest.send({ flags: Flag.ACK | Flag.FIN });
    guest.take();
    guest.send({ sequence: 5000, flags: Flag.SYN });
    expect(guest.station.outside.asked).toEqual(['open 2 tcp 8000', 'finish 2', 'close 2', 'open 4 tcp 8000']);
  });
});

describe('a client outside', () => {
  const accepted = () => {
    const station = new Station(OPTIONS).announce();
    station.happened({ kind: 'accepted', flow: 1, forward: 0 });
    const [syn] = station.takeTcp();
    if (!syn) throw new Error('the guest is not asked');
    return { station, syn };
  };

  test('is connected with the guest', () => {
    const { station, syn } = accepted();
    expect(syn).toMatchObject({ destinationPort: 22, sourcePort: 49_152, flags: Flag.SYN, mss: 1460 });
    station.happened({ kind: 'data', flow: 1, bytes: encoded('early') });
    expect(station.takeTcp()).toEqual([]);
    const acknowledgment = (syn.sequence + 1) >>> 0;
    station.sendTcp(22, syn.sourcePort, { sequence: FIRST, acknowledgment, flags: Flag.SYN | Flag.ACK, mss: 1460 });
    expect(station.takeTcp()).toMatchObject([
      { flags: Flag.ACK, acknowledgment: 0xffff_ffff, sequence: acknowledgment },
      { flags: Flag.ACK | Flag.PSH, payload: encoded('early') },
    ]);
    station.sendTcp(22, syn.sourcePort, { sequence: 0xffff_ffff, acknowledgment, flags: Flag.ACK, payload: encoded('SSH') });
    expect(station.outside.sent.get(1)).toBe('SSH');
  });

  test('is closed when the guest refuses, and only by the guest that was asked', () => {
    const { station, syn } = accepted();
    station.sendTcp(22, syn.sourcePort, { acknowledgment: syn.sequence, flags: Flag.RST | Flag.ACK });
    expect(station.outside.asked).toEqual([]);
    station.sendTcp(22, syn.sourcePort, { acknowledgment: syn.sequence + 1, flags: Flag.RST | Flag.ACK });
    expect(station.outside.asked).toEqual(['close 1']);
  });

  test('is closed when the guest does not answer', () => {
    const { station } = accepted();
    station.clock.advance(1000n * SECOND);
    expect(station.outside.asked).toEqual(['close 1']);
    expect(station.takeTcp().length).toBe(8 + 1);
  });
});

test('a saved network goes on as the one that it was saved from', () => {
  const first = new Connected();
  first.station.happened({ kind: 'data', flow: 2, bytes: encoded('kept') });
  first.sendAt(3, 'def');
  const state = structuredClone(first.station.network.save());
  const second = new Station(OPTIONS, state);
  for (const { clock, network } of [first.station, second]) {
    clock.advance(2n * SECOND);
    network.happened({ kind: 'finished', flow: 2 });
  }
  first.take();
  const sequence = first.own;
  for (const station of [first.station, second]) {
    station.frames.length = 0;
    station.sendTcp(PORT, 80, { sequence, acknowledgment: first.other, flags: Flag.ACK, payload: encoded('abc') });
  }
  expect(second.takeTcp()).toEqual(first.station.takeTcp());
  expect([first.heard, second.outside.sent.get(2)]).toEqual(['abcdef', 'abcdef']);
  expect(second.network.save()).toEqual(first.station.network.save());
});
