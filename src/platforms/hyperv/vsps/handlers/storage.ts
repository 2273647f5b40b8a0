import { STATUS_NAMES } from '../../../../devices/scsi/abi.ts';
import { senseText } from '../../../../devices/scsi/sense.ts';
import { type Handler, inFrame, stage } from '../../../../stages/stage.ts';
import { hex } from '../../../../x86/address.ts';
import { PacketType } from '../../abi/ring.ts';
import * as A from '../../abi/storvsp.ts';
import { parentFrame } from '../../hyperv.ts';
import type { GuestPacket, HostPacket, VspChannel } from '../../vmbus/vsp.ts';
import {
  answerTo,
  answerToRequest,
  type RequestResult,
  readPacket,
  readRequest,
  type StoragePacket,
  type StorageRequest,
} from '../storage-packet.ts';

/** The storage service as its packets are served. */
export interface StorageWork {
  /** How far the guest's driver has come. */
  readonly phaseName: string;
  readonly isReady: boolean;
  /** Takes what is no request block; gives the answer. */
  control(channel: VspChannel, packet: StoragePacket): Uint8Array;
  /** Has a request block's command executed. */
  execute(request: StorageRequest, packet: GuestPacket): RequestResult;
  count(result: RequestResult): void;
  /** Whether answers wait for room in the ring. */
  isBehind(channel: VspChannel): boolean;
  /** Has an answer wait for room. */
  keep(channel: VspChannel, packet: HostPacket): void;
}

/** Takes a packet of the guest's storage driver. */
export function* receiveStorage(storage: StorageWork, channel: VspChannel, packet: GuestPacket): Handler {
  const read = readPacket(packet.payload);
  if (read === undefined) {
    yield stage('storvsp.too-short', { bytes: packet.payload.length });
    const short = answerTo({ answerSize: A.OLD_PACKET_SIZE }, A.NtStatus.INVALID_PARAMETER);
    yield* complete(storage, channel, packet, short);
    return;
  }
  const request = read.operation === A.Operation.EXECUTE_SRB ? readRequest(read) : undefined;
  yield* inFrame(
    parentFrame('storvsp.sys', `storvsp: ${frameName(read, request)}`),
    serve(storage, channel, packet, read, request),
  );
}

/** `EXECUTE_SRB READ(10)`. */
function frameName({ operation }: StoragePacket, request: StorageRequest | undefined): string {
  const name = A.OPERATION_NAMES[operation] ?? `operation ${operation}`;
  return request ? `${name} ${request.command.name}` : name;
}

function* serve(
  storage: StorageWork,
  channel: VspChannel,
  packet: GuestPacket,
  read: StoragePacket,
  request: StorageRequest | undefined,
): Handler {
  yield stage('storvsp.packet', {
    operation: A.OPERATION_NAMES[read.operation] ?? read.operation,
    transactionId: packet.transactionId,
    channel: channel.id,
    subchannel: channel.subchannelIndex,
    phase: storage.phaseName,
  });
  if (read.operation !== A.Operation.EXECUTE_SRB) {
    const answer = storage.control(channel, read);
    yield stage('storvsp.control', { status: statusName(answer), phase: storage.phaseName });
    yield* complete(storage, channel, packet, answer);
    return;
  }
  if (!storage.isReady) {
    yield stage('storvsp.not-ready', { phase: storage.phaseName });
    yield* complete(storage, channel, packet, answerTo(read, A.NtStatus.INVALID_DEVICE_STATE));
    return;
  }
  if (request === undefined) {
    yield stage('storvsp.bad-request', { bytes: read.body.byteLength });
    const result = { srbStatus: A.SrbStatus.INVALID_REQUEST, scsiStatus: 0, moved: 0 };
    storage.count(result);
    yield* complete(storage, channel, packet, answerToRequest(read, result));
    return;
  }
  const result = yield* executeCommand(storage, packet, request);
  yield* complete(storage, channel, packet, answerToRequest(read, result));
}

/** The command of a request block: on which blocks, with how many bytes, and how it ended. */
function* executeCommand(storage: StorageWork, packet: GuestPacket, request: StorageRequest): Handler<RequestResult> {
  const { command, address, direction, length } = request;
  yield stage('storvsp.srb', {
    command: command.name,
    path: address.path,
    target: address.target,
    lun: address.lun,
    lba: command.lba,
    blocks: command.blocks,
    bytes: length,
    direction: A.DIRECTION_NAMES[direction] ?? direction,
    buffer: packet.buffer?.length ?? 0,
  });
  const result = storage.execute(request, packet);
  storage.count(result);
  yield stage('storvsp.result', {
    srbStatus: A.SRB_STATUS_NAMES[result.srbStatus] ?? result.srbStatus,
    scsiStatus: STATUS_NAMES[result.scsiStatus] ?? result.scsiStatus,
    bytes: result.moved,
    sense: result.sense ? senseText(result.sense) : 'none',
  });
  return result;
}

/** `SUCCESS`. */
function statusName(answer: Uint8Array): string {
  const status = new DataView(answer.buffer, answer.byteOffset).getUint32(A.Packet.STATUS, true);
  return A.NT_STATUS_NAMES[status] ?? hex(status, 8);
}

/** Answers a packet, where its sender wants that; the answer waits where the ring is full, and behind others that wait. */
function* complete(storage: StorageWork, channel: VspChannel, packet: GuestPacket, payload: Uint8Array): Handler {
  if (!packet.wantsCompletion) return;
  const answer = { type: PacketType.COMPLETION, transactionId: packet.transactionId, payload };
  yield stage('storvsp.complete', { status: statusName(payload), transactionId: packet.transactionId });
  if (storage.isBehind(channel)) {
    storage.keep(channel, answer);
    return;
  }
  const isSent = yield* channel.sendInStages(answer);
  if (!isSent) storage.keep(channel, answer);
}
