import type { Handler } from '../../../stages/stage.ts';
import type { InspectNode } from '../../inspect.ts';
import { requireVersion } from '../../state.ts';
import { DeviceId, featureBit, featureBits } from '../abi.ts';
import { hearPackets as hearPacketsAtOnce } from '../generated/vsock.ts';
import { hearPackets, type VsockWork } from '../handlers/vsock.ts';
import type { DriverSide, VirtioModel } from '../model.ts';
import { QueueError } from '../queue/queue-error.ts';
import type { Virtqueue } from '../queue/virtqueue.ts';
import { Connection, type ConnectionState } from './connection.ts';
import type { HostEvent, SocketKind, VsockHost } from './host.ts';
import { type Packet, packetBytes } from './packet.ts';
import * as R from './registers.ts';

export interface VirtioVsockState {
  readonly version: 1;
  readonly connections: readonly ConnectionState[];
  readonly replies: readonly Packet[];
  readonly nextNumber: number;
  readonly packets: number;
}

export interface VirtioVsockWorld {
  /** The guest's address: 3 or more. */
  readonly cid: number;
  /** Makes the host, which tells what happens there. */
  readonly host: (happened: (event: HostEvent) => void) => VsockHost;
}

const QUEUE_SIZE = 128;
const MOST_CONNECTIONS = 1024;
/** Packets besides data that wait for a buffer. With so many the guest isn't listened to until it gives some. */
const MOST_REPLIES = 256;
const NO_DATA = new Uint8Array(0);

/** The socket device (virtio 1.2, 5.10): sockets between programs of the guest and services of the host. */
export class VirtioVsock implements VirtioModel<VirtioVsockState>, VsockWork {
  readonly name = 'virtio-vsock';
  readonly id = DeviceId.VSOCK;
  readonly queues = ['receive', 'transmit', 'events'].map((name) => ({ name, size: QUEUE_SIZE }));
  readonly features = featureBits(R.VsockFeature.STREAM, R.VsockFeature.SEQPACKET);
  readonly featureBits = R.VsockFeature;
  private driver: DriverSide | undefined;
  private readonly host: VsockHost;
  /** By guest port, host port and kind. Data is sent for the first one that can; then it goes behind the others. */
  private connections = new Map<string, Connection>();
  private replies: Packet[] = [];
  /** The guest's connections have even numbers. */
  private nextNumber = 0;
  private packets = 0;
  private isDelivering = false;

  constructor(private readonly world: VirtioVsockWorld) {
    this.host = world.host((event) => this.happened(event));
  }

  connect(driver: DriverSide): void {
    this.driver = driver;
  }
  configuration(): Uint8Array {
    const view = new DataView(new ArrayBuffer(8));
    view.setBigUint64(0, BigInt(this.world.cid), true);
    return new Uint8Array(view.buffer);
  }

  // --- what the guest sends -------------------------------------------------------------------------------------------

  notified(index: number): void {
    const { driver } = this;
    if (driver === undefined || index === R.Queue.EVENT) return;
    // Buffers that became free let the guest be heard again, and answered.
    if (index === R.Queue.RECEIVE) this.deliver();
    hearPacketsAtOnce(this, driver, R.Queue.TRANSMIT);
  }
  *notifiedInStages(index: number): Handler {
    const { driver } = this;
    if (driver === undefined || index !== R.Queue.TRANSMIT) this.notified(index);
    else yield* hearPackets(this, driver, index);
  }

  get canListen(): boolean {
    return this.replies.length < MOST_REPLIES;
  }
  hear(packet: Packet | undefined): void {
    this.packets++;
    if (packet) this.obey(packet);
  }

  private obey(packet: Packet): void {
    // Who claims to be somebody else is not answered.
    if (packet.from !== BigInt(this.world.cid)) return;
    const kind = this.kindOf(packet.type);
    const connection = kind && packet.to === R.HOST_CID ? this.find(packet, kind) : undefined;
    connection?.hear(packet);
    if (packet.operation === R.Operation.REQUEST) {
      if (connection) this.end(connection);
      if (connection || kind === undefined || packet.to !== R.HOST_CID || this.connections.size >= MOST_CONNECTIONS)
        this.refuse(packet);
      else this.request(packet, kind);
    } else if (connection === undefined) {
      if (packet.operation !== R.Operation.RESET) this.refuse(packet);
    } else this.goOn(connection, packet);
  }

  private kindOf(type: number): SocketKind | undefined {
    if (type === R.SocketType.STREAM) return 'stream';
    const hasMessages = ((this.driver?.features ?? 0n) & featureBit(R.VsockFeature.SEQPACKET)) !== 0n;
    return type === R.SocketType.SEQPACKET && hasMessages ? 'seqpacket' : undefined;
  }

  private find({ fromPort, toPort }: Packet, kind: SocketKind): Connection | undefined {
    return this.connections.get(keyOf(fromPort, toPort, kind));
  }

