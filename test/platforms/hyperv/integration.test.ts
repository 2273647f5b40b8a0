import { describe, expect, test } from 'vitest';
import type { Clock } from '../../../src/devices/device.ts';
import type { InspectNode } from '../../../src/devices/inspect.ts';
import {
  decodeIc,
  encodeIc,
  encodeNegotiation,
  IcFlag,
  IcMessage,
  IcStatus,
  type IcVersion,
  KvpOperation,
  version,
} from '../../../src/platforms/hyperv/abi/integration.ts';
import type { GuestPacket, HostPacket, Vsp, VspChannel } from '../../../src/platforms/hyperv/vmbus/vsp.ts';
import {
  BACKUP_INPUT,
  encodeBackupRequest,
  encodeKvpRequest,
  KVP_INPUT,
  SHUTDOWN_INPUT,
  TIME_INPUT,
} from '../../../src/platforms/hyperv/vsps/integration-inputs.ts';
import { IntegrationServices } from '../../../src/platforms/hyperv/vsps/integration-services.ts';
import { type Handler, type HandlerStep, stage } from '../../../src/stages/stage.ts';
import { Random } from '../../support/random.ts';

const SECOND = 1_000_000_000n;
const START = 1_767_225_600n;

/** Guest time that a test moves. */
class TestClock implements Clock {
  private time = 0n;
  private readonly timers = new Map<number, { readonly when: bigint; readonly callback: () => void }>();
  private handles = 0;

  now(): bigint {
    return this.time;
  }
  schedule(when: bigint, callback: () => void): number {
    this.timers.set(++this.handles, { when, callback });
    return this.handles;
  }
  cancel(handle: number): void {
    this.timers.delete(handle);
  }
  pass(ticks: bigint): void {
    const end = this.time + ticks;
    for (;;) {
      const due = [...this.timers].filter(([, { when }]) => when <= end).sort(([, a], [, b]) => Number(a.when - b.when));
      const [first] = due;
      if (!first) break;
      this.timers.delete(first[0]);
      this.time = first[1].when;
      first[1].callback();
    }
    this.time = end;
  }
}

/** The guest's end of a channel: keeps what came, and has only as much room as it is given. */
class TestChannel implements VspChannel {
  readonly id = 7;
  readonly subchannelIndex = 0;
  readonly sent: HostPacket[] = [];
  room = Number.POSITIVE_INFINITY;

  send(packet: HostPacket): boolean {
    if (this.sent.length >= this.room) return false;
    this.sent.push(packet);
    return true;
  }
  *sendInStages(packet: HostPacket): Handler<boolean> {
    yield stage('test.send');
    return this.send(packet);
  }
  gpadl() {
    return undefined;
  }
  offerSubchannels() {}
}

function machine() {
  const clock = new TestClock();
  const services = new IntegrationServices({ clock, startSeconds: START });
  const vsp = (name: string): Vsp => {
    const found = services.vsps.find((one) => one.name === name);
    if (!found) throw new Error(`there is no ${name}`);
    return found;
  };
  return { clock, services, vsp };
}

const packetOf = (payload: Uint8Array): GuestPacket => ({ type: 6, transactionId: 1n, wantsCompletion: false, payload });
function last({ sent }: TestChannel) {
  const message = decodeIc(sent.at(-1)?.payload ?? new Uint8Array(0));
  if (!message) throw new Error('no message was sent');
  return message;
}
/** Answers a message as Linux's driver does: the same bytes with other flags, and what the driver changes of them. */
function answer(channel: TestChannel, change: { readonly status?: number; readonly body?: Uint8Array } = {}): GuestPacket {
  return packetOf(encodeIc({ ...last(channel), flags: IcFlag.TRANSACTION | IcFlag.RESPONSE, ...change }));
}
function agree(service: Vsp, framework: IcVersion, message: IcVersion): TestChannel {
  const channel = new TestChannel();
  service.open(channel);
  service.receive(channel, answer(channel, { body: encodeNegotiation([framework], [message]) }));
  return channel;
}
const child = ({ children = [] }: InspectNode, name: string) => children.find((node) => node.name === name);
const utf16 = (text: string) => Uint8Array.from([...text].flatMap((letter) => [letter.charCodeAt(0), 0]).concat(0, 0));

