import { viewOf } from '../../../../network/packets/bytes.ts';
import {
  DataPath,
  NVSP_VERSIONS,
  NvspMessage,
  NvspStatus,
  NvspVersion,
  nvspMessage,
  RECEIVE_BUFFER_ID,
  SEND_BUFFER_ID,
  SEND_TABLE_SIZE,
  SUBCHANNEL_ALLOCATE,
} from '../../abi/nvsp.ts';
import type { GuestBuffer } from '../../vmbus/vsp.ts';
import { RECEIVE_SECTION, ReceiveBuffer, SEND_SECTION, SendBuffer } from './receive-buffer.ts';

/** An NVSP message of the guest. Fields that it is too short for are undefined. */
export interface NvspRequest {
  readonly type: number;
  readonly fields: readonly (number | undefined)[];
}

/** What comes of a message: the payload of the completion, and the status in it. */
export interface NvspAnswer {
  readonly payload: Uint8Array;
  readonly status: number;
  /** Subchannels that the guest may open from now on. */
  readonly subchannels?: number;
}

/** Longest chain of descriptors of memory that a packet may have. */
const LONGEST_MDL_CHAIN = 34;
/** Fields of a message that are read. */
const FIELDS = 4;
const NO_PAYLOAD: NvspAnswer = { payload: new Uint8Array(0), status: NvspStatus.SUCCESS };

/** Reads a message; undefined for what has no type. */
export function readNvsp(payload: Uint8Array): NvspRequest | undefined {
  if (payload.length < 4) return undefined;
  const view = viewOf(payload);
  const fields = Array.from({ length: FIELDS }, (_, index) =>
    8 + 4 * index <= payload.length ? view.getUint32(4 + 4 * index, true) : undefined,
  );
  return { type: view.getUint32(0, true), fields };
}

/** What netvsc and its VSP agreed on since the guest opened the channel. */
export class NvspSession {
  version: number | undefined;
  /** Of NDIS 6. */
  ndisMinor = 0;
  /** Bits of NdisCapability that the guest told. */
  capabilities = 0;
  receiveBuffer: ReceiveBuffer | undefined;
  sendBuffer: SendBuffer | undefined;
  isDataPathSwitched = false;

  /** `queues`: channels that the guest may have. */
  constructor(
    private readonly queues: number,
    private readonly gpadl: (id: number) => GuestBuffer | undefined,
  ) {}

  /** Follows a message that has to do with the protocol itself. */
  answer({ type, fields }: NvspRequest): NvspAnswer {
    if (type === NvspMessage.INIT) return this.initialize(fields);
    if (this.version === undefined) return this.refuse(type);
    switch (type) {
      case NvspMessage.SEND_NDIS_VERSION:
        this.ndisMinor = fields[1] ?? 0;
        return NO_PAYLOAD;
      case NvspMessage.SEND_NDIS_CONFIG:
        if (this.version < NvspVersion.V2) return this.refuse(type);
        this.capabilities = fields[2] ?? 0;
        return NO_PAYLOAD;
      case NvspMessage.SEND_RECEIVE_BUFFER:
        return this.takeReceiveBuffer(fields);
      case NvspMessage.REVOKE_RECEIVE_BUFFER:
        if (!isNumbered(fields[0], RECEIVE_BUFFER_ID)) return this.refuse(type);
        this.receiveBuffer = undefined;
        return NO_PAYLOAD;
      case NvspMessage.SEND_SEND_BUFFER:
        return this.takeSendBuffer(fields);
      case NvspMessage.REVOKE_SEND_BUFFER:
        if (!isNumbered(fields[0], SEND_BUFFER_ID)) return this.refuse(type);
        this.sendBuffer = undefined;
        return NO_PAYLOAD;
      case NvspMessage.SWITCH_DATA_PATH:
        // There is no card that the guest could switch to.
        this.isDataPathSwitched = fields[0] === DataPath.VF;
        return NO_PAYLOAD;
      case NvspMessage.SUBCHANNEL:
        return this.allocate(fields);
      default:
        return this.refuse(type);
    }
  }