  private request(packet: Packet, kind: SocketKind): void {
    const connection = new Connection(this.nextNumber, packet.fromPort, packet.toPort, kind);
    this.nextNumber += 2;
    connection.hear(packet);
    this.connections.set(keyOf(packet.fromPort, packet.toPort, kind), connection);
    this.host.open(connection.number, packet.toPort, kind);
  }

  private goOn(connection: Connection, { operation, flags, data }: Packet): void {
    const isOpen = connection.isOpen;
    if (operation === R.Operation.RESET) this.end(connection);
    else if (operation === R.Operation.RESPONSE && !isOpen && isOfHost(connection)) {
      connection.isOpen = true;
      this.host.setFlowing(connection.number, true);
    } else if (!isOpen) this.abort(connection);
    else if (operation === R.Operation.SHUTDOWN) this.shutDown(connection, flags);
    else if (operation === R.Operation.DATA) this.receive(connection, flags, data);
    else if (operation === R.Operation.CREDIT_REQUEST) this.reply(connection, R.Operation.CREDIT_UPDATE);
    else if (operation !== R.Operation.CREDIT_UPDATE) this.abort(connection);
  }

  private receive(connection: Connection, flags: number, bytes: Uint8Array): void {
    if (connection.guestFinished || !connection.take(bytes.length)) {
      this.abort(connection);
      return;
    }
    const isMessage = connection.kind === 'seqpacket';
    this.host.send(connection.number, {
      bytes,
      ...(isMessage && flags & R.MessageFlag.END ? { endsMessage: true } : {}),
      ...(isMessage && flags & R.MessageFlag.RECORD ? { endsRecord: true } : {}),
    });
  }

  private shutDown(connection: Connection, flags: number): void {
    if (flags & R.Shutdown.SEND && !connection.guestFinished) {
      connection.guestFinished = true;
      this.host.finish(connection.number);
    }
    // The guest has closed its socket: who sends it something then is told so.
    if ((flags & R.Shutdown.BOTH) === R.Shutdown.BOTH) {
      this.reply(connection, R.Operation.RESET);
      this.forget(connection);
    }
  }

  // --- what happens on the host ---------------------------------------------------------------------------------------

  /** Something happened on the host, which may be in the middle of a call of it. */
  happened(event: HostEvent): void {
    if (event.kind === 'wants') this.invite(event);
    else {
      const connection = this.numbered(event.connection);
      if (connection) this.note(connection, event);
      else if (event.kind === 'data' || event.kind === 'connected') this.host.close(event.connection);
    }
    this.driver?.attempt(() => this.deliver());
  }

  private numbered(number: number): Connection | undefined {
    for (const connection of this.connections.values()) if (connection.number === number) return connection;
    return undefined;
  }

  private invite({ connection: number, port, hostPort, type }: Extract<HostEvent, { kind: 'wants' }>): void {
    const key = keyOf(port, hostPort, type);
    const isListening = this.driver?.queue(R.Queue.RECEIVE) !== undefined;
    if (!isListening || this.connections.has(key) || this.connections.size >= MOST_CONNECTIONS) {
      this.host.close(number);
      return;
    }
    const connection = new Connection(number, port, hostPort, type);
    this.connections.set(key, connection);
    this.reply(connection, R.Operation.REQUEST);
  }

  private note(connection: Connection, event: Exclude<HostEvent, { kind: 'wants' }>): void {
    switch (event.kind) {
      case 'connected':
        connection.isOpen = true;
        this.reply(connection, R.Operation.RESPONSE);
        break;
      case 'data':
        if (!connection.queue(event)) this.setFlowing(connection, false);
        break;
      case 'taken':
        if (connection.pass(event.count)) this.reply(connection, R.Operation.CREDIT_UPDATE);
        break;
      case 'finished':
        connection.hostFinished = true;
        this.finishIfDone(connection);
        break;
      case 'closed':
        this.reply(connection, R.Operation.RESET);
        this.forget(connection);
        break;
    }
  }

  /** The end of what the host sends comes behind all of it. */
  private finishIfDone(connection: Connection): void {
    if (connection.hostFinished && connection.isEmpty) this.reply(connection, R.Operation.SHUTDOWN, R.Shutdown.SEND);
  }

  private setFlowing(connection: Connection, isFlowing: boolean): void {
    if (connection.isFlowing === isFlowing) return;
    connection.isFlowing = isFlowing;
    this.host.setFlowing(connection.number, isFlowing);
  }

  // --- what the guest gets --------------------------------------------------------------------------------------------

  private reply(connection: Connection, operation: number, flags = 0): void {
    this.replies.push(this.packetOf(connection, operation, flags, NO_DATA));
  }

