import { PAGE_ADDRESS, PAGE_ENABLED } from '../abi/msrs.ts';
import { HvStatus } from '../abi/status.ts';
import * as Abi from '../abi/synic.ts';
import type { OverlayPage } from '../overlay/overlays.ts';
import { EventRing } from './event-ring.ts';
import { MessageBuffers, type QueuedMessage } from './message-queue.ts';
import type { SynicMessage } from './synic.ts';

/** What a virtual processor's SynIC is given. */
export interface VpSynicWorld {
  /** The message page (SIM), the event flags page (SIEF) and the event ring page (SIRB). */
  readonly messages: OverlayPage;
  readonly events: OverlayPage;
  readonly rings: OverlayPage;
  /** The partition, as the sender of what its own SynIC tells it. */
  readonly partitionId: bigint;
  /** An edge-triggered interrupt for the virtual processor's local APIC, which may be off. */
  interrupt(vector: number): void;
}

/** The first bytes of a message slot. */
export interface MessageHead {
  /** 0: the slot is empty. */
  readonly type: number;
  readonly payloadSize: number;
  readonly flags: number;
  readonly sender: bigint;
}

/** The synthetic interrupt controller of one virtual processor (TLFS, "SynIC"). */
export class VpSynic {
  scontrol = 0n;
  private siefpValue = 0n;
  private simpValue = 0n;
  private sirbpValue = 0n;
  private readonly sints = new BigUint64Array(Abi.SOURCES);
  /** Vectors of sources with AutoEOI that aren't masked: each interrupt asks. */
  private readonly autoEoi = new Set<number>();
  private readonly queues: QueuedMessage[][] = Array.from({ length: Abi.SOURCES }, () => []);
  private readonly eventRings: readonly EventRing[];
  /** For the messages of sources whose interrupts are intercepts: one each, since one more would say no more. */
  private readonly intercepts = Array.from({ length: Abi.SOURCES }, () => new MessageBuffers(1));

  constructor(private readonly world: VpSynicWorld) {
    this.eventRings = Array.from({ length: Abi.SOURCES }, (_, source) => new EventRing(world.rings, source));
    this.reset();
  }

  reset(): void {
    this.scontrol = 0n;
    this.siefpValue = 0n;
    this.simpValue = 0n;
    this.sirbpValue = 0n;
    for (const ring of this.eventRings) ring.restart();
    this.sints.fill(Abi.SINT_AT_RESET);
    this.autoEoi.clear();
    for (const queue of this.queues) for (const { buffers } of queue.splice(0)) buffers.release();
  }

  // --- registers -----------------------------------------------------------------------------------------------------

  get siefp(): bigint {
    return this.siefpValue;
  }
  set siefp(value: bigint) {
    this.siefpValue = value;
    place(this.world.events, value);
  }
  get simp(): bigint {
    return this.simpValue;
  }
  set simp(value: bigint) {
    this.simpValue = value;
    place(this.world.messages, value);
  }
  get sirbp(): bigint {
    return this.sirbpValue;
  }
  set sirbp(value: bigint) {
    const wasOff = (this.sirbpValue & PAGE_ENABLED) === 0n;
    this.sirbpValue = value;
    place(this.world.rings, value);
    // Its reader begins at the first entry.
    if (wasOff) for (const ring of this.eventRings) ring.restart();
  }

  sint(source: number): bigint {
    return this.sints[source] ?? Abi.SINT_AT_RESET;
  }
  /** False for a vector that no interrupt can have. A masked source may have any. */
  setSint(source: number, value: bigint): boolean {
    if ((value & Abi.Sint.VECTOR) < Abi.LOWEST_VECTOR && (value & Abi.Sint.MASKED) === 0n) return false;
    this.sints[source] = value;
    this.findAutoEoi();
    return true;
  }