  /** The newest version that both know (the guest names the oldest and the newest that it knows). */
  private initialize([oldest, newest]: NvspRequest['fields']): NvspAnswer {
    const common = NVSP_VERSIONS.filter((version) => version >= (oldest ?? Infinity) && version <= (newest ?? 0));
    const found = this.version === undefined ? common.at(-1) : undefined;
    const status = found === undefined ? NvspStatus.FAILURE : NvspStatus.SUCCESS;
    this.version ??= found;
    // The version that was agreed on isn't told: the guest knows which one it asked for.
    return { payload: nvspMessage(NvspVersion.V1, NvspMessage.INIT_COMPLETE, 0, LONGEST_MDL_CHAIN, status), status };
  }

  private takeReceiveBuffer([gpadl, id]: NvspRequest['fields']): NvspAnswer {
    const memory =
      gpadl !== undefined && isNumbered(id, RECEIVE_BUFFER_ID) && !this.receiveBuffer ? this.gpadl(gpadl) : undefined;
    const buffer = memory && ReceiveBuffer.of(memory);
    this.receiveBuffer ??= buffer;
    const status = buffer ? NvspStatus.SUCCESS : NvspStatus.FAILURE;
    const section = buffer ? [1, 0, RECEIVE_SECTION, buffer.count, buffer.count * RECEIVE_SECTION] : [];
    return this.message(NvspMessage.SEND_RECEIVE_BUFFER_COMPLETE, status, ...section);
  }

  private takeSendBuffer([gpadl, id]: NvspRequest['fields']): NvspAnswer {
    const memory = gpadl !== undefined && isNumbered(id, SEND_BUFFER_ID) && !this.sendBuffer ? this.gpadl(gpadl) : undefined;
    const isUsable = memory !== undefined && memory.length >= SEND_SECTION;
    if (memory && isUsable) this.sendBuffer = new SendBuffer(memory);
    const status = isUsable ? NvspStatus.SUCCESS : NvspStatus.FAILURE;
    return this.message(NvspMessage.SEND_SEND_BUFFER_COMPLETE, status, isUsable ? SEND_SECTION : 0);
  }

  private allocate([operation, wanted = 0]: NvspRequest['fields']): NvspAnswer {
    const isAllowed = (this.version ?? 0) >= NvspVersion.V5 && operation === SUBCHANNEL_ALLOCATE && wanted > 0 && this.queues > 1;
    const subchannels = isAllowed ? Math.min(wanted, this.queues - 1) : 0;
    const status = isAllowed ? NvspStatus.SUCCESS : NvspStatus.FAILURE;
    return { ...this.message(NvspMessage.SUBCHANNEL, status, subchannels), subchannels };
  }

  /** The table that tells the guest on which of its channels to send what. */
  sendTable(channels: number): Uint8Array {
    const version = this.version ?? NvspVersion.V5;
    const header = nvspMessage(version, NvspMessage.SEND_INDIRECTION_TABLE, SEND_TABLE_SIZE);
    const bytes = new Uint8Array(header.length + 4 * SEND_TABLE_SIZE);
    bytes.set(header);
    const view = viewOf(bytes);
    // The table lies behind the message.
    view.setUint32(8, header.length, true);
    for (let index = 0; index < SEND_TABLE_SIZE; index++) view.setUint32(header.length + 4 * index, index % channels, true);
    return bytes;
  }

  /** A message of the agreed version whose first field is a status. */
  message(type: number, status: number, ...fields: readonly number[]): NvspAnswer {
    return { payload: nvspMessage(this.version ?? NvspVersion.V1, type, status, ...fields), status };
  }

  private refuse(type: number): NvspAnswer {
    const answerType = type === NvspMessage.OID_QUERY_EX ? NvspMessage.OID_QUERY_EX_COMPLETE : type;
    return this.message(answerType, NvspStatus.FAILURE);
  }
}

/** Whether a field has a 16-bit number; what is in its upper half means nothing. */
function isNumbered(field: number | undefined, id: number): boolean {
  return field !== undefined && (field & 0xffff) === id;
}
