import { beforeEach, describe, expect, test } from 'vitest';
import { Status } from '../../../src/devices/virtio/abi.ts';
import { VirtioVsock } from '../../../src/devices/virtio/vsock/device.ts';
import { EchoHost, type HostEvent, type SocketData, type VsockHost } from '../../../src/devices/virtio/vsock/host.ts';
import { type Packet, packetBytes } from '../../../src/devices/virtio/vsock/packet.ts';
import { HOST_BUFFER, MessageFlag, Operation as Op, Shutdown, SocketType } from '../../../src/devices/virtio/vsock/registers.ts';
import { MmioDriver, PACKED, SPLIT, type VirtioDriver } from './mmio-driver.ts';
import { onEach } from './transports.ts';

const [RECEIVE, TRANSMIT] = [0, 1];
const CID = 5;
const NONE = new Uint8Array(0);
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const encoded = (words: string) => new TextEncoder().encode(words);
const NAMES = new Map<number, string>(Object.entries(Op).map(([name, number]) => [number, name]));

/** A host that writes down what it is told, and says what the test has it say. */
class WrittenHost implements VsockHost {
  readonly calls: string[] = [];
  constructor(readonly happened: (event: HostEvent) => void) {}
  open(connection: number, port: number, kind: string): void {
    this.calls.push(`open ${connection} ${port} ${kind}`);
  }
  send(connection: number, { bytes, endsMessage, endsRecord }: SocketData): void {
    const ends = `${endsMessage ? ' end' : ''}${endsRecord ? ' record' : ''}`;
    this.calls.push(bytes.length > 100 ? `send ${connection} ${bytes.length} bytes` : `send ${connection} ${text(bytes)}${ends}`);
  }
  finish(connection: number): void {
    this.calls.push(`finish ${connection}`);
  }
  close(connection: number): void {
    this.calls.push(`close ${connection}`);
  }
  setFlowing(connection: number, isFlowing: boolean): void {
    this.calls.push(`${isFlowing ? 'go on' : 'wait'} ${connection}`);
  }
}