  get enabled(): boolean {
    return (this.scontrol & Abi.ENABLED) !== 0n;
  }
  /** Messages can be directed to it. */
  get takesMessages(): boolean {
    return this.enabled && (this.simpValue & PAGE_ENABLED) !== 0n;
  }
  /** Event flags can be directed to it. */
  get takesEvents(): boolean {
    return this.enabled && (this.siefpValue & PAGE_ENABLED) !== 0n;
  }
  /** Numbers of ports can be directed to it. */
  get takesPorts(): boolean {
    return this.enabled && (this.sirbpValue & PAGE_ENABLED) !== 0n;
  }
  /** A masked source that is polled counts as one that isn't masked. */
  isMasked(source: number): boolean {
    return (this.sint(source) & (Abi.Sint.MASKED | Abi.Sint.POLLING)) === Abi.Sint.MASKED;
  }
  /** An interrupt with this vector is at its end as soon as it is accepted. */
  endsByItself(vector: number): boolean {
    return this.autoEoi.has(vector);
  }
  private findAutoEoi(): void {
    this.autoEoi.clear();
    for (const sint of this.sints)
      if ((sint & (Abi.Sint.AUTO_EOI | Abi.Sint.MASKED)) === Abi.Sint.AUTO_EOI) this.autoEoi.add(Number(sint & Abi.Sint.VECTOR));
  }

  /** Interrupts as the source says; a masked or polled one doesn't, and its interrupt is lost. */
  interrupt(source: number): void {
    const sint = this.sint(source);
    if ((sint & (Abi.Sint.MASKED | Abi.Sint.POLLING)) !== 0n) return;
    // Source 0 is where intercepts arrive.
    if ((sint & Abi.Sint.AS_INTERCEPT) !== 0n && source !== 0) this.interceptSource(source);
    else this.world.interrupt(Number(sint & Abi.Sint.VECTOR));
  }

  /** A message at source 0 instead of an interrupt, with the number of the source (Linux, hv_notification_message_payload). */
  private interceptSource(source: number): void {
    const buffers = this.intercepts[source];
    if (!buffers || !this.takesMessages || !buffers.take()) return;
    const type = Abi.MessageType.SINT_INTERCEPT;
    const message = { type, sender: this.world.partitionId, payload: Uint8Array.of(source, 0, 0, 0) };
    this.enqueue(0, { type, message: () => message, buffers });
  }

  // --- messages ------------------------------------------------------------------------------------------------------

  /** A message from somebody who must have its answer: a status. */
  post(source: number, message: SynicMessage, buffers: MessageBuffers): number {
    if (!this.takesMessages) return HvStatus.INVALID_SYNIC_STATE;
    if (!buffers.take()) return HvStatus.INSUFFICIENT_BUFFERS;
    this.enqueue(source, { type: message.type, message: () => message, buffers });
    return HvStatus.SUCCESS;
  }

  /** Queues a message in a buffer that was taken for it. */
  enqueue(source: number, queued: QueuedMessage): void {
    this.queues[source]?.push(queued);
    this.deliver(source);
  }

  /** Takes messages of a sender back that are still queued. */
  withdraw(buffers: MessageBuffers): void {
    for (const queue of this.queues)
      for (let index = queue.length - 1; index >= 0; index--)
        if (queue[index]?.buffers === buffers) {
          queue.splice(index, 1);
          buffers.release();
        }
  }

  /** Puts the first message of a source's queue into its slot, if that is empty; says in the slot that there are more, otherwise. */
  private deliver(source: number): void {
    const queue = this.queues[source];
    const [first] = queue ?? [];
    if (!queue || !first || !this.takesMessages) return;
    const { messages } = this.world;
    const slot = source * Abi.SLOT_SIZE;
    const { type, flags } = this.slot(source);
    if (type !== Abi.MessageType.NONE) {
      messages.write(slot + Abi.Message.FLAGS, Uint8Array.of(flags | Abi.MESSAGE_PENDING));
      return;
    }
    queue.shift();
    messages.write(slot, messageBytes(first.message(), queue.length > 0));
    first.buffers.release();
    this.interrupt(source);
  }

