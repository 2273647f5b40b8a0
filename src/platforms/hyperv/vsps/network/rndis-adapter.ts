import { accepts, type ReceiveFilter } from '../../../../devices/ethernet/receive-filter.ts';
import { isGroupMac, readMac } from '../../../../network/packets/addresses.ts';
import { viewOf } from '../../../../network/packets/bytes.ts';
import { Oid, PacketFilter, RNDIS_COMPLETE, RNDIS_HEADER, RndisMessage, RndisStatus } from '../../abi/rndis.ts';
import { type AdapterFacts, knownOid, queryOid } from './oids.ts';
import { ALIGNMENT_FACTOR, PACKETS_PER_MESSAGE, part } from './rndis-packet.ts';
import { type ReceiveScaling, setScaling } from './rss.ts';

/** A request of the guest about its adapter. */
export interface ControlRequest {
  readonly type: number;
  /** The number that the answer has too. */
  readonly id: number;
  readonly oid: number | undefined;
  /** What is set, or asked with. */
  readonly value: Uint8Array;
}

/** How many bytes a guest may put into one packet, headers and all. */
export const LONGEST_TRANSFER = 0x2_0000;
const VERSION = 1;
const CONNECTIONLESS = 1;
const MAC_SIZE = 6;
const MOST_ADDRESSES = 32;
/** Bytes of messages, and where a query's answer begins. */
const Size = { REQUEST: 12, WITH_OID: 28, SET_COMPLETE: 16, QUERY_COMPLETE: 24 } as const;
const FILTERS = Object.values(PacketFilter).reduce((all, bit) => all | bit, 0);
/** The parameter by which a guest changes its address: text of 12 hexadecimal digits. */
const ADDRESS_PARAMETER = 'NetworkAddress';
const TEXT_PARAMETER = 2;

/** Reads a request; undefined where it isn't whole. */
export function readRequest(message: Uint8Array): ControlRequest | undefined {
  if (message.length < Size.REQUEST) return undefined;
  const view = viewOf(message);
  const field = (place: number) => view.getUint32(place, true);
  const [type, id] = [field(0), field(RNDIS_HEADER)];
  if (type !== RndisMessage.QUERY && type !== RndisMessage.SET) return { type, id, oid: undefined, value: new Uint8Array(0) };
  if (message.length < Size.WITH_OID) return undefined;
  const value = part(message, field(20), field(16));
  return value && { type, id, oid: field(12), value };
}

/** The network adapter as RNDIS shows it to the guest: what it says of itself, and what the guest sets. */
export class RndisAdapter {
  isInitialized = false;
  filter = 0;
  scaling: ReceiveScaling | undefined;
  /** Settings of offloads as the guest made them, for who looks. */
  offloads: Uint8Array | undefined;
  mac: number;
  private multicast: readonly number[] = [];
  private lookahead = 1500;

  /** `facts`: what the adapter is like just now. */
  constructor(
    private readonly permanentMac: number,
    private readonly facts: () => AdapterFacts,
  ) {
    this.mac = permanentMac;
  }

  /** Whether the guest wants frames at all. */
  get isOpen(): boolean {
    return this.isInitialized && this.filter !== 0;
  }

  /** Whether the guest wants a frame. */
  wants(frame: Uint8Array): boolean {
    return this.isOpen && accepts(this.receiveFilter, this.mac, frame);
  }

  private get receiveFilter(): ReceiveFilter {
    const has = (bits: number) => (this.filter & bits) !== 0;
    return {
      promiscuous: has(PacketFilter.PROMISCUOUS),
      allMulticast: has(PacketFilter.ALL_MULTICAST),
      allUnicast: false,
      noMulticast: !has(PacketFilter.MULTICAST | PacketFilter.ALL_MULTICAST),
      noUnicast: !has(PacketFilter.DIRECTED),
      noBroadcast: !has(PacketFilter.BROADCAST),
      unicast: [],
      multicast: this.multicast,
      vlans: undefined,
    };
  }

  /** Does what a request asks; the answer's message and status, or undefined where there is none. */
  answer(request: ControlRequest): { readonly message: Uint8Array; readonly status: number } | undefined {
    switch (request.type) {
      case RndisMessage.INITIALIZE:
        this.isInitialized = true;
        return this.initialized(request);
      case RndisMessage.HALT:
        this.halt();
        return undefined;
      case RndisMessage.QUERY:
        return this.query(request);
      case RndisMessage.SET: {
        const status = this.isInitialized ? this.set(request) : RndisStatus.FAILURE;
        return { message: complete(request, Size.SET_COMPLETE, request.id, status), status };
      }
      case RndisMessage.RESET: {
        this.forget();
        // The guest has to set its filter and its addresses again.
        const message = complete(request, Size.SET_COMPLETE, RndisStatus.SUCCESS, 1);
        return { message, status: RndisStatus.SUCCESS };
      }
      case RndisMessage.KEEPALIVE: {
        const status = this.isInitialized ? RndisStatus.SUCCESS : RndisStatus.FAILURE;
        return { message: complete(request, Size.SET_COMPLETE, request.id, status), status };
      }
      default:
        return undefined;
    }
  }

  private initialized(request: ControlRequest) {
    const status = RndisStatus.SUCCESS;
    const limits = [PACKETS_PER_MESSAGE, LONGEST_TRANSFER, ALIGNMENT_FACTOR, 0, 0];
    const fields = [request.id, status, VERSION, 0, CONNECTIONLESS, 0, ...limits];
    return { message: complete(request, RNDIS_HEADER + 4 * fields.length, ...fields), status };
  }

