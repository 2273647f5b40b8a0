import { joined, NO_BYTES } from '../packets/bytes.ts';
import { TcpFlag as Flag, type TcpSegment } from '../packets/tcp.ts';
import { type EarlyBytes, keepEarly, takeInOrder } from './reassembly.ts';
import { after, ahead } from './sequence.ts';

/** States of a connection (RFC 9293, 3.3.2), and `ASKED`: the guest's SYN is there, and whether there is a service isn't known yet. */
export type TcpPhase =
  | 'ASKED'
  | 'SYN-SENT'
  | 'SYN-RECEIVED'
  | 'ESTABLISHED'
  | 'FIN-WAIT-1'
  | 'FIN-WAIT-2'
  | 'CLOSING'
  | 'TIME-WAIT'
  | 'CLOSE-WAIT'
  | 'LAST-ACK'
  | 'CLOSED';

/** All of a connection, as plain data. */
export interface TcpState {
  readonly phase: TcpPhase;
  /** The first sequence number that the guest hasn't acknowledged, and the next to send. */
  readonly unacknowledged: number;
  readonly next: number;
  /** Bytes from `unacknowledged` on, sent or not. */
  readonly outgoing: Uint8Array;
  readonly finWanted: boolean;
  readonly finSent: boolean;
  /** What the guest has room for, and the largest segment that it takes. */
  readonly peerWindow: number;
  readonly peerMss: number;
  readonly duplicates: number;
  /** While segments are sent again: the end of what is to be acknowledged first. */
  readonly recover: number | undefined;
  /** The next sequence number that is expected of the guest. */
  readonly expected: number;
  readonly early: readonly EarlyBytes[];
  /** Bytes that were passed on and not taken yet. */
  readonly untaken: number;
  /** The window as the guest knows it. */
  readonly toldWindow: number;
  /** Guest time at which something is sent again, or the connection forgotten. */
  readonly deadline: bigint | undefined;
  readonly timeout: bigint;
  readonly retries: number;
}

/** What is around a connection. */
export interface TcpWorld {
  now(): bigint;
  emit(segment: Pick<TcpSegment, 'sequence' | 'acknowledgment' | 'flags' | 'window' | 'mss' | 'payload'>): void;
  /** The guest is there: bytes can flow. */
  established(): void;
  /** Bytes of the guest, in order. They are to be {@link TcpConnection.took taken} later. */
  received(bytes: Uint8Array): void;
  /** The guest sends no more. */
  finished(): void;
  /** The connection is no more; true: both sides had sent all. */
  closed(isWhole: boolean): void;
}

export const OWN_MSS = 1460;
/** What a peer takes that says nothing (RFC 9293, 3.7.1). */
const USUAL_MSS = 536;
const SMALLEST_MSS = 64;
/** No window scaling is offered. */
const WINDOW = 0xffff;
const SECOND = 1_000_000_000n;
const FIRST_TIMEOUT = SECOND;
const LONGEST_TIMEOUT = 60n * SECOND;
const MOST_RETRIES = 8;
const FAST_RETRANSMIT = 3;
/** Nothing stays on the way for long here (RFC 9293, 3.4.2: twice the longest life of a segment). */
const TIME_WAIT = SECOND;

const FRESH: Omit<TcpState, 'phase' | 'unacknowledged' | 'next' | 'expected' | 'peerMss' | 'peerWindow'> = {
  outgoing: NO_BYTES,
  finWanted: false,
  finSent: false,
  duplicates: 0,
  recover: undefined,
  early: [],
  untaken: 0,
  toldWindow: WINDOW,
  deadline: undefined,
  timeout: FIRST_TIMEOUT,
  retries: 0,
};

type Incoming = Pick<TcpSegment, 'sequence' | 'acknowledgment' | 'flags' | 'window' | 'mss' | 'payload'>;
type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

/**
 * One side of a TCP connection (RFC 9293) whose other one is in the guest. Lost segments are sent again by guest time, and at the third
 * duplicate acknowledgment (RFC 5681, 3.2); there is no congestion on the way that it would have to avoid.
 */
export class TcpConnection {
  private readonly s: Mutable<TcpState>;

  private constructor(
    private readonly world: TcpWorld,
    state: TcpState,
  ) {
    this.s = { ...state };
  }

  /** The guest asks for a connection with `segment`, a SYN. `initial`: the first sequence number of this side. */
  static asked(world: TcpWorld, segment: Incoming, initial: number): TcpConnection {
    return new TcpConnection(world, {
      ...FRESH,
      phase: 'ASKED',
      unacknowledged: initial,
      next: initial,
      expected: after(segment.sequence, 1),
      peerMss: mssOf(segment),
      peerWindow: segment.window,
    });
  }

