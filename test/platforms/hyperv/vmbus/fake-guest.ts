import {
  COMPLETION_REQUESTED,
  PACKET_FOOTER,
  PACKET_HEADER,
  PacketType,
  RingControl,
} from '../../../../src/platforms/hyperv/abi/ring.ts';
import { HvStatus } from '../../../../src/platforms/hyperv/abi/status.ts';
import {
  CHANNEL_MESSAGE,
  MESSAGE_CONNECTION_5,
  type VmbusTypeName,
  VmbusVersion,
} from '../../../../src/platforms/hyperv/abi/vmbus.ts';
import { Connections } from '../../../../src/platforms/hyperv/synic/connections.ts';
import { decodeMessage, encodeMessage, type VmbusMessage } from '../../../../src/platforms/hyperv/vmbus/message.ts';
import { VmbusServer } from '../../../../src/platforms/hyperv/vmbus/server.ts';
import type { Vsp } from '../../../../src/platforms/hyperv/vmbus/vsp.ts';
import type { HandlerStep } from '../../../../src/stages/stage.ts';
import { FakeClock } from '../../../devices/fake-clock.ts';
import { FakeDma } from '../../../devices/virtio/fake-dma.ts';

const PAGE = 4096;
const FIRST_PAGE = 0x10;

/** A packet as the guest reads it. */
export interface ReadPacket {
  readonly type: number;
  readonly transaction: bigint;
  readonly flags: number;
  /** What is between header and payload. */
  readonly extension: Uint8Array;
  readonly payload: Uint8Array;
}

export interface SentPacket {
  readonly type?: number;
  readonly transaction?: bigint;
  readonly payload?: Uint8Array;
  readonly extension?: Uint8Array;
  readonly wantsCompletion?: boolean;
}

/** A guest's end of one ring, which it reads or writes in its own memory. */
export class GuestRing {
  constructor(
    private readonly dma: FakeDma,
    readonly control: number,
    readonly size: number,
  ) {}

  word(offset: number, value?: number): number {
    if (value !== undefined) this.dma.view.setUint32(this.control + offset, value, true);
    return this.dma.view.getUint32(this.control + offset, true);
  }
  get write(): number {
    return this.word(RingControl.WRITE_INDEX);
  }
  get read(): number {
    return this.word(RingControl.READ_INDEX);
  }
  get used(): number {
    return (this.write - this.read + this.size) % this.size;
  }
  private byte(at: number, value?: number): number {
    const place = this.control + PAGE + (at % this.size);
    if (value !== undefined) this.dma.bytes[place] = value;
    return this.dma.bytes[place] ?? 0;
  }
  put(at: number, bytes: Uint8Array): void {
    bytes.forEach((value, index) => {
      this.byte(at + index, value);
    });
  }
  copy(at: number, length: number): Uint8Array {
    return Uint8Array.from({ length }, (_, index) => this.byte(at + index));
  }

  /** Puts a packet into the ring, as a driver does; false where it has no room. */
  send({
    type = PacketType.DATA_IN_BAND,
    transaction = 1n,
    payload = new Uint8Array(8),
    extension = new Uint8Array(0),
    wantsCompletion = true,
  }: SentPacket): boolean {
    const length = (PACKET_HEADER + extension.length + payload.length + 7) & ~7;
    if (this.used + length + PACKET_FOOTER >= this.size) return false;
    const bytes = new Uint8Array(length + PACKET_FOOTER);
    const view = new DataView(bytes.buffer);
    view.setUint16(0, type, true);
    view.setUint16(2, (PACKET_HEADER + extension.length) / 8, true);
    view.setUint16(4, length / 8, true);
    view.setUint16(6, wantsCompletion ? COMPLETION_REQUESTED : 0, true);
    view.setBigUint64(8, transaction, true);
    bytes.set(extension, PACKET_HEADER);
    bytes.set(payload, PACKET_HEADER + extension.length);
    view.setUint32(length + 4, this.write, true);
    this.put(this.write, bytes);
    this.word(RingControl.WRITE_INDEX, (this.write + bytes.length) % this.size);
    return true;
  }

