import type { SocketData, SocketKind } from './host.ts';
import type { PacketHeader } from './packet.ts';
import { HOST_BUFFER, LONGEST_DATA, MessageFlag } from './registers.ts';

/** A piece that waits to be sent to the guest. */
interface Waiting {
  readonly bytes: Uint8Array;
  readonly flags: number;
}

export interface ConnectionState {
  readonly number: number;
  readonly guestPort: number;
  readonly hostPort: number;
  readonly kind: SocketKind;
  readonly isOpen: boolean;
  readonly guestRoom: number;
  readonly guestPassedOn: number;
  readonly sent: number;
  readonly received: number;
  readonly passedOn: number;
  readonly told: number;
  readonly guestFinished: boolean;
  readonly hostFinished: boolean;
  readonly isFlowing: boolean;
  readonly waiting: readonly Waiting[];
}

/** Bytes for the guest that are kept until the host is told to wait, and until it may go on. */
const STOP_AT = 0x4_0000;
const GO_ON_AT = 0x1_0000;

/** One connection between the guest and the host: how far both are, by counters that wrap at 32 bits (virtio 1.2, 5.10.6.3). */
export class Connection {
  /** Both sides have agreed. */
  isOpen = false;
  /** The guest sends no more; the host does. */
  guestFinished = false;
  hostFinished = false;
  /** The host may send on. */
  isFlowing = true;
  private guestRoom = 0;
  private guestPassedOn = 0;
  private sent = 0;
  private received = 0;
  private passedOn = 0;
  /** What the guest was told last of `passedOn`. */
  private told = 0;
  private waiting: Waiting[] = [];
  private waitingBytes = 0;

  constructor(
    readonly number: number,
    readonly guestPort: number,
    readonly hostPort: number,
    readonly kind: SocketKind,
  ) {}

  // --- what the guest sends -------------------------------------------------------------------------------------------

  /** What each packet of the guest says of its room. */
  hear({ room, passedOn }: PacketHeader): void {
    this.guestRoom = room;
    this.guestPassedOn = passedOn;
  }

  /** Counts bytes of the guest; false for more than it was told there is room for. */
  take(length: number): boolean {
    if (length > HOST_BUFFER - ((this.received - this.passedOn) >>> 0)) return false;
    this.received = (this.received + length) >>> 0;
    return true;
  }

  /** The host took bytes. Whether the guest should be told: it may believe that half of the room is full. */
  pass(length: number): boolean {
    const onTheirWay = (this.received - this.passedOn) >>> 0;
    this.passedOn = (this.passedOn + Math.min(length, onTheirWay)) >>> 0;
    return (this.passedOn - this.told) >>> 0 >= HOST_BUFFER / 2;
  }

  /** What a packet to the guest says of the host's room. */
  credit(): { readonly room: number; readonly passedOn: number } {
    this.told = this.passedOn;
    return { room: HOST_BUFFER, passedOn: this.passedOn };
  }

  // --- what the guest gets --------------------------------------------------------------------------------------------

  /** Keeps something for the guest. False when the host is to wait. */
  queue({ bytes, endsMessage = false, endsRecord = false }: SocketData): boolean {
    const flags = (endsMessage ? MessageFlag.END : 0) | (endsRecord ? MessageFlag.RECORD : 0);
    if (bytes.length > 0 || flags !== 0) this.waiting.push({ bytes, flags: this.kind === 'seqpacket' ? flags : 0 });
    this.waitingBytes += bytes.length;
    return this.waitingBytes < STOP_AT;
  }

  get isEmpty(): boolean {
    return this.waiting.length === 0;
  }
  get mayGoOn(): boolean {
    return this.waitingBytes <= GO_ON_AT;
  }
  /** Bytes that the guest has room for. */
  private get free(): number {
    const onTheirWay = (this.sent - this.guestPassedOn) >>> 0;
    return Math.max(0, this.guestRoom - onTheirWay);
  }
  /** Something waits, and the guest has room. */
  get canSend(): boolean {
    const [first] = this.waiting;
    return first !== undefined && (first.bytes.length === 0 || this.free > 0);
  }

  /** The next piece, of no more than `most` bytes; an end of a message comes with its last one. */
  next(most: number): Waiting | undefined {
    const [first] = this.waiting;
    if (first === undefined) return undefined;
    const count = Math.min(first.bytes.length, most, this.free, LONGEST_DATA);
    const rest = first.bytes.subarray(count);
    if (rest.length > 0) this.waiting[0] = { bytes: rest, flags: first.flags };
    else this.waiting.shift();
    this.waitingBytes -= count;
    this.sent = (this.sent + count) >>> 0;
    return { bytes: first.bytes.subarray(0, count), flags: rest.length > 0 ? 0 : first.flags };
  }

  save(): ConnectionState {
    const { number, guestPort, hostPort, kind, isOpen, guestRoom, guestPassedOn, sent, received, passedOn, told } = this;
    const { guestFinished, hostFinished, isFlowing } = this;
    const waiting = this.waiting.map(({ bytes, flags }) => ({ bytes: bytes.slice(), flags }));
    return {
      number,
      guestPort,
      hostPort,
      kind,
      isOpen,
      guestRoom,
      guestPassedOn,
      sent,
      received,
      passedOn,
      told,
      guestFinished,
      hostFinished,
      isFlowing,
      waiting,
    };
  }
  static restored(state: ConnectionState): Connection {
    const connection = new Connection(state.number, state.guestPort, state.hostPort, state.kind);
    connection.isOpen = state.isOpen;
    connection.guestFinished = state.guestFinished;
    connection.hostFinished = state.hostFinished;
    connection.isFlowing = state.isFlowing;
    connection.guestRoom = state.guestRoom;
    connection.guestPassedOn = state.guestPassedOn;
    connection.sent = state.sent;
    connection.received = state.received;
    connection.passedOn = state.passedOn;
    connection.told = state.told;
    connection.waiting = state.waiting.map(({ bytes, flags }) => ({ bytes: bytes.slice(), flags }));
    connection.waitingBytes = state.waiting.reduce((sum, { bytes }) => sum + bytes.length, 0);
    return connection;
  }
}