describe('versions', () => {
  test('are offered when the channel is opened, and one that was not is refused', () => {
    const { vsp } = machine();
    const shutdown = vsp('shutdown');
    const channel = new TestChannel();
    shutdown.open(channel);
    const offer = last(channel);
    expect([offer.type, offer.flags, [...offer.body.subarray(0, 8)]]).toEqual([IcMessage.NEGOTIATE, 3, [2, 0, 4, 0, 0, 0, 0, 0]]);
    expect([...offer.body.subarray(8)]).toEqual([1, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 3, 0, 1, 0, 3, 0, 2, 0]);
    shutdown.receive(channel, answer(channel, { body: encodeNegotiation([version(3)], [version(9)]) }));
    expect(shutdown.inspect()).toMatchObject({
      value: 'failed',
      children: [{ name: 'problem', value: 'the guest has chosen no version of those that were offered' }],
    });
  });

  test('a driver that knows none of them says so by no version at all', () => {
    const { vsp } = machine();
    const channel = new TestChannel();
    vsp('kvp').open(channel);
    vsp('kvp').receive(channel, answer(channel, { body: encodeNegotiation([], []) }));
    expect(vsp('kvp').inspect().value).toBe('failed');
  });
});

test('the heartbeat comes every two seconds, and a guest that no longer answers has none', () => {
  const { clock, vsp } = machine();
  const heartbeat = vsp('heartbeat');
  const channel = agree(heartbeat, version(3), version(3));
  for (let beat = 0; beat < 5; beat++) {
    const { body } = last(channel);
    const view = new DataView(body.buffer);
    expect([channel.sent.length, view.getBigUint64(0, true)]).toEqual([2 + beat, BigInt(beat)]);
    view.setBigUint64(0, view.getBigUint64(0, true) + 1n, true);
    heartbeat.receive(channel, answer(channel, { body }));
    clock.pass(2n * SECOND);
  }
  expect(heartbeat.inspect()).toMatchObject({ value: 'ready', detail: 'framework 3.0, messages 3.0' });
  expect(child(heartbeat.inspect(), 'status')?.value).toBe('OK');
  clock.pass(10n * SECOND);
  expect(child(heartbeat.inspect(), 'status')).toMatchObject({ value: 'no contact', detail: '6 unanswered' });
  heartbeat.close(channel);
  const { length } = channel.sent;
  clock.pass(10n * SECOND);
  expect([channel.sent.length, heartbeat.inspect().value]).toEqual([length, 'closed']);
});

test('the time is that of the configured start and guest time, in both layouts', () => {
  const { clock, services, vsp } = machine();
  clock.pass(SECOND / 2n);
  const time = vsp('timesync');
  const fileTime = (ticks: bigint) => (START + 11_644_473_600n) * 10_000_000n + ticks / 100n;
  const channel = agree(time, version(3), version(4));
  const view = (of: TestChannel) => new DataView(last(of).body.buffer);
  expect(view(channel).getBigUint64(0, true)).toBe(fileTime(SECOND / 2n));
  expect([view(channel).getBigUint64(8, true), view(channel).getUint8(16)]).toEqual([5_000_000n, 1]);
  clock.pass(5n * SECOND);
  expect([view(channel).getBigUint64(0, true), view(channel).getUint8(16)]).toEqual([fileTime((11n * SECOND) / 2n), 2]);
  services.inputs.get(TIME_INPUT)?.(new Uint8Array(0));
  expect(view(channel).getUint8(16)).toBe(1);
  const old = agree(time, version(1), version(1));
  expect([last(old).body.length, view(old).getUint8(24)]).toEqual([25, 1]);
});

test('a shutdown is asked for from outside, and the guest may refuse it', () => {
  const { services, vsp } = machine();
  const shutdown = vsp('shutdown');
  const ask = (flags: number) => services.inputs.get(SHUTDOWN_INPUT)?.(Uint8Array.of(flags));
  expect(services.inputs.has(SHUTDOWN_INPUT)).toBe(false);
  const channel = agree(shutdown, version(3), version(3, 2));
  expect([channel.sent.length, child(shutdown.inspect(), 'request')?.value]).toEqual([1, 'not asked']);
  ask(3);
  const { body, type } = last(channel);
  expect([type, body.length, body[8], child(shutdown.inspect(), 'request')?.value]).toEqual([
    IcMessage.SHUTDOWN,
    2060,
    3,
    'asked',
  ]);
  shutdown.receive(channel, answer(channel, { status: IcStatus.FAIL }));
  expect(child(shutdown.inspect(), 'request')?.value).toBe('the guest refuses: 0x80004005');
  ask(0);
  shutdown.receive(channel, answer(channel));
  expect(child(shutdown.inspect(), 'request')?.value).toBe('the guest goes down');
});

