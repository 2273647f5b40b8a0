import { mixedSeed, nextSeed } from '../../x86/split-mix.ts';
import type { Outside, OutsideEvent } from '../outside.ts';
import { formatIp } from '../packets/addresses.ts';
import { NO_BYTES } from '../packets/bytes.ts';
import { type Ipv4Packet, Protocol } from '../packets/ipv4.ts';
import { buildTcp, parseTcp, TcpFlag, type TcpSegment } from '../packets/tcp.ts';
import { TcpConnection, type TcpState, type TcpWorld } from '../tcp/connection.ts';
import { after } from '../tcp/sequence.ts';
import type { Forward, GuestForward } from './options.ts';
import { GATEWAY } from './subnet.ts';

/** The ends of a connection. */
interface Ends {
  readonly guestIp: number;
  readonly guestPort: number;
  readonly ownIp: number;
  readonly ownPort: number;
}

interface Flow {
  readonly flow: number;
  readonly ends: Ends;
  readonly connection: TcpConnection;
  /** More bytes may come from outside. */
  isFlowing: boolean;
}

export interface TcpFlowsState {
  readonly seed: bigint;
  readonly nextPort: number;
  readonly flows: readonly {
    readonly flow: number;
    readonly ends: Ends;
    readonly isFlowing: boolean;
    readonly connection: TcpState;
  }[];
}

/** What is around the connections of a user network. */
export interface FlowsWorld {
  now(): bigint;
  /** Sends a packet to a guest. */
  emit(packet: Ipv4Packet): void;
  readonly outside: Outside;
  /** A number for a flow that the guest begins. */
  nextFlow(): number;
  /** Enters what the guest wanted and nobody serves. */
  refused(what: string): void;
}

const MOST_FLOWS = 256;
/** Ports of the gateway from which it connects to guests (RFC 6335, 6). */
const FIRST_PORT = 49_152;
const LAST_PORT = 65_535;
/** Bytes that may wait for the guest before those outside have to wait. */
const ENOUGH = 128 * 1024;

/** TCP of the user network: each connection of a guest goes on outside as one to a service, or comes from a client there. */
export class TcpFlows {
  private readonly byEnds = new Map<string, Flow>();
  private readonly byNumber = new Map<number, Flow>();
  private seed = 0n;
  private nextPort = FIRST_PORT;

  constructor(
    private readonly world: FlowsWorld,
    private readonly guestForwards: readonly GuestForward[],
  ) {}

  // --- what comes from the guest -----------------------------------------------------------------------------------------

  receive(packet: Ipv4Packet): void {
    const segment = parseTcp(packet.payload, packet);
    if (segment === undefined) return;
    const ends = {
      guestIp: packet.source,
      guestPort: segment.sourcePort,
      ownIp: packet.destination,
      ownPort: segment.destinationPort,
    };
    const known = this.byEnds.get(keyOf(ends));
    const isSyn = (segment.flags & (TcpFlag.SYN | TcpFlag.ACK | TcpFlag.RST)) === TcpFlag.SYN;
    // A guest may use its port again while late segments are waited for (RFC 9293, 3.6.1).
    if (known && isSyn && known.connection.phase === 'TIME-WAIT') this.forget(known);
    else if (known) {
      known.connection.receive(segment);
      this.regulate(known);
      return;
    }
    if (isSyn) this.begin(segment, ends);
    else this.refuse(segment, ends);
  }

  private begin(segment: TcpSegment, ends: Ends): void {
    const forward = this.guestForwards.find(
      ({ kind, port }) => kind === 'tcp' && ends.ownIp === GATEWAY && port === ends.ownPort,
    );
    if (forward === undefined || this.byEnds.size >= MOST_FLOWS) {
      this.refuse(segment, ends);
      this.world.refused(`tcp ${formatIp(ends.ownIp)}:${ends.ownPort}`);
      return;
    }
    const flow = this.world.nextFlow();
    this.add(flow, ends, (world) => TcpConnection.asked(world, segment, this.drawSequence()));
    this.world.outside.open(flow, 'tcp', forward.hostPort);
  }

  /** Answers a segment that belongs to no connection (RFC 9293, 3.10.7.1). */
  private refuse({ flags, sequence, acknowledgment, payload }: TcpSegment, ends: Ends): void {
    if (flags & TcpFlag.RST) return;
    const length = payload.length + (flags & TcpFlag.SYN ? 1 : 0) + (flags & TcpFlag.FIN ? 1 : 0);
    const answer =
      flags & TcpFlag.ACK
        ? { sequence: acknowledgment, acknowledgment: 0, flags: TcpFlag.RST }
        : { sequence: 0, acknowledgment: after(sequence, length), flags: TcpFlag.RST | TcpFlag.ACK };
    this.emit(ends, { ...answer, window: 0, payload: NO_BYTES });
  }

  // --- what comes from outside -------------------------------------------------------------------------------------------

  /** A client connected to the port of a forward. */
  accept(flow: number, { guestIp, guestPort }: Forward): void {
    const ends = this.freeEnds(guestIp, guestPort);
    if (ends === undefined || this.byNumber.has(flow)) this.world.outside.close(flow);
    else this.add(flow, ends, (world) => TcpConnection.open(world, this.drawSequence()));
  }

