import { decodeCommand, type ScsiCommand } from '../../../devices/scsi/command.ts';
import type { ScsiAddress } from '../../../devices/scsi/controller.ts';
import { type Sense, senseBytes } from '../../../devices/scsi/sense.ts';
import * as A from '../abi/storvsp.ts';

/** A packet of the guest's storage driver. */
export interface StoragePacket {
  readonly operation: number;
  /** Bytes behind the header. */
  readonly body: DataView;
  /** Bytes of the packet that answers it. */
  readonly answerSize: number;
}

/** A SCSI request block of the guest. */
export interface StorageRequest {
  readonly address: ScsiAddress;
  readonly command: ScsiCommand;
  /** abi/storvsp.ts, Direction. */
  readonly direction: number;
  /** Bytes of data. */
  readonly length: number;
}

/** What is answered to a request block. */
export interface RequestResult {
  readonly srbStatus: number;
  readonly scsiStatus: number;
  readonly moved: number;
  readonly sense?: Sense;
}

/** Takes a packet apart; undefined for one that is too short. */
export function readPacket(payload: Uint8Array): StoragePacket | undefined {
  if (payload.length < A.Packet.BODY) return undefined;
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  return {
    operation: view.getUint32(A.Packet.OPERATION, true),
    body: new DataView(payload.buffer, payload.byteOffset + A.Packet.BODY, payload.byteLength - A.Packet.BODY),
    answerSize: payload.length < A.PACKET_SIZE ? A.OLD_PACKET_SIZE : A.PACKET_SIZE,
  };
}

/** A number of 16 bits at the begin of a packet's body; 0 where the packet ends before. */
export function firstWord({ body }: StoragePacket): number {
  return body.byteLength < 2 ? 0 : body.getUint16(0, true);
}

/** Takes a request block apart; undefined for one that is too short, or with a command that is too long. */
export function readRequest({ body }: StoragePacket): StorageRequest | undefined {
  if (body.byteLength < A.OLD_SRB_SIZE) return undefined;
  const byte = (place: number) => body.getUint8(place);
  const cdbLength = byte(A.Srb.CDB_LENGTH);
  if (cdbLength === 0 || cdbLength > A.CDB_SIZE) return undefined;
  return {
    address: { path: byte(A.Srb.PATH), target: byte(A.Srb.TARGET), lun: byte(A.Srb.LUN) },
    command: decodeCommand(new Uint8Array(body.buffer, body.byteOffset + A.Srb.CDB, cdbLength)),
    direction: byte(A.Srb.DATA_IN),
    length: body.getUint32(A.Srb.TRANSFER_LENGTH, true),
  };
}

/** A packet that answers one. `fill` writes what is behind its header. */
export function answerTo(
  { answerSize }: Pick<StoragePacket, 'answerSize'>,
  status: number,
  fill: (body: DataView) => void = () => {},
): Uint8Array {
  const bytes = new Uint8Array(answerSize);
  const view = new DataView(bytes.buffer);
  view.setUint32(A.Packet.OPERATION, A.Operation.COMPLETE_IO, true);
  view.setUint32(A.Packet.STATUS, status, true);
  fill(new DataView(bytes.buffer, A.Packet.BODY));
  return bytes;
}

/** Answers a request block: the same one, with how it ended. */
export function answerToRequest(packet: StoragePacket, { srbStatus, scsiStatus, moved, sense }: RequestResult): Uint8Array {
  return answerTo(packet, ntStatusOf(srbStatus), (body) => {
    const { answerSize, body: asked } = packet;
    for (let at = 0; at < A.Srb.CDB && at < asked.byteLength; at++) body.setUint8(at, asked.getUint8(at));
    body.setUint16(A.Srb.LENGTH, answerSize === A.PACKET_SIZE ? A.SRB_SIZE : A.OLD_SRB_SIZE, true);
    body.setUint8(A.Srb.SRB_STATUS, srbStatus | (sense ? A.AUTOSENSE_VALID : 0));
    body.setUint8(A.Srb.SCSI_STATUS, scsiStatus);
    body.setUint32(A.Srb.TRANSFER_LENGTH, moved, true);
    body.setUint8(A.Srb.SENSE_LENGTH, sense ? A.SENSE_ROOM : 0);
    if (sense) for (const [index, byte] of senseBytes(sense).entries()) body.setUint8(A.Srb.CDB + index, byte);
  });
}

function ntStatusOf(srbStatus: number): number {
  switch (srbStatus) {
    case A.SrbStatus.SUCCESS:
      return A.NtStatus.SUCCESS;
    case A.SrbStatus.INVALID_LUN:
      return A.NtStatus.DEVICE_DOES_NOT_EXIST;
    case A.SrbStatus.DATA_OVERRUN:
      return A.NtStatus.BUFFER_OVERFLOW;
    default:
      return A.NtStatus.IO_DEVICE_ERROR;
  }
}