  /** Takes the next packet out. */
  take(): ReadPacket | undefined {
    if (this.used === 0) return undefined;
    const start = this.read;
    const view = new DataView(this.copy(start, PACKET_HEADER).buffer);
    const dataAt = view.getUint16(2, true) * 8;
    const length = view.getUint16(4, true) * 8;
    if (length + PACKET_FOOTER > this.used) throw new Error('the packet is longer than what is in the ring');
    const body = this.copy(start, length + PACKET_FOOTER);
    if (new DataView(body.buffer).getUint32(length + 4, true) !== start) throw new Error('the footer is wrong');
    this.word(RingControl.READ_INDEX, (start + length + PACKET_FOOTER) % this.size);
    return {
      type: view.getUint16(0, true),
      flags: view.getUint16(6, true),
      transaction: view.getBigUint64(8, true),
      extension: body.slice(PACKET_HEADER, dataAt),
      payload: body.slice(dataAt, length),
    };
  }
}

export interface GuestChannel {
  readonly id: number;
  /** How it was offered. */
  readonly offer: VmbusMessage;
  readonly connection: number;
  readonly gpadl: number;
  readonly out: GuestRing;
  readonly in: GuestRing;
}

/** A guest that drives the VMBus from TypeScript: it has RAM from 0 to 1 MiB, and its hypervisor is only what the bus needs of one. */
export class FakeGuest {
  readonly dma = new FakeDma();
  readonly clock = new FakeClock();
  readonly connections = new Connections();
  readonly bus: VmbusServer;
  /** Messages of the host that wait in the guest. */
  readonly inbox: VmbusMessage[] = [];
  /** How many fit there. */
  room = Number.POSITIVE_INFINITY;
  readonly targets: { readonly vcpu: number; readonly source: number }[] = [];
  readonly events: { readonly vcpu: number; readonly source: number; readonly flag: number }[] = [];
  /** The connection for messages. */
  port = MESSAGE_CONNECTION_5;
  /** What ran in stages. */
  readonly steps: HandlerStep[] = [];
  isStaged = false;
  private nextPage = FIRST_PAGE;
  private nextGpadl = 0xe1e10;

  constructor(...vsps: readonly Vsp[]) {
    this.bus = new VmbusServer(
      {
        dma: this.dma,
        clock: this.clock,
        connections: this.connections,
        vcpus: 2,
        synic: {
          post: (vcpu, source, { payload }) => {
            if (this.inbox.length >= this.room) return HvStatus.INSUFFICIENT_BUFFERS;
            const message = decodeMessage(payload.slice());
            if (typeof message === 'string') throw new Error(`the host sent what is no message: ${message}`);
            this.inbox.push(message);
            this.targets.push({ vcpu, source });
            return HvStatus.SUCCESS;
          },
          signal: (vcpu, source, flag) => {
            this.events.push({ vcpu, source, flag });
            return HvStatus.SUCCESS;
          },
        },
      },
      vsps,
    );
    this.bus.reset();
  }

  /** Posts bytes to a connection; gives the hypercall's status. */
  postBytes(payload: Uint8Array, type: number = CHANNEL_MESSAGE, port = this.port): number {
    const target = this.connections.get(port);
    if (target?.kind !== 'message') return HvStatus.INVALID_CONNECTION_ID;
    if (!this.isStaged) return target.post({ type, payload });
    const steps = target.postInStages({ type, payload });
    for (;;) {
      const { done, value } = steps.next();
      if (done) return value;
      this.steps.push(value);
    }
  }
  post(name: VmbusTypeName, values: Parameters<typeof encodeMessage>[1] = {}): number {
    return this.postBytes(encodeMessage(name, values));
  }
  /** The oldest message of the host. */
  next(): VmbusMessage | undefined {
    return this.inbox.shift();
  }
  /** Posts a message and gives the answer to it. */
  ask(name: VmbusTypeName, values: Parameters<typeof encodeMessage>[1] = {}): VmbusMessage {
    const status = this.post(name, values);
    const answer = this.next();
    if (status !== HvStatus.SUCCESS || answer === undefined) throw new Error(`${name} was not answered: status ${status}`);
    return answer;
  }

  signal(connection: number, flag = 0): number {
    const target = this.connections.get(connection);
    if (target?.kind !== 'event') return HvStatus.INVALID_CONNECTION_ID;
    if (!this.isStaged) return target.signal(flag);
    const steps = target.signalInStages(flag);
    for (;;) {
      const { done, value } = steps.next();
      if (done) return value;
      this.steps.push(value);
    }
  }