  /** The guest has written to EOM. */
  endOfMessage(): void {
    for (let source = 0; source < Abi.SOURCES; source++) this.deliver(source);
  }
  /** An interrupt with this vector is at its end. */
  endOfInterrupt(vector: number): void {
    for (let source = 0; source < Abi.SOURCES; source++) if (this.waitsForEnd(source, vector)) this.deliver(source);
  }
  /** Whether a queued message waits for the end of an interrupt with this vector. */
  waitsFor(vector: number): boolean {
    return this.queues.some((_, source) => this.waitsForEnd(source, vector));
  }
  private waitsForEnd(source: number, vector: number): boolean {
    return this.queued(source).length > 0 && Number(this.sint(source) & Abi.Sint.VECTOR) === vector;
  }
  /** How many messages wait for their slots. */
  get waiting(): number {
    return this.queues.reduce((sum, { length }) => sum + length, 0);
  }
  /** The messages that wait for a source's slot, first one first. */
  queued(source: number): readonly QueuedMessage[] {
    return this.queues[source] ?? [];
  }

  /** What is in a source's slot. */
  slot(source: number): MessageHead {
    const head = this.world.messages.read(source * Abi.SLOT_SIZE, Abi.Message.PAYLOAD);
    const view = new DataView(head.buffer, head.byteOffset, head.length);
    return {
      type: view.getUint32(Abi.Message.TYPE, true),
      payloadSize: view.getUint8(Abi.Message.PAYLOAD_SIZE),
      flags: view.getUint8(Abi.Message.FLAGS),
      sender: view.getBigUint64(Abi.Message.SENDER, true),
    };
  }

  // --- event flags ---------------------------------------------------------------------------------------------------

  /** Sets a flag and interrupts, if it wasn't set before. Gives a status. */
  signal(source: number, flag: number): number {
    if (!this.takesEvents || this.isMasked(source)) return HvStatus.INVALID_SYNIC_STATE;
    const { events } = this.world;
    const at = source * Abi.SLOT_SIZE + (flag >> 3);
    const [byte = 0] = events.read(at, 1);
    const bit = 1 << (flag & 7);
    if (byte & bit) return HvStatus.SUCCESS;
    events.write(at, Uint8Array.of(byte | bit));
    this.interrupt(source);
    return HvStatus.SUCCESS;
  }

  /** The flags of a source that are set. */
  flagsSet(source: number): readonly number[] {
    const bytes = this.world.events.read(source * Abi.SLOT_SIZE, Abi.SLOT_SIZE);
    return Array.from({ length: Abi.EVENT_FLAGS }, (_, flag) => flag).filter(
      (flag) => ((bytes[flag >> 3] ?? 0) >> (flag & 7)) & 1,
    );
  }

  // --- event rings ---------------------------------------------------------------------------------------------------

  /** Writes the number of a port into a source's ring, or remembers it until there is room. Gives a status. */
  tell(source: number, port: number): number {
    const ring = this.eventRings[source];
    if (!ring || !this.takesPorts || this.isMasked(source)) return HvStatus.INVALID_SYNIC_STATE;
    if (ring.tell(port)) this.interrupt(source);
    return HvStatus.SUCCESS;
  }

  /** The guest has emptied a source's ring: what waits goes in. Gives a status. */
  ringEmptied(source: number): number {
    const ring = this.eventRings[source];
    if (!ring || !this.takesPorts) return HvStatus.INVALID_SYNIC_STATE;
    if (ring.refill()) this.interrupt(source);
    return HvStatus.SUCCESS;
  }

  /** A port is there no more. */
  forgetPort(port: number): void {
    for (const ring of this.eventRings) ring.forget(port);
  }

  /** A source's ring. */
  ring(source: number): EventRing | undefined {
    return this.eventRings[source];
  }
}

/** Lays a page where its register says, or takes it away. Where none can be, the guest doesn't reach it. */
function place(page: OverlayPage, register: bigint): void {
  if ((register & PAGE_ENABLED) === 0n || !page.place(register & PAGE_ADDRESS)) page.remove();
}

function messageBytes({ type, sender, payload }: SynicMessage, morePending: boolean): Uint8Array {
  const bytes = new Uint8Array(Abi.Message.PAYLOAD + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(Abi.Message.TYPE, type, true);
  view.setUint8(Abi.Message.PAYLOAD_SIZE, payload.length);
  view.setUint8(Abi.Message.FLAGS, morePending ? Abi.MESSAGE_PENDING : 0);
  view.setBigUint64(Abi.Message.SENDER, sender, true);
  bytes.set(payload, Abi.Message.PAYLOAD);
  return bytes;
}