describe('key-value pairs', () => {
  /** Answers enumerations with pairs of one pool until there are none left. */
  function serve(kvp: Vsp, channel: TestChannel, pool: number, pairs: readonly (readonly [string, string])[]): void {
    for (let served = channel.sent.length - 1; served < channel.sent.length; served++) {
      const { body } = last(channel);
      const view = new DataView(body.buffer);
      const pair = body[1] === pool ? pairs[view.getUint32(4, true)] : undefined;
      if (body[0] === KvpOperation.ENUMERATE && pair) {
        const [key, value] = pair.map(utf16);
        view.setUint32(8, 1, true);
        view.setUint32(12, key?.length ?? 0, true);
        view.setUint32(16, value?.length ?? 0, true);
        body.set(key ?? [], 20);
        body.set(value ?? [], 532);
        kvp.receive(channel, answer(channel, { body }));
      } else kvp.receive(channel, answer(channel, { status: body[0] === KvpOperation.ENUMERATE ? IcStatus.NO_MORE_ITEMS : 0 }));
    }
  }
  const pairsOf = (kvp: Vsp, pool: string) => child(kvp.inspect(), pool)?.children?.map(({ name, value }) => `${name}=${value}`);

  test('of the guest are read pool by pool; those of the host are set and deleted', () => {
    const { services, vsp } = machine();
    const kvp = vsp('kvp');
    const channel = agree(kvp, version(3), version(5));
    serve(kvp, channel, 2, [
      ['OSName', 'Debian'],
      ['NetworkAddressIPv4', '10.0.2.15'],
    ]);
    expect(pairsOf(kvp, 'auto')).toEqual(['OSName=Debian', 'NetworkAddressIPv4=10.0.2.15']);
    const ask = services.inputs.get(KVP_INPUT);
    ask?.(encodeKvpRequest({ operation: 'set', key: 'role', value: 'web' }));
    ask?.(encodeKvpRequest({ operation: 'set', key: 'rack', value: '7' }));
    ask?.(encodeKvpRequest({ operation: 'delete', key: 'role' }));
    const { body } = last(channel);
    expect([body[0], body[1], [...body.subarray(16, 26)]]).toEqual([1, 0, [...utf16('role')]]);
    serve(kvp, channel, 0, []);
    expect(pairsOf(kvp, 'external')).toEqual(['rack=7']);
    ask?.(Uint8Array.of(1, 2, 3));
    expect(child(kvp.inspect(), 'request')?.value).toBe('idle');
  });

  test('have the addresses of a network card beside them, when they are asked for', () => {
    const { vsp, services } = machine();
    const kvp = vsp('kvp');
    const channel = agree(kvp, version(3), version(5));
    for (let left = 3; left > 0; left--) kvp.receive(channel, answer(channel, { status: IcStatus.NO_MORE_ITEMS }));
    services.inputs.get(KVP_INPUT)?.(encodeKvpRequest({ operation: 'addresses', key: '52:54:00:ab:cd:ef' }));
    const { body } = last(channel);
    expect([body[0], body.length, [...body.subarray(2, 38)]]).toEqual([4, 7428, [...utf16('52:54:00:AB:CD:EF')]]);
    body[2 + 257] = 1;
    body.set(utf16('10.0.2.15;fe80::1'), 2 + 258);
    body.set(utf16('10.0.2.2'), 2 + 4354);
    kvp.receive(channel, answer(channel, { body }));
    expect(pairsOf(kvp, 'card 52:54:00:ab:cd:ef')).toEqual([
      'addresses=10.0.2.15, fe80::1',
      'subnets=',
      'gateways=10.0.2.2',
      'name servers=',
      'by DHCP=yes',
    ]);
  });

  test('with sizes that can not be are passed over', () => {
    const { vsp } = machine();
    const kvp = vsp('kvp');
    const channel = agree(kvp, version(3), version(5));
    const { body } = last(channel);
    new DataView(body.buffer).setUint32(12, 513, true);
    kvp.receive(channel, answer(channel, { body }));
    expect(pairsOf(kvp, 'auto')).toEqual([]);
  });
});

test('what finds no room in the ring goes once there is some', () => {
  const { clock, vsp } = machine();
  const heartbeat = vsp('heartbeat');
  const channel = agree(heartbeat, version(3), version(3));
  channel.room = channel.sent.length;
  clock.pass(100n * SECOND);
  expect(channel.sent).toHaveLength(2);
  channel.room += 1;
  heartbeat.hasRoom?.(channel);
  expect(channel.sent).toHaveLength(3);
  channel.room += 1000;
  heartbeat.hasRoom?.(channel);
  expect(channel.sent).toHaveLength(34);
});

