import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { loopbackSockets } from '../../src/cli/loopback-sockets.ts';
import type { OutsideConnection, OutsideEvent } from '../../src/network/outside.ts';

const HOST = '127.0.0.1';
const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

/** A way outside whose events can be waited for. */
function open(forwards: Parameters<ReturnType<typeof loopbackSockets>>[0]['forwards'] = []) {
  const told: string[] = [];
  const events: OutsideEvent[] = [];
  let look = () => {};
  const outside: OutsideConnection = loopbackSockets((sentence) => {
    told.push(sentence);
    look();
  })({
    forwards,
    happened: (event) => {
      events.push(event);
      look();
    },
  });
  closing.push(() => outside.end());
  const until = (isThere: () => boolean) =>
    new Promise<void>((resolve) => {
      look = () => isThere() && resolve();
      look();
    });
  const heard = (flow: number) =>
    Buffer.concat(events.flatMap((event) => (event.kind === 'data' && event.flow === flow ? [event.bytes] : []))).toString();
  const kinds = () => events.map(({ kind }) => kind);
  return { outside, events, told, until, heard, kinds };
}

async function listen(serve: (socket: Socket) => void) {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    // Flows that a test leaves are reset.
    socket.on('error', () => {});
    serve(socket);
  }).listen(0, HOST);
  closing.push(() => server.close());
  await once(server, 'listening');
  return { server, port: portOf(server.address()) };
}
const portOf = (address: string | AddressInfo | null) => (typeof address === 'object' ? (address?.port ?? 0) : 0);

/** Ports are taken a turn after a way outside is opened. */
const listening = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

/** A port that nobody has. */
async function freePort(): Promise<number> {
  const { server, port } = await listen(() => {});
  server.close();
  await once(server, 'close');
  return port;
}

test('a stream to a service: bytes both ways, and both ends', async () => {
  const { port } = await listen((socket) => {
    socket.on('data', (bytes) => socket.write(bytes.toString().toUpperCase()));
    socket.on('end', () => socket.end('BYE'));
  });
  const { outside, events, until, heard, kinds } = open();
  outside.open(2, 'tcp', port);
  await until(() => kinds().includes('connected'));
  outside.send(2, Buffer.from('hello '));
  await until(() => heard(2) === 'HELLO ' && kinds().includes('taken'));
  expect(events.find(({ kind }) => kind === 'taken')).toEqual({ kind: 'taken', flow: 2, count: 6 });
  outside.finish(2);
  await until(() => kinds().includes('finished'));
  expect([heard(2), kinds().includes('closed')]).toEqual(['HELLO BYE', false]);
});

test('a service that is not there, or that resets, closes the flow once', async () => {
  const { outside, until, events } = open();
  outside.open(2, 'tcp', await freePort());
  await until(() => events.length > 0);
  const { port } = await listen((socket) => socket.on('data', () => socket.resetAndDestroy()));
  outside.open(4, 'tcp', port);
  await until(() => events.some(({ kind }) => kind === 'connected'));
  outside.send(4, Buffer.from('x'));
  await until(() => events.filter(({ kind }) => kind === 'closed').length === 2);
  expect(events.filter(({ kind }) => kind === 'closed')).toEqual([
    { kind: 'closed', flow: 2 },
    { kind: 'closed', flow: 4 },
  ]);
});

test('a flow that is closed resets its service, and nothing more comes of it', async () => {
  let hasReset = false;
  const { port } = await listen((socket) => {
    socket.write('something');
    socket.on('error', () => {
      hasReset = true;
    });
  });
  const { outside, until, heard, events } = open();
  outside.open(2, 'tcp', port);
  await until(() => heard(2) === 'something');
  const before = events.length;
  outside.close(2);
  outside.send(2, Buffer.from('x'));
  while (!hasReset) await new Promise((resolve) => setImmediate(resolve));
  expect(events.length).toBe(before);
});

test('a stream waits while it is not flowing', async () => {
  const { port } = await listen((socket) => socket.on('data', (bytes) => socket.write(bytes)));
  const { outside, until, kinds, heard } = open();
  outside.open(2, 'tcp', port);
  await until(() => kinds().includes('connected'));
  outside.setFlowing(2, false);
  outside.send(2, Buffer.from('echo'));
  await until(() => kinds().includes('taken'));
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
  expect(heard(2)).toBe('');
  outside.setFlowing(2, true);
  await until(() => heard(2) === 'echo');
});

test('a client at a forwarded port is a flow of its own', async () => {
  const hostPort = await freePort();
  const { outside, until, heard, events } = open([{ kind: 'tcp', hostPort }]);
  await listening();
  const client = connect(hostPort, HOST);
  client.on('error', () => {});
  client.write('hi');
  await until(() => heard(1) === 'hi');
  expect(events[0]).toEqual({ kind: 'accepted', flow: 1, forward: 0 });
  outside.send(1, Buffer.from('there'));
  expect(String((await once(client, 'data'))[0])).toBe('there');
  client.destroy();
});

test('datagrams to a service, and back', async () => {
  const service = createSocket('udp4').bind(0, HOST);
  closing.push(() => service.close());
  await once(service, 'listening');
  service.on('message', (bytes, from) => service.send(`${bytes}!`, from.port, from.address));
  const { outside, until, heard } = open();
  outside.open(2, 'udp', portOf(service.address()));
  outside.send(2, Buffer.from('ping'));
  await until(() => heard(2) === 'ping!');
});

test('each sender at a forwarded UDP port is a flow', async () => {
  const hostPort = await freePort();
  const { outside, until, heard, events } = open([{ kind: 'udp', hostPort }]);
  await listening();
  const senders = [createSocket('udp4'), createSocket('udp4')];
  for (const [index, sender] of senders.entries()) {
    closing.push(() => sender.close());
    sender.bind(0, HOST);
    await once(sender, 'listening');
    sender.send(`from ${index}`, hostPort, HOST);
    await until(() => heard(2 * index + 1) === `from ${index}`);
  }
  outside.send(3, Buffer.from('back'));
  const [bytes] = await once(senders[1] ?? senders[0] ?? createSocket('udp4'), 'message');
  expect(String(bytes)).toBe('back');
  expect(events.filter(({ kind }) => kind === 'accepted').map(({ flow }) => flow)).toEqual([1, 3]);
});

test.each(['tcp', 'udp'] as const)('a %s port that another program has is told of in a sentence', async (kind) => {
  const udp = createSocket('udp4').bind(0, HOST);
  closing.push(() => udp.close());
  await once(udp, 'listening');
  const hostPort = kind === 'tcp' ? (await listen(() => {})).port : portOf(udp.address());
  const { told, until } = open([{ kind, hostPort }]);
  await until(() => told.length > 0);
  expect(told).toEqual([
    `The ${kind.toUpperCase()} port ${hostPort} of this machine can't be forwarded: another program has it; choose another one.`,
  ]);
});

test('the ports of one that has ended can be taken by the next one at once', async () => {
  const hostPort = await freePort();
  const first = open([{ kind: 'tcp', hostPort }]);
  await listening();
  const second = open([{ kind: 'tcp', hostPort }]);
  first.outside.end();
  await listening();
  const client = connect(hostPort, HOST);
  client.on('error', () => {});
  await second.until(() => second.kinds().includes('accepted'));
  expect([first.events, second.told]).toEqual([[], []]);
  client.destroy();
});