  /** Agrees on a version. */
  contact(version: number = VmbusVersion.IRON, values: Parameters<typeof encodeMessage>[1] = {}): VmbusMessage {
    const target = version >= VmbusVersion.WIN10_5_0 ? 2n : 0n;
    const answer = this.ask('INITIATE_CONTACT', { version, target, ...values });
    if (version >= VmbusVersion.WIN10_5_0 && answer.number('supported') === 1) this.port = answer.number('connection');
    return answer;
  }
  /** The offers of the host. */
  offers(): readonly VmbusMessage[] {
    this.post('REQUEST_OFFERS');
    const all = this.inbox.splice(0);
    if (all.pop()?.name !== 'ALL_OFFERS_DELIVERED') throw new Error('not all offers came');
    return all;
  }

  /** Pages of its memory, one after the other. */
  pages(count: number): readonly number[] {
    const first = this.nextPage;
    this.nextPage += count;
    return Array.from({ length: count }, (_, index) => first + index);
  }

  /** Describes pages to the host, in as many messages as that takes; the number of the GPADL. */
  describe(
    channel: number,
    pages: readonly number[],
    bytes = pages.length * PAGE,
    offset = 0,
  ): { gpadl: number; status: number } {
    const gpadl = this.nextGpadl++;
    const range = rangeBytes(bytes, offset, pages);
    const header = { channel, gpadl, range_bytes: range.length, ranges: 1, data: range.subarray(0, 8 + 26 * 8) };
    this.post('GPADL_HEADER', header);
    let number = 0;
    for (let at = header.data.length; at < range.length; at += 28 * 8)
      this.post('GPADL_BODY', { number: number++, gpadl, data: range.subarray(at, at + 28 * 8) });
    const answer = this.next();
    if (answer?.name !== 'GPADL_CREATED' || answer.number('gpadl') !== gpadl) throw new Error('the GPADL was not answered');
    return { gpadl, status: answer.number('status') };
  }

  /** Opens a channel on new rings of so many pages each. */
  open(offer: VmbusMessage, ringPages = 2, vcpu = 0): GuestChannel {
    const id = offer.number('channel');
    const pages = this.pages(ringPages * 2);
    const { gpadl, status } = this.describe(id, pages);
    if (status !== 0) throw new Error(`the GPADL has status ${status}`);
    const control = (pages[0] ?? 0) * PAGE;
    const size = (ringPages - 1) * PAGE;
    const channel = {
      id,
      offer,
      connection: offer.number('connection'),
      gpadl,
      out: new GuestRing(this.dma, control, size),
      in: new GuestRing(this.dma, control + ringPages * PAGE, size),
    };
    for (const ring of [channel.out, channel.in]) ring.word(RingControl.FEATURES, 1);
    const answer = this.ask('OPEN_CHANNEL', {
      channel: id,
      open_id: id,
      gpadl,
      vcpu,
      downstream_page: ringPages,
      user_data: new Uint8Array(120),
    });
    if (answer.number('status') !== 0) throw new Error(`the channel was not opened: ${this.bus.notes.latest}`);
    return channel;
  }

  /** Uses its memory anew. */
  startAgain(): void {
    this.nextPage = FIRST_PAGE;
    this.port = MESSAGE_CONNECTION_5;
  }

  /** All of the bring-up: connected, with the first device's channel open. */
  start(ringPages = 2): GuestChannel {
    this.contact();
    const [offer] = this.offers();
    if (offer === undefined) throw new Error('there is no device');
    return this.open(offer, ringPages);
  }
}

/** A range as a GPADL and a GPA direct packet have it. */
export function rangeBytes(bytes: number, offset: number, pages: readonly number[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(8 + pages.length * 8));
  view.setUint32(0, bytes, true);
  view.setUint32(4, offset, true);
  pages.forEach((page, index) => {
    view.setBigUint64(8 + index * 8, BigInt(page), true);
  });
  return new Uint8Array(view.buffer);
}

/** What stands between header and payload of a GPA direct packet with one range. */
export function directExtension(bytes: number, offset: number, pages: readonly number[]): Uint8Array {
  const range = rangeBytes(bytes, offset, pages);
  const extension = new Uint8Array(8 + range.length);
  extension[4] = 1;
  extension.set(range, 8);
  return extension;
}