test('what finds no room behind an answer goes later, too', () => {
  const { vsp } = machine();
  const channel = new TestChannel();
  const time = vsp('timesync');
  time.open(channel);
  channel.room = 1;
  time.receive(channel, answer(channel, { body: encodeNegotiation([version(3)], [version(4)]) }));
  expect(channel.sent).toHaveLength(1);
  channel.room = 2;
  time.hasRoom?.(channel);
  expect(last(channel).type).toBe(IcMessage.TIME_SYNC);
});

describe('backups', () => {
  const start = () => {
    const { vsp, services } = machine();
    const vss = vsp('vss');
    const channel = agree(vss, version(3), version(5));
    const operations = () => channel.sent.slice(1).map(({ payload }) => decodeIc(payload)?.body[0]);
    const shown = () => [child(vss.inspect(), 'request')?.value, child(vss.inspect(), 'file systems')?.value];
    return { vss, channel, operations, shown, ask: services.inputs.get(BACKUP_INPUT) };
  };

  test('ask whether the guest can, and have its file systems stand still and go on', () => {
    const { vss, channel, operations, shown, ask } = start();
    expect(operations()).toEqual([]);
    ask?.(encodeBackupRequest('once'));
    expect([last(channel).type, last(channel).body.length, ...shown()]).toEqual([5, 12, 'asked: HOT_BACKUP', 'running']);
    // Nothing is asked for meanwhile.
    ask?.(encodeBackupRequest('freeze'));
    vss.receive(channel, answer(channel));
    vss.receive(channel, answer(channel));
    expect(shown()).toEqual(['asked: THAW', 'frozen']);
    vss.receive(channel, answer(channel));
    expect([operations(), shown()]).toEqual([
      [2, 5, 6],
      ['done: THAW', 'running'],
    ]);
  });

  test('leave them frozen until they are thawed', () => {
    const { vss, channel, operations, shown, ask } = start();
    ask?.(encodeBackupRequest('freeze'));
    vss.receive(channel, answer(channel));
    vss.receive(channel, answer(channel));
    expect(shown()).toEqual(['done: FREEZE', 'frozen']);
    ask?.(encodeBackupRequest('thaw'));
    vss.receive(channel, answer(channel));
    expect([operations(), shown()]).toEqual([
      [2, 5, 6],
      ['done: THAW', 'running'],
    ]);
  });

  test('end where the guest refuses, as Linux does without its service', () => {
    const { vss, channel, operations, shown, ask } = start();
    ask?.(encodeBackupRequest('once'));
    vss.receive(channel, answer(channel, { status: IcStatus.FAIL }));
    expect([operations(), shown()]).toEqual([[2], ['the guest refuses HOT_BACKUP: 0x80004005', 'running']]);
    ask?.(Uint8Array.of(9));
    expect(operations()).toEqual([2]);
  });
});

/** Newest message versions that aren't 3. */
const MESSAGES: Readonly<Record<string, number>> = { timesync: 4, vss: 5 };

test('a hostile guest gets nothing but what is wrong with its packets', () => {
  const { vsp } = machine();
  const random = new Random(1234);
  for (const name of ['heartbeat', 'shutdown', 'timesync', 'kvp', 'vss']) {
    const service = vsp(name);
    const channel = agree(service, version(3), version(MESSAGES[name] ?? 3));
    expect(service.inspect().value).toBe('ready');
    for (let round = 0; round < 3000; round++) {
      const payload = round % 3 === 0 ? random.bytes(round % 90) : answer(channel).payload.slice();
      for (const at of random.bytes(3)) payload[at % payload.length] = random.below(256);
      service.receive(channel, packetOf(payload));
    }
    expect(service.inspect().name).toBe(name);
  }
});

test('an answer is taken in stages, with the same end', () => {
  const { vsp } = machine();
  const channel = new TestChannel();
  const heartbeat = vsp('heartbeat');
  heartbeat.open(channel);
  const steps: HandlerStep[] = [
    ...heartbeat.receiveInStages(channel, answer(channel, { body: encodeNegotiation([version(3)], [version(3)]) })),
  ];
  expect(steps.map((step) => (step.kind === 'stage' ? step.id : step.kind === 'enter' ? step.frame.name : 'leave'))).toEqual([
    'integration.packet',
    'integration.message',
    'heartbeat: agree',
    'integration.versions',
    'leave',
    'test.send',
  ]);
  expect([heartbeat.inspect().value, last(channel).type]).toEqual(['ready', IcMessage.HEARTBEAT]);
});