  private freeEnds(guestIp: number, guestPort: number): Ends | undefined {
    if (this.byEnds.size >= MOST_FLOWS) return undefined;
    for (;;) {
      const ends = { guestIp, guestPort, ownIp: GATEWAY, ownPort: this.nextPort };
      this.nextPort = this.nextPort === LAST_PORT ? FIRST_PORT : this.nextPort + 1;
      if (!this.byEnds.has(keyOf(ends))) return ends;
    }
  }

  /** False for an event of a flow that isn't one of TCP. */
  happened(event: OutsideEvent): boolean {
    const found = this.byNumber.get(event.flow);
    if (found === undefined) return false;
    const { connection } = found;
    switch (event.kind) {
      case 'connected':
        connection.accept();
        break;
      case 'data':
        connection.send(event.bytes);
        this.regulate(found);
        break;
      case 'taken':
        connection.took(event.count);
        break;
      case 'finished':
        connection.finish();
        break;
      case 'closed':
        connection.reset();
        break;
      case 'accepted':
        break;
    }
    return true;
  }

  /** Those outside wait while much waits for the guest. */
  private regulate(flow: Flow): void {
    const isFlowing = flow.connection.waiting < (flow.isFlowing ? ENOUGH : ENOUGH / 2);
    if (isFlowing === flow.isFlowing || flow.connection.phase === 'CLOSED') return;
    flow.isFlowing = isFlowing;
    this.world.outside.setFlowing(flow.flow, isFlowing);
  }

  // --- connections -------------------------------------------------------------------------------------------------------

  private add(number: number, ends: Ends, make: (world: TcpWorld) => TcpConnection, isFlowing = true): void {
    const { outside } = this.world;
    const connection = make({
      now: () => this.world.now(),
      emit: (segment) => this.emit(ends, segment),
      established: () => {},
      received: (bytes) => outside.send(number, bytes),
      finished: () => outside.finish(number),
      closed: () => {
        const closed = this.byNumber.get(number);
        if (closed) this.forget(closed);
      },
    });
    const flow = { flow: number, ends, connection, isFlowing };
    this.byEnds.set(keyOf(ends), flow);
    this.byNumber.set(number, flow);
  }

  private forget({ flow, ends }: Flow): void {
    this.byEnds.delete(keyOf(ends));
    this.byNumber.delete(flow);
    this.world.outside.close(flow);
  }

  private emit({ guestIp, guestPort, ownIp, ownPort }: Ends, segment: Parameters<TcpWorld['emit']>[0]): void {
    const pair = { source: ownIp, destination: guestIp };
    const payload = buildTcp({ ...segment, sourcePort: ownPort, destinationPort: guestPort }, pair);
    this.world.emit({ ...pair, protocol: Protocol.TCP, payload });
  }

  /** Nobody can guess it who doesn't know the run; the same in every run. */
  private drawSequence(): number {
    this.seed = nextSeed(this.seed);
    return Number(BigInt.asUintN(32, mixedSeed(this.seed)));
  }

  // --- time and state ----------------------------------------------------------------------------------------------------

  /** Connections that there are. */
  get count(): number {
    return this.byNumber.size;
  }

  /** When something is to be done by itself. */
  get deadline(): bigint | undefined {
    let first: bigint | undefined;
    for (const { connection } of this.byNumber.values())
      if (connection.deadline !== undefined && (first === undefined || connection.deadline < first)) first = connection.deadline;
    return first;
  }

  expire(): void {
    for (const { connection } of [...this.byNumber.values()]) connection.expire();
  }

  reset(): void {
    for (const { flow } of this.byNumber.values()) this.world.outside.close(flow);
    this.byEnds.clear();
    this.byNumber.clear();
    this.seed = 0n;
    this.nextPort = FIRST_PORT;
  }
  save(): TcpFlowsState {
    const flows = [...this.byNumber.values()].map(({ flow, ends, isFlowing, connection }) => {
      return { flow, ends, isFlowing, connection: connection.save() };
    });
    return { seed: this.seed, nextPort: this.nextPort, flows };
  }
  restore(state: TcpFlowsState): void {
    this.reset();
    this.seed = state.seed;
    this.nextPort = state.nextPort;
    for (const { flow, ends, isFlowing, connection } of state.flows)
      this.add(flow, ends, (world) => TcpConnection.restored(world, connection), isFlowing);
  }

  /** `10.0.2.15:40000 – 10.0.2.2:80`, and the state, of each. */
  describe(): readonly { readonly name: string; readonly phase: string }[] {
    return [...this.byNumber.values()].map(({ ends, connection }) => {
      const { guestIp, guestPort, ownIp, ownPort } = ends;
      return { name: `${formatIp(guestIp)}:${guestPort} – ${formatIp(ownIp)}:${ownPort}`, phase: connection.phase };
    });
  }
}

function keyOf({ guestIp, guestPort, ownIp, ownPort }: Ends): string {
  return `${guestIp}:${guestPort}-${ownIp}:${ownPort}`;
}