  /** Asks the guest for a connection. */
  static open(world: TcpWorld, initial: number): TcpConnection {
    const start = { unacknowledged: initial, next: after(initial, 1), expected: 0, peerMss: USUAL_MSS, peerWindow: 0 };
    const connection = new TcpConnection(world, { ...FRESH, phase: 'SYN-SENT', ...start });
    connection.sendSyn();
    connection.startTimer();
    return connection;
  }

  static restored(world: TcpWorld, state: TcpState): TcpConnection {
    return new TcpConnection(world, state);
  }

  save(): TcpState {
    return { ...this.s, outgoing: this.s.outgoing.slice() };
  }
  get phase(): TcpPhase {
    return this.s.phase;
  }
  get deadline(): bigint | undefined {
    return this.s.deadline;
  }
  /** Bytes that wait for the guest. */
  get waiting(): number {
    return this.s.outgoing.length;
  }

  // --- what this side does ----------------------------------------------------------------------------------------------

  /** There is a service: the guest's wish is granted. */
  accept(): void {
    if (this.s.phase !== 'ASKED') return;
    this.s.phase = 'SYN-RECEIVED';
    this.s.next = after(this.s.unacknowledged, 1);
    this.sendSyn();
    this.startTimer();
  }

  /** Bytes for the guest. */
  send(bytes: Uint8Array): void {
    if (this.s.finWanted || this.s.phase === 'CLOSED') return;
    this.s.outgoing = joined(this.s.outgoing, bytes);
    this.flush();
  }

  /** This side sends no more. */
  finish(): void {
    this.s.finWanted = true;
    this.flush();
  }

  /** So many of the guest's bytes have been taken: there is room again. */
  took(count: number): void {
    this.s.untaken = Math.max(0, this.s.untaken - count);
    const wasSmall = this.s.toldWindow < OWN_MSS;
    if (wasSmall && this.window >= OWN_MSS && this.isSynchronized) this.acknowledge();
  }

  /** Ends the connection at once; the guest learns of it. */
  reset(): void {
    if (this.s.phase === 'CLOSED') return;
    if (this.s.phase === 'ASKED') this.refuse();
    else if (this.s.phase !== 'TIME-WAIT') this.emit(Flag.RST | Flag.ACK, this.s.next);
    this.end(false);
  }

  private refuse(): void {
    this.world.emit({ sequence: 0, acknowledgment: this.s.expected, flags: Flag.RST | Flag.ACK, window: 0, payload: NO_BYTES });
  }

  // --- what comes from the guest -----------------------------------------------------------------------------------------

  receive(segment: Incoming): void {
    const { s } = this;
    if (s.phase === 'CLOSED') return;
    if (s.phase === 'ASKED') {
      if (segment.flags & Flag.RST) this.end(false);
      return;
    }
    if (s.phase === 'SYN-SENT') {
      this.receiveAnswer(segment);
      return;
    }
    const isRepeatedSyn = segment.flags & Flag.SYN && after(segment.sequence, 1) === s.expected;
    if (s.phase === 'SYN-RECEIVED' && isRepeatedSyn) {
      this.sendSyn();
      return;
    }
    if (!this.isAcceptable(segment)) {
      if ((segment.flags & Flag.RST) === 0) this.acknowledge();
      return;
    }
    if (segment.flags & Flag.RST) {
      // Only the exact number ends a connection (RFC 9293, 3.10.7.4).
      if (segment.sequence === s.expected) this.end(false);
      else this.acknowledge();
      return;
    }
    if (segment.flags & Flag.SYN) {
      this.acknowledge();
      return;
    }
    if ((segment.flags & Flag.ACK) === 0 || !this.receiveAcknowledgment(segment)) return;
    this.receiveBytes(segment);
    this.flush();
  }

  /** Whether the guest answers a wish for a connection (RFC 9293, 3.10.7.3). */
  private receiveAnswer(segment: Incoming): void {
    const { s } = this;
    const isAcknowledged = (segment.flags & Flag.ACK) !== 0 && segment.acknowledgment === s.next;
    if (segment.flags & Flag.RST) {
      if (isAcknowledged) this.end(false);
      return;
    }
    if (segment.flags & Flag.ACK && !isAcknowledged) {
      this.world.emit({ sequence: segment.acknowledgment, acknowledgment: 0, flags: Flag.RST, window: 0, payload: NO_BYTES });
      return;
    }
    if (!isAcknowledged || (segment.flags & Flag.SYN) === 0) return;
    s.phase = 'ESTABLISHED';
    s.unacknowledged = s.next;
    s.expected = after(segment.sequence, 1);
    s.peerMss = mssOf(segment);
    s.peerWindow = segment.window;
    this.stopTimer();
    this.acknowledge();
    this.world.established();
    this.flush();
  }

