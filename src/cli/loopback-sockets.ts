import { createSocket, type Socket as DatagramSocket, type RemoteInfo } from 'node:dgram';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { OpenOutside, OutsideConnection, OutsideWorld } from '../network/outside.ts';

const LOOPBACK = '127.0.0.1';

/** A conversation as its flow's number leads to it. */
interface Conversation {
  send(bytes: Uint8Array): void;
  finish(): void;
  close(): void;
  setFlowing(isFlowing: boolean): void;
}

/**
 * Opens ways outside for networks of guests: sockets on this machine's loopback address. `tell` gets a sentence when a port that the user
 * named can't be taken.
 */
export function loopbackSockets(tell: (sentence: string) => void): OpenOutside {
  return (world) => new LoopbackSockets(world, tell);
}

class LoopbackSockets implements OutsideConnection {
  private readonly flows = new Map<number, Conversation>();
  private listeners: readonly (Server | DatagramSocket)[] = [];
  /** Of the last flow that was begun outside: those are odd. */
  private lastFlow = -1;
  private isOver = false;

  constructor(
    private readonly world: OutsideWorld,
    private readonly tell: (sentence: string) => void,
  ) {
    // The guest whose place this one's takes may have the ports until then.
    setImmediate(() => {
      if (this.isOver) return;
      this.listeners = world.forwards.map(({ kind, hostPort }, index) =>
        kind === 'tcp' ? this.listen(hostPort, index) : this.bind(hostPort, index),
      );
    });
  }

  private nextFlow(): number {
    this.lastFlow += 2;
    return this.lastFlow;
  }

  private refuse(kind: string, port: number, error: Error): void {
    const why = 'code' in error && error.code === 'EADDRINUSE' ? 'another program has it' : error.message;
    this.tell(`The ${kind} port ${port} of this machine can't be forwarded: ${why}; choose another one.`);
  }

  // --- streams -----------------------------------------------------------------------------------------------------------

  private listen(port: number, forward: number): Server {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      const flow = this.nextFlow();
      this.carry(flow, socket);
      this.world.happened({ kind: 'accepted', flow, forward });
    });
    server.on('error', (error) => this.refuse('TCP', port, error));
    return server.listen(port, LOOPBACK);
  }

  private carry(flow: number, socket: Socket): void {
    const { world } = this;
    let isFinished = false;
    let hasFinished = false;
    const tellOnce = () => {
      if (this.flows.delete(flow)) world.happened({ kind: 'closed', flow });
    };
    socket.setNoDelay(true);
    socket.on('connect', () => world.happened({ kind: 'connected', flow }));
    socket.on('data', (bytes) => this.flows.has(flow) && world.happened({ kind: 'data', flow, bytes: new Uint8Array(bytes) }));
    socket.on('end', () => {
      isFinished = true;
      if (this.flows.has(flow)) world.happened({ kind: 'finished', flow });
    });
    socket.on('error', tellOnce);
    socket.on('close', () => {
      if (!(isFinished && hasFinished)) tellOnce();
    });
    this.flows.set(flow, {
      send: (bytes) =>
        socket.write(bytes, (error) => {
          if (!error && this.flows.has(flow)) world.happened({ kind: 'taken', flow, count: bytes.length });
        }),
      finish: () => {
        hasFinished = true;
        socket.end();
      },
      close: () => {
        if (isFinished && hasFinished) socket.destroySoon();
        else socket.resetAndDestroy();
      },
      setFlowing: (isFlowing) => (isFlowing ? socket.resume() : socket.pause()),
    });
  }

  // --- datagrams ---------------------------------------------------------------------------------------------------------

  /** Takes datagrams at the port of a forward: each sender is a flow. */
  private bind(port: number, forward: number): DatagramSocket {
    const socket = createSocket('udp4');
    const senders = new Map<string, number>();
    socket.on('message', (bytes, from) => {
      const name = `${from.address}:${from.port}`;
      let flow = senders.get(name);
      if (flow === undefined) {
        flow = this.nextFlow();
        senders.set(name, flow);
        this.answer(flow, socket, from, () => senders.delete(name));
        this.world.happened({ kind: 'accepted', flow, forward });
      }
      this.world.happened({ kind: 'data', flow, bytes: new Uint8Array(bytes) });
    });
    socket.on('error', (error) => this.refuse('UDP', port, error));
    return socket.bind(port, LOOPBACK);
  }

  private answer(flow: number, socket: DatagramSocket, to: Pick<RemoteInfo, 'address' | 'port'>, close: () => void): void {
    // Datagrams may be lost: nobody needs to know of an error.
    const send = (bytes: Uint8Array) => socket.send(bytes, to.port, to.address, () => {});
    this.flows.set(flow, { send, close, finish() {}, setFlowing() {} });
  }

  private openDatagrams(flow: number, port: number): void {
    const socket = createSocket('udp4');
    socket.on('message', (bytes, from) => {
      if (from.port === port && this.flows.has(flow)) this.world.happened({ kind: 'data', flow, bytes: new Uint8Array(bytes) });
    });
    socket.on('error', () => {});
    this.answer(flow, socket, { address: LOOPBACK, port }, () => socket.close());
  }

  // --- as the network sees it --------------------------------------------------------------------------------------------

  open(flow: number, kind: 'tcp' | 'udp', port: number): void {
    if (this.isOver) return;
    if (kind === 'udp') this.openDatagrams(flow, port);
    else this.carry(flow, connect({ port, host: LOOPBACK, allowHalfOpen: true }));
  }
  send(flow: number, bytes: Uint8Array): void {
    this.flows.get(flow)?.send(bytes);
  }
  finish(flow: number): void {
    this.flows.get(flow)?.finish();
  }
  setFlowing(flow: number, isFlowing: boolean): void {
    this.flows.get(flow)?.setFlowing(isFlowing);
  }
  close(flow: number): void {
    const found = this.flows.get(flow);
    this.flows.delete(flow);
    found?.close();
  }
  end(): void {
    if (this.isOver) return;
    this.isOver = true;
    for (const flow of [...this.flows.keys()]) this.close(flow);
    for (const listener of this.listeners) listener.close();
  }
}