describe.each(
  onEach([
    ['split', SPLIT],
    ['packed', PACKED],
  ]),
)('sockets, %s', (_name, make, features) => {
  let host: WrittenHost;
  let model: VirtioVsock;
  let driver: VirtioDriver;
  beforeEach(() => {
    model = new VirtioVsock({
      cid: CID,
      host: (happened) => {
        host = new WrittenHost(happened);
        return host;
      },
    });
    driver = make(model).start(features);
  });

  const packet = (operation: number, more: Partial<Packet> = {}): Packet => ({
    from: BigInt(CID),
    to: 2n,
    fromPort: 1000,
    toPort: 7,
    type: SocketType.STREAM,
    operation,
    flags: 0,
    room: 0x1_0000,
    passedOn: 0,
    data: NONE,
    ...more,
  });
  const send = (operation: number, more: Partial<Packet> = {}) =>
    driver.request(packetBytes(packet(operation, more)), 0, { queue: TRANSMIT });
  /** Hands over a buffer; what came in it. */
  const receive = (room = 200) => {
    const { bytes, used } = driver.request(NONE, room, { queue: RECEIVE });
    if (used === undefined) return undefined;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const data = bytes.slice(44, used.written);
    return {
      ports: [view.getUint32(16, true), view.getUint32(20, true)],
      operation: NAMES.get(view.getUint16(30, true)),
      flags: view.getUint32(32, true),
      room: view.getUint32(36, true),
      passedOn: view.getUint32(40, true),
      data: text(data),
      length: data.length,
    };
  };
  const connect = (more: Partial<Packet> = {}) => {
    send(Op.REQUEST, more);
    host.happened({ kind: 'connected', connection: 0 });
    expect(receive()?.operation).toBe('RESPONSE');
    host.calls.length = 0;
  };

  test('the guest has the context that it was given', () => {
    expect(driver.config(0, 8)).toBe(BigInt(CID));
  });

  test('connect to the host and carry bytes both ways', () => {
    send(Op.REQUEST);
    expect(host.calls).toEqual(['open 0 7 stream']);
    host.happened({ kind: 'connected', connection: 0 });
    expect(receive()).toMatchObject({ ports: [7, 1000], operation: 'RESPONSE', room: HOST_BUFFER, passedOn: 0 });
    send(Op.DATA, { data: encoded('question') });
    expect(host.calls.at(-1)).toBe('send 0 question');
    host.happened({ kind: 'taken', connection: 0, count: 8 });
    // The buffer that waits is filled at once.
    expect(receive()).toBeUndefined();
    host.happened({ kind: 'data', connection: 0, bytes: encoded('answer') });
    expect(driver.ring(RECEIVE).collect()).toMatchObject([{ written: 44 + 6 }]);
    host.happened({ kind: 'data', connection: 0, bytes: encoded('more') });
    expect(receive()).toMatchObject({ operation: 'DATA', data: 'more', passedOn: 8 });
  });

  test('are refused where nothing listens', () => {
    send(Op.REQUEST);
    host.happened({ kind: 'closed', connection: 0 });
    expect(receive()).toMatchObject({ operation: 'RESET', ports: [7, 1000] });
    expect(driver.shown('connections')?.value).toBe('0');
  });

  test('are asked for by the host, and taken or refused by the guest', () => {
    const wants = { kind: 'wants', port: 50, hostPort: 9, type: 'stream' } as const;
    host.happened({ ...wants, connection: 1 });
    expect(receive()).toMatchObject({ operation: 'REQUEST', ports: [9, 50] });
    send(Op.RESPONSE, { fromPort: 50, toPort: 9 });
    expect(host.calls).toEqual(['go on 1']);
    host.happened({ kind: 'data', connection: 1, bytes: encoded('hello') });
    expect(receive()).toMatchObject({ operation: 'DATA', data: 'hello' });
    host.happened({ ...wants, connection: 3 });
    expect(host.calls.at(-1)).toBe('close 3');
    host.happened({ ...wants, hostPort: 10, connection: 5 });
    send(Op.RESET, { fromPort: 50, toPort: 10 });
    expect(host.calls.at(-1)).toBe('close 5');
  });

  test('send no more than the guest has room for', () => {
    connect({ room: 10 });
    host.happened({ kind: 'data', connection: 0, bytes: encoded('0123456789abcdef') });
    expect(receive(44 + 4)?.data).toBe('0123');
    expect(receive()?.data).toBe('456789');
    expect(receive()).toBeUndefined();
    send(Op.CREDIT_UPDATE, { room: 10, passedOn: 8 });
    expect(driver.ring(RECEIVE).collect()).toMatchObject([{ written: 44 + 6 }]);
  });

  test('take no more from the guest than it was told, and tell it when there is room again', () => {
    connect();
    const data = new Uint8Array(0x1_0000);
    for (let sent = 0; sent < HOST_BUFFER; sent += data.length) send(Op.DATA, { data });
    host.happened({ kind: 'taken', connection: 0, count: HOST_BUFFER / 2 });
    expect(receive()).toMatchObject({ operation: 'CREDIT_UPDATE', passedOn: HOST_BUFFER / 2 });
    send(Op.CREDIT_REQUEST);
    expect(receive()).toMatchObject({ operation: 'CREDIT_UPDATE' });
    for (let sent = 0; sent < HOST_BUFFER / 2; sent += data.length) send(Op.DATA, { data });
    expect(host.calls).not.toContain('close 0');
    send(Op.DATA, { data: encoded('x') });
    expect([host.calls.at(-1), receive()?.operation]).toEqual(['close 0', 'RESET']);
  });

  test('have the host wait for a guest that takes nothing', () => {
    connect({ room: 0x10_0000 });
    host.happened({ kind: 'data', connection: 0, bytes: new Uint8Array(0x4_0000) });
    expect(host.calls).toEqual(['wait 0']);
    for (let taken = 0; taken < 4; taken++) expect(receive(44 + 0xff00)?.length).toBe(0xff00);
    expect(host.calls).toEqual(['wait 0', 'go on 0']);
  });

  test('are shut down by either side', () => {
    connect();
    send(Op.SHUTDOWN, { flags: Shutdown.SEND });
    expect(host.calls).toEqual(['finish 0']);
    host.happened({ kind: 'data', connection: 0, bytes: encoded('last') });
    host.happened({ kind: 'finished', connection: 0 });
    expect([receive(), receive()]).toMatchObject([{ data: 'last' }, { operation: 'SHUTDOWN', flags: Shutdown.SEND }]);
    send(Op.SHUTDOWN, { flags: Shutdown.BOTH });
    expect(receive()).toMatchObject({ operation: 'RESET' });
    expect(driver.shown('connections')?.value).toBe('0');
    host.happened({ kind: 'data', connection: 0, bytes: encoded('late') });
    expect(host.calls.at(-1)).toBe('close 0');
  });

  test('keep the bounds of messages', () => {
    const type = SocketType.SEQPACKET;
    connect({ type });
    send(Op.DATA, { type, data: encoded('part') });
    send(Op.DATA, { type, data: encoded('end'), flags: MessageFlag.END | MessageFlag.RECORD });
    expect(host.calls).toEqual(['send 0 part', 'send 0 end end record']);
    host.happened({ kind: 'data', connection: 0, bytes: encoded('abcdef'), endsMessage: true });
    expect([receive(44 + 4), receive()]).toMatchObject([
      { data: 'abcd', flags: 0 },
      { data: 'ef', flags: MessageFlag.END },
    ]);
  });

  test.each<[string, number, Partial<Packet>]>([
    ['data of no connection', Op.DATA, { data: encoded('x') }],
    ['an unknown operation', 77, {}],
    ['a request of another type', Op.REQUEST, { type: 9 }],
    ['a request to another guest', Op.REQUEST, { to: 9n }],
  ])('answer %s with a reset', (_what, operation, more) => {
    send(operation, more);
    expect([receive()?.operation, host.calls]).toEqual(['RESET', []]);
  });

  test('do not answer who claims to be another, nor a reset', () => {
    send(Op.REQUEST, { from: 9n });
    send(Op.RESET);
    expect([receive(), host.calls]).toEqual([undefined, []]);
  });

  test('do not listen to a guest that takes no answers, until it does', () => {
    for (let round = 0; round < 400; round++) {
      driver.ring(TRANSMIT).collect();
      if (model.save().replies.length < 256) send(Op.DATA);
    }
    expect(model.save().replies).toHaveLength(256);
    driver.dma.bytes.set(packetBytes(packet(Op.REQUEST)), 0x7_0000);
    driver.ring(TRANSMIT).offer([{ gpa: 0x7_0000, length: 44 }]);
    driver.notify(TRANSMIT);
    expect(host.calls).toEqual([]);
    receive();
    expect(host.calls).toEqual(['open 0 7 stream']);
  });

  test('need a reset after a packet without its header, or a buffer without room for one', () => {
    driver.request(new Uint8Array(43), 0, { queue: TRANSMIT });
    expect(driver.status & Status.NEEDS_RESET).toBe(Status.NEEDS_RESET);
    driver.start(features);
    send(Op.DATA);
    receive(43);
    expect(driver.status & Status.NEEDS_RESET).toBe(Status.NEEDS_RESET);
  });

  test('are over when the driver resets the device', () => {
    connect();
    driver.start(features);
    expect([host.calls, driver.shown('connections')?.value]).toEqual([['close 0'], '0']);
  });

  test('are in the saved state', () => {
    connect({ room: 3 });
    host.happened({ kind: 'data', connection: 0, bytes: encoded('waits') });
    const saved = structuredClone(model.save());
    const other = new VirtioVsock({ cid: CID, host: (happened) => new WrittenHost(happened) });
    other.restore(saved);
    expect(other.save()).toEqual(saved);
  });
});

test('port 7 of the host sends back what it is sent', () => {
  const model = new VirtioVsock({ cid: 3, host: (happened) => new EchoHost(happened) });
  const driver = new MmioDriver(model).start();
  const header = { from: 3n, to: 2n, fromPort: 9, toPort: 7, type: 1, flags: 0, room: 999, passedOn: 0 };
  for (const [operation, data] of [
    [Op.REQUEST, NONE],
    [Op.DATA, encoded('echo')],
  ] as const)
    driver.request(packetBytes({ ...header, operation, data }), 0, { queue: TRANSMIT });
  driver.request(NONE, 64, { queue: RECEIVE });
  expect(text(driver.request(NONE, 64, { queue: RECEIVE }).bytes.slice(44, 48))).toBe('echo');
});