  /** Whether some of a segment lies in the window (RFC 9293, 3.10.7.4). */
  private isAcceptable({ sequence, payload, flags }: Incoming): boolean {
    const length = payload.length + (flags & Flag.FIN ? 1 : 0);
    const first = ahead(sequence, this.s.expected);
    const { window } = this;
    if (length === 0) return window === 0 ? first === 0 : first >= 0 && first < window;
    if (window === 0) return false;
    const last = first + length - 1;
    return (first >= 0 && first < window) || (last >= 0 && last < window);
  }

  /** False for a segment that goes no further. */
  private receiveAcknowledgment({ acknowledgment, window, payload }: Incoming): boolean {
    const { s } = this;
    const newly = ahead(acknowledgment, s.unacknowledged);
    if (ahead(acknowledgment, s.next) > 0 || (s.phase === 'SYN-RECEIVED' && newly <= 0)) {
      if (s.phase === 'SYN-RECEIVED')
        this.world.emit({ sequence: acknowledgment, acknowledgment: 0, flags: Flag.RST, window: 0, payload: NO_BYTES });
      else this.acknowledge();
      return false;
    }
    const isDuplicate = newly === 0 && payload.length === 0 && window === s.peerWindow && s.next !== s.unacknowledged;
    if (newly >= 0) s.peerWindow = window;
    if (isDuplicate && ++s.duplicates === FAST_RETRANSMIT && s.recover === undefined) {
      s.recover = s.next;
      this.sendAgain();
    }
    if (newly > 0) this.advance(acknowledgment, newly);
    return true;
  }

  private advance(acknowledgment: number, newly: number): void {
    const { s } = this;
    const wasOpening = s.phase === 'SYN-RECEIVED';
    // The SYN takes one number before the bytes, the FIN one behind them.
    s.outgoing = s.outgoing.subarray(Math.min(s.outgoing.length, wasOpening ? newly - 1 : newly));
    s.unacknowledged = acknowledgment;
    s.duplicates = 0;
    s.retries = 0;
    s.timeout = FIRST_TIMEOUT;
    this.stopTimer();
    if (acknowledgment !== s.next) this.startTimer();
    if (s.recover !== undefined && ahead(acknowledgment, s.recover) >= 0) s.recover = undefined;
    if (s.recover !== undefined) this.sendAgain();
    if (wasOpening) {
      s.phase = 'ESTABLISHED';
      this.world.established();
    }
    if (!s.finSent || acknowledgment !== s.next) return;
    if (s.phase === 'FIN-WAIT-1') s.phase = 'FIN-WAIT-2';
    else if (s.phase === 'CLOSING') this.waitForLate();
    else if (s.phase === 'LAST-ACK') this.end(true);
  }

  private receiveBytes({ sequence, payload, flags }: Incoming): void {
    const { s } = this;
    if (s.phase === 'CLOSED') return;
    const length = payload.length + (flags & Flag.FIN ? 1 : 0);
    if (length === 0) return;
    if (s.phase !== 'ESTABLISHED' && s.phase !== 'FIN-WAIT-1' && s.phase !== 'FIN-WAIT-2') {
      this.acknowledge();
      return;
    }
    const start = Math.max(0, ahead(s.expected, sequence));
    const room = ahead(after(s.expected, this.window), sequence);
    const bytes = payload.subarray(start, Math.max(start, room));
    const isInOrder = ahead(sequence, s.expected) <= 0;
    // A FIN that came early will come again.
    const hasFin = (flags & Flag.FIN) !== 0 && isInOrder && start + bytes.length === payload.length;
    if (isInOrder) this.pass(bytes);
    else if (bytes.length > 0) s.early = keepEarly(s.early, { sequence, bytes: bytes.slice() });
    if (hasFin && s.expected === after(sequence, payload.length)) this.receiveFin();
    this.acknowledge();
  }

  /** Passes on bytes that are next, and what came before them. */
  private pass(bytes: Uint8Array): void {
    const { s } = this;
    const { ready, left } = takeInOrder(s.early, after(s.expected, bytes.length));
    s.early = left;
    for (const part of [bytes, ...ready]) {
      if (part.length === 0) continue;
      s.expected = after(s.expected, part.length);
      s.untaken += part.length;
      this.world.received(part);
    }
  }

  private receiveFin(): void {
    const { s } = this;
    s.expected = after(s.expected, 1);
    if (s.phase === 'ESTABLISHED') s.phase = 'CLOSE-WAIT';
    else if (s.phase === 'FIN-WAIT-1') s.phase = 'CLOSING';
    else this.waitForLate();
    this.world.finished();
  }

