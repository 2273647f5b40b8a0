import { joined, viewOf } from './packets/bytes.ts';

/** Protocols that reach services outside. */
export type FlowKind = 'tcp' | 'udp';

/**
 * The services and clients on the user's machine that a guest may talk with: on its loopback address, at ports that the user named. A
 * flow is one conversation, by a number: even ones were begun by the guest, odd ones outside. Calls have no answer; what comes of them
 * enters through the partition's input door as an {@link OutsideEvent}.
 */
export interface Outside {
  /** Begins a flow with a service: `connected` or `closed` follows; nothing for UDP. */
  open(flow: number, kind: FlowKind, port: number): void;
  /** Sends bytes of a stream, or one datagram; `taken` follows for a stream. */
  send(flow: number, bytes: Uint8Array): void;
  /** No more bytes will be sent in this stream. */
  finish(flow: number): void;
  /** The flow is over: a stream that wasn't finished by both sides is reset. Nothing follows. */
  close(flow: number): void;
  /** Whether more bytes may come, for a guest that takes them slowly. */
  setFlowing(flow: number, isFlowing: boolean): void;
}

/** The way outside of one network, with all that it has begun there. */
export interface OutsideConnection extends Outside {
  /** Ends all flows, and takes no more clients. */
  end(): void;
}

/** What a way outside is made for. */
export interface OutsideWorld {
  /** Ports at which clients are taken; an event names them by their places in the list. */
  readonly forwards: readonly { readonly kind: FlowKind; readonly hostPort: number }[];
  happened(event: OutsideEvent): void;
}

/** Opens a way outside; who has sockets gives it to those who make networks. */
export type OpenOutside = (world: OutsideWorld) => OutsideConnection;

/** A way outside that can be another partition's later: its flows and forwards stay. */
export interface MovableOutside extends OutsideConnection {
  /** Says who is told from now on of what happens. */
  leadTo(happened: (event: OutsideEvent) => void): void;
}

/** Opens a way outside that can be led elsewhere. */
export function openMovable(open: OpenOutside, { forwards, happened }: OutsideWorld): MovableOutside {
  let told = happened;
  const way = open({ forwards, happened: (event) => told(event) });
  return {
    open: (flow, kind, port) => way.open(flow, kind, port),
    send: (flow, bytes) => way.send(flow, bytes),
    finish: (flow) => way.finish(flow),
    close: (flow) => way.close(flow),
    setFlowing: (flow, isFlowing) => way.setFlowing(flow, isFlowing),
    end: () => way.end(),
    leadTo: (next) => {
      told = next;
    },
  };
}

/** What happened outside. */
export type OutsideEvent =
  /** A client is at the port of a forward, the one with this number. */
  | { readonly kind: 'accepted'; readonly flow: number; readonly forward: number }
  | { readonly kind: 'connected'; readonly flow: number }
  | { readonly kind: 'data'; readonly flow: number; readonly bytes: Uint8Array }
  /** So many more bytes of those that were sent have been taken. */
  | { readonly kind: 'taken'; readonly flow: number; readonly count: number }
  /** No more bytes will come in this stream. */
  | { readonly kind: 'finished'; readonly flow: number }
  /** The flow is over: refused, reset, or closed by an error. */
  | { readonly kind: 'closed'; readonly flow: number };

/** What may come through a partition's input door: what happened outside, and that its user pulls out the cable or puts it back. */
export type NetworkEvent = OutsideEvent | { readonly kind: 'link'; readonly isUp: boolean };

/** Numbers of kinds, which recorded inputs have. */
const KINDS = ['accepted', 'connected', 'data', 'taken', 'finished', 'closed', 'link'] as const;
/** Kind and flow, then a number or bytes. */
const HEADER = 5;

/** An event as bytes, for an input door to record. */
export function encodeEvent(event: NetworkEvent): Uint8Array {
  const header = new Uint8Array(HEADER);
  header[0] = KINDS.indexOf(event.kind);
  viewOf(header).setUint32(1, event.kind === 'link' ? Number(event.isUp) : event.flow);
  if (event.kind === 'data') return joined(header, event.bytes);
  const value = event.kind === 'accepted' ? event.forward : event.kind === 'taken' ? event.count : undefined;
  if (value === undefined) return header;
  const number = new Uint8Array(4);
  viewOf(number).setUint32(0, value);
  return joined(header, number);
}

/** Undefined for bytes that are no event. */
export function decodeEvent(bytes: Uint8Array): NetworkEvent | undefined {
  const kind = KINDS[bytes[0] ?? KINDS.length];
  if (kind === undefined || bytes.length < HEADER) return undefined;
  const view = viewOf(bytes);
  const flow = view.getUint32(1);
  if (kind === 'link') return { kind, isUp: flow !== 0 };
  if (kind === 'data') return { kind, flow, bytes: bytes.slice(HEADER) };
  if (kind === 'connected' || kind === 'finished' || kind === 'closed') return { kind, flow };
  if (bytes.length < HEADER + 4) return undefined;
  const value = view.getUint32(HEADER);
  return kind === 'accepted' ? { kind, flow, forward: value } : { kind, flow, count: value };
}

/** An outside in which nothing is: for networks of which nothing leads out, and for runs that are repeated from their inputs. */
export const NOWHERE: Outside = { open() {}, send() {}, finish() {}, close() {}, setFlowing() {} };