  private query(request: ControlRequest) {
    const { oid = 0, id } = request;
    const value = this.isInitialized ? queryOid(oid, this.facts(), this.settings) : undefined;
    const refusal = this.isInitialized ? RndisStatus.NOT_SUPPORTED : RndisStatus.FAILURE;
    const status = value ? RndisStatus.SUCCESS : refusal;
    const length = value?.length ?? 0;
    const offset = length === 0 ? 0 : Size.QUERY_COMPLETE - RNDIS_HEADER;
    const message = complete(request, Size.QUERY_COMPLETE + length, id, status, length, offset);
    if (value) message.set(value, Size.QUERY_COMPLETE);
    return { message, status };
  }

  private get settings() {
    const { mac, filter, lookahead, multicast, permanentMac } = this;
    return { mac, filter, lookahead, multicast, permanentMac };
  }

  private set({ oid = 0, value }: ControlRequest): number {
    const view = viewOf(value);
    switch (oid) {
      case Oid.GEN_CURRENT_PACKET_FILTER:
        if (value.length < 4) return RndisStatus.INVALID_LENGTH;
        if (view.getUint32(0, true) & ~FILTERS) return RndisStatus.NOT_SUPPORTED;
        this.filter = view.getUint32(0, true);
        return RndisStatus.SUCCESS;
      case Oid.GEN_CURRENT_LOOKAHEAD:
        if (value.length < 4) return RndisStatus.INVALID_LENGTH;
        this.lookahead = view.getUint32(0, true);
        return RndisStatus.SUCCESS;
      case Oid.ETHERNET_MULTICAST_LIST: {
        if (value.length % MAC_SIZE !== 0) return RndisStatus.INVALID_LENGTH;
        if (value.length > MOST_ADDRESSES * MAC_SIZE) return RndisStatus.MULTICAST_FULL;
        this.multicast = Array.from({ length: value.length / MAC_SIZE }, (_, index) => readMac(view, index * MAC_SIZE));
        return RndisStatus.SUCCESS;
      }
      case Oid.GEN_RECEIVE_SCALE_PARAMETERS: {
        const scaling = setScaling(this.scaling, value, this.facts().queues);
        if (scaling === 'invalid') return RndisStatus.INVALID_DATA;
        this.scaling = scaling;
        return RndisStatus.SUCCESS;
      }
      case Oid.TCP_OFFLOAD_PARAMETERS:
        this.offloads = value.slice(0, 64);
        return RndisStatus.SUCCESS;
      case Oid.GEN_RNDIS_CONFIG_PARAMETER:
        return this.setParameter(value);
      case Oid.OFFLOAD_ENCAPSULATION:
      case Oid.GEN_PROTOCOL_OPTIONS:
      case Oid.GEN_NETWORK_LAYER_ADDRESSES:
        // Hints that this adapter has no use for.
        return RndisStatus.SUCCESS;
      default:
        return knownOid(oid) ? RndisStatus.INVALID_DATA : RndisStatus.NOT_SUPPORTED;
    }
  }

  /** A parameter by its name: {offset and length of the name, type, offset and length of the value}, texts in UTF-16. */
  private setParameter(bytes: Uint8Array): number {
    if (bytes.length < 20) return RndisStatus.INVALID_LENGTH;
    const view = viewOf(bytes);
    const text = (place: number) => utf16(bytes, view.getUint32(place, true), view.getUint32(place + 4, true));
    if (text(0) !== ADDRESS_PARAMETER) return RndisStatus.NOT_SUPPORTED;
    const digits = text(12);
    if (view.getUint32(8, true) !== TEXT_PARAMETER || !/^[\da-f]{12}$/i.test(digits)) return RndisStatus.INVALID_DATA;
    const address = Uint8Array.from(digits.match(/../g) ?? [], (digit) => Number.parseInt(digit, 16));
    const mac = readMac(viewOf(address), 0);
    if (mac === 0 || isGroupMac(mac)) return RndisStatus.INVALID_DATA;
    this.mac = mac;
    return RndisStatus.SUCCESS;
  }

  /** The guest needs the adapter no more. */
  private halt(): void {
    this.isInitialized = false;
    this.forget();
  }

  private forget(): void {
    this.filter = 0;
    this.multicast = [];
    this.scaling = undefined;
    this.offloads = undefined;
  }
}

/** Text in UTF-16 without the zero that may end it; empty where it is outside of the bytes. */
function utf16(bytes: Uint8Array, offset: number, length: number): string {
  if (offset + length > bytes.length || length > 256) return '';
  return new TextDecoder('utf-16le').decode(bytes.subarray(offset, offset + length)).replace(/\0+$/, '');
}

/** An answer of a size, with its first fields. */
function complete({ type }: ControlRequest, size: number, ...fields: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  [(RNDIS_COMPLETE | type) >>> 0, size, ...fields].forEach((value, index) => {
    view.setUint32(4 * index, value, true);
  });
  return bytes;
}

/** The message that tells the guest that its cable was plugged in or pulled out. */
export function linkMessage(isUp: boolean): Uint8Array {
  const bytes = new Uint8Array(RNDIS_HEADER + 12);
  const view = new DataView(bytes.buffer);
  const status = isUp ? RndisStatus.MEDIA_CONNECT : RndisStatus.MEDIA_DISCONNECT;
  [RndisMessage.INDICATE_STATUS, bytes.length, status].forEach((value, index) => {
    view.setUint32(4 * index, value, true);
  });
  return bytes;
}