  private waitForLate(): void {
    this.s.phase = 'TIME-WAIT';
    this.s.deadline = this.world.now() + TIME_WAIT;
  }

  private end(isWhole: boolean): void {
    this.s.phase = 'CLOSED';
    this.s.outgoing = NO_BYTES;
    this.s.early = [];
    this.stopTimer();
    this.world.closed(isWhole);
  }

  // --- sending -----------------------------------------------------------------------------------------------------------

  private get isSynchronized(): boolean {
    return this.s.phase !== 'ASKED' && this.s.phase !== 'SYN-SENT' && this.s.phase !== 'CLOSED';
  }
  private get window(): number {
    return Math.max(0, WINDOW - this.s.untaken);
  }

  /** Sends what the guest has room for. */
  private flush(): void {
    const { s } = this;
    if (s.phase !== 'ESTABLISHED' && s.phase !== 'CLOSE-WAIT') return;
    for (;;) {
      const inFlight = ahead(s.next, s.unacknowledged);
      const count = Math.min(s.peerMss, s.outgoing.length - inFlight, s.peerWindow - inFlight);
      if (count <= 0) break;
      const isLast = inFlight + count === s.outgoing.length;
      this.emit(Flag.ACK | (isLast ? Flag.PSH : 0), s.next, s.outgoing.subarray(inFlight, inFlight + count));
      s.next = after(s.next, count);
    }
    if (s.finWanted && ahead(s.next, s.unacknowledged) === s.outgoing.length) {
      this.emit(Flag.FIN | Flag.ACK, s.next);
      s.next = after(s.next, 1);
      s.finSent = true;
      s.phase = s.phase === 'ESTABLISHED' ? 'FIN-WAIT-1' : 'LAST-ACK';
    }
    // Bytes that wait for a closed window are sent by the timer, one at a time (RFC 9293, 3.8.6.1).
    if (s.deadline === undefined && (s.next !== s.unacknowledged || s.outgoing.length > 0)) this.startTimer();
  }

  /** The time of the deadline has come. */
  expire(): void {
    const { s } = this;
    if (s.deadline === undefined || this.world.now() < s.deadline) return;
    s.deadline = undefined;
    if (s.phase === 'TIME-WAIT') {
      this.end(true);
      return;
    }
    const isProbe = s.peerWindow === 0 && this.isSynchronized;
    if (++s.retries > MOST_RETRIES && !isProbe) {
      this.reset();
      return;
    }
    s.timeout = s.timeout * 2n > LONGEST_TIMEOUT ? LONGEST_TIMEOUT : s.timeout * 2n;
    if (s.phase === 'SYN-SENT' || s.phase === 'SYN-RECEIVED') this.sendSyn();
    else {
      if (s.next !== s.unacknowledged) s.recover = s.next;
      this.sendAgain();
    }
    this.startTimer();
  }

  /** Sends the first bytes that aren't acknowledged, or the FIN. */
  private sendAgain(): void {
    const { s } = this;
    if (s.outgoing.length > 0) {
      const count = Math.min(s.peerMss, s.outgoing.length, Math.max(1, s.peerWindow));
      this.emit(Flag.ACK | Flag.PSH, s.unacknowledged, s.outgoing.subarray(0, count));
      if (ahead(s.next, after(s.unacknowledged, count)) < 0) s.next = after(s.unacknowledged, count);
    } else if (s.finSent) this.emit(Flag.FIN | Flag.ACK, s.unacknowledged);
  }

  private sendSyn(): void {
    const isAnswer = this.s.phase === 'SYN-RECEIVED';
    const flags = isAnswer ? Flag.SYN | Flag.ACK : Flag.SYN;
    this.emit(flags, this.s.unacknowledged, NO_BYTES, OWN_MSS);
  }

  private acknowledge(): void {
    this.emit(Flag.ACK, this.s.next);
  }

  private emit(flags: number, sequence: number, payload: Uint8Array = NO_BYTES, mss?: number): void {
    const { window } = this;
    this.s.toldWindow = window;
    const acknowledgment = flags & Flag.ACK ? this.s.expected : 0;
    this.world.emit({ sequence, acknowledgment, flags, window, mss, payload });
  }

  private startTimer(): void {
    this.s.deadline = this.world.now() + this.s.timeout;
  }
  private stopTimer(): void {
    this.s.deadline = undefined;
  }
}

function mssOf({ mss = USUAL_MSS }: Incoming): number {
  return Math.min(OWN_MSS, Math.max(SMALLEST_MSS, mss));
}
