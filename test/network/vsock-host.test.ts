import { createServer, type Server } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { loopbackSockets } from '../../src/cli/loopback-sockets.ts';
import type { HostEvent } from '../../src/devices/virtio/vsock/host.ts';
import { encodeEvent, type Outside, type OutsideConnection } from '../../src/network/outside.ts';
import { LoopbackVsockHost } from '../../src/network/vsock-host.ts';

const encoded = (words: string) => new TextEncoder().encode(words);
const PORTS = { forwards: [{ hostPort: 8000, port: 80 }], guestForwards: [{ port: 90, hostPort: 9000 }] };

/** A host whose way outside writes down what it is told. */
function start() {
  const calls: string[] = [];
  const note =
    (name: string) =>
    (...words: readonly unknown[]) =>
      void calls.push([name, ...words].join(' '));
  const outside: Outside = {
    open: note('open'),
    send: (flow, bytes) => void calls.push(`send ${flow} ${new TextDecoder().decode(bytes)}`),
    finish: note('finish'),
    close: note('close'),
    setFlowing: note('flowing'),
  };
  const events: HostEvent[] = [];
  const host = new LoopbackVsockHost(PORTS, outside, (event) => events.push(event));
  return { host, calls, events };
}

test('ports that the user named lead outside, and back in through bytes for the input door', () => {
  const { host, calls, events } = start();
  host.open(0, 90, 'stream');
  host.send(0, { bytes: encoded('hello') });
  host.setFlowing(0, false);
  host.finish(0);
  host.close(0);
  expect(calls).toEqual(['open 0 tcp 9000', 'send 0 hello', 'flowing 0 false', 'finish 0', 'close 0']);
  const bytes = encoded('answer');
  for (const event of [
    { kind: 'connected', flow: 0 },
    { kind: 'data', flow: 0, bytes },
    { kind: 'taken', flow: 0, count: 5 },
    { kind: 'accepted', flow: 3, forward: 0 },
    { kind: 'accepted', flow: 5, forward: 9 },
    { kind: 'finished', flow: 0 },
    { kind: 'closed', flow: 0 },
  ] as const)
    host.input(encodeEvent(event));
  host.input(Uint8Array.of(99));
  expect(events).toEqual([
    { kind: 'connected', connection: 0 },
    { kind: 'data', connection: 0, bytes },
    { kind: 'taken', connection: 0, count: 5 },
    { kind: 'wants', connection: 3, port: 80, hostPort: 0x8000_0003, type: 'stream' },
    { kind: 'finished', connection: 0 },
    { kind: 'closed', connection: 0 },
  ]);
});

test('all other ports, and messages, lead nowhere; the echo is there', () => {
  const { host, calls, events } = start();
  host.open(0, 91, 'stream');
  host.open(2, 90, 'seqpacket');
  host.open(4, 7, 'stream');
  host.send(4, { bytes: encoded('x') });
  host.close(4);
  expect(calls).toEqual([]);
  expect(events.map(({ kind, connection }) => `${kind} ${connection}`)).toEqual([
    'closed 0',
    'closed 2',
    'connected 4',
    'data 4',
    'taken 4',
  ]);
});

let server: Server | undefined;
let outside: OutsideConnection | undefined;
afterEach(() => {
  outside?.end();
  server?.close();
});

test('real sockets carry bytes both ways', async () => {
  server = createServer((socket) => socket.pipe(socket));
  const listening = server;
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
  const address = listening.address();
  const hostPort = typeof address === 'object' && address ? address.port : 0;
  const events: HostEvent[] = [];
  let wake = () => {};
  const opened: OutsideConnection = loopbackSockets(() => {})({
    forwards: [],
    happened: (event) => {
      host.input(encodeEvent(event));
      wake();
    },
  });
  outside = opened;
  const host = new LoopbackVsockHost({ forwards: [], guestForwards: [{ port: 90, hostPort }] }, opened, (event) =>
    events.push(event),
  );
  const until = async (kind: string) => {
    while (!events.some((event) => event.kind === kind))
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
  };
  host.open(0, 90, 'stream');
  await until('connected');
  host.send(0, { bytes: encoded('there and back') });
  await until('data');
  expect(events.find(({ kind }) => kind === 'data')).toMatchObject({ connection: 0, bytes: encoded('there and back') });
  host.finish(0);
  await until('finished');
  expect(events.find(({ kind }) => kind === 'taken')).toMatchObject({ count: 14 });
});