  private packetOf({ kind, hostPort, guestPort }: Connection, operation: number, flags: number, data: Uint8Array): Packet {
    const credit = this.connections.get(keyOf(guestPort, hostPort, kind))?.credit() ?? { room: 0, passedOn: 0 };
    return {
      from: R.HOST_CID,
      to: BigInt(this.world.cid),
      fromPort: hostPort,
      toPort: guestPort,
      type: kind === 'stream' ? R.SocketType.STREAM : R.SocketType.SEQPACKET,
      operation,
      flags,
      ...credit,
      data,
    };
  }

  /** Answers a packet that belongs to nothing. */
  private refuse({ from, to, fromPort, toPort, type }: Packet): void {
    this.replies.push({
      from: to,
      to: from,
      fromPort: toPort,
      toPort: fromPort,
      type,
      operation: R.Operation.RESET,
      flags: 0,
      room: 0,
      passedOn: 0,
      data: NO_DATA,
    });
  }

  /** The guest did with a connection what it must not. */
  private abort(connection: Connection): void {
    this.reply(connection, R.Operation.RESET);
    this.end(connection);
  }
  private end(connection: Connection): void {
    this.forget(connection);
    this.host.close(connection.number);
  }
  private forget({ guestPort, hostPort, kind }: Connection): void {
    this.connections.delete(keyOf(guestPort, hostPort, kind));
  }

  /** Fills the driver's buffers: answers first, then data of each connection in turn. */
  deliver(): void {
    const queue = this.driver?.queue(R.Queue.RECEIVE);
    // What the host says in the middle of it is delivered with the rest: buffers go back in their order.
    if (queue === undefined || this.isDelivering) return;
    this.isDelivering = true;
    try {
      this.fill(queue);
    } finally {
      this.isDelivering = false;
    }
    this.driver?.signal(R.Queue.RECEIVE);
  }

  private fill(queue: Virtqueue): void {
    for (let filled = 0; filled < queue.layout.size; filled++) {
      const [reply] = this.replies;
      const sender = reply ? undefined : this.nextSender();
      if (reply === undefined && sender === undefined) break;
      const chain = queue.take();
      if (chain === undefined) break;
      const room = chain.writable.length - R.HEADER_SIZE;
      if (room < 0)
        throw new QueueError(`a buffer for a packet has ${chain.writable.length} bytes, but its header has ${R.HEADER_SIZE}`);
      if (reply) this.replies.shift();
      const packet = reply ?? (sender && this.dataOf(sender, room));
      const bytes = packet ? packetBytes(packet) : NO_DATA;
      chain.writable.write(0, bytes);
      queue.giveBack(chain, bytes.length);
    }
  }

  private nextSender(): Connection | undefined {
    for (const connection of this.connections.values()) if (connection.isOpen && connection.canSend) return connection;
    return undefined;
  }

  private dataOf(connection: Connection, room: number): Packet | undefined {
    const piece = connection.next(room);
    if (piece === undefined) return undefined;
    const key = keyOf(connection.guestPort, connection.hostPort, connection.kind);
    this.connections.delete(key);
    this.connections.set(key, connection);
    if (connection.mayGoOn) this.setFlowing(connection, true);
    this.finishIfDone(connection);
    return this.packetOf(connection, R.Operation.DATA, piece.flags, piece.bytes);
  }

  // --- as a part of a machine -----------------------------------------------------------------------------------------

  disconnect(): void {
    for (const connection of this.connections.values()) this.host.close(connection.number);
    this.connections = new Map();
    this.replies = [];
  }
  reset(): void {
    this.disconnect();
    this.nextNumber = 0;
    this.packets = 0;
  }
  save(): VirtioVsockState {
    const connections = [...this.connections.values()].map((connection) => connection.save());
    return { version: 1, connections, replies: [...this.replies], nextNumber: this.nextNumber, packets: this.packets };
  }
  restore(state: VirtioVsockState): void {
    requireVersion(this.name, state, 1);
    this.connections = new Map(
      state.connections.map((saved) => [keyOf(saved.guestPort, saved.hostPort, saved.kind), Connection.restored(saved)]),
    );
    this.replies = [...state.replies];
    this.nextNumber = state.nextNumber;
    this.packets = state.packets;
  }
  inspect(): readonly InspectNode[] {
    const children = [...this.connections.values()].map(({ guestPort, hostPort, kind, isOpen, guestFinished, hostFinished }) => ({
      name: `${guestPort} ↔ ${hostPort}`,
      value: isOpen ? 'open' : 'asked for',
      detail: [
        kind,
        ...(guestFinished ? ['the guest has finished'] : []),
        ...(hostFinished ? ['the host has finished'] : []),
      ].join(', '),
    }));
    return [
      { name: 'context', value: String(this.world.cid), detail: `${this.packets} packets came from the guest` },
      { name: 'connections', value: String(children.length), detail: 'guest port ↔ host port', children },
    ];
  }
}

const keyOf = (guestPort: number, hostPort: number, kind: SocketKind): string => `${guestPort} ${hostPort} ${kind}`;
const isOfHost = ({ number }: Connection): boolean => number % 2 === 1;
