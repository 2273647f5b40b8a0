import { commandName } from '../../../devices/scsi/abi.ts';
import { hex } from '../../../x86/address.ts';
import { decodeIc, IcFlag, IcMessage, versionText } from '../abi/integration.ts';
import { INTEGRATION_INTERFACES, SCSI_INTERFACE } from '../abi/interfaces.ts';
import { NT_STATUS_NAMES, NtStatus } from '../abi/nt-status.ts';
import { NETWORK_INTERFACE, NvspMessage, nvspMessageName, RndisChannel } from '../abi/nvsp.ts';
import { PacketType } from '../abi/ring.ts';
import { CDB_SIZE, OPERATION_NAMES, Operation, Packet, SRB_STATUS_NAMES, Srb } from '../abi/storvsp.ts';
import {
  readInterruptWish,
  readVpci,
  slotText,
  VPCI_INTERFACE,
  VpciMessage,
  vpciMessageName,
  vpciVersionName,
} from '../abi/vpci.ts';
import { readRanges } from './guest-pages.ts';
import type { PacketPicture } from './picture.ts';

/** What a packet says, as names and values for who looks at it. */
export type Explanation = readonly (readonly [name: string, value: string])[];

/** A packet of a device with an interface: what its ranges are, and what its protocol says. */
export function explainPacket(interfaceId: string, packet: PacketPicture): Explanation {
  return [...explainRanges(packet), ...explainPayload(interfaceId, packet)];
}

function explainRanges({ type, extension }: PacketPicture): Explanation {
  if (extension.length < 8) return [];
  const view = viewOf(extension);
  const count = view.getUint32(4, true);
  if (type === PacketType.DATA_TRANSFER_PAGES) {
    const known = Math.min(count, (extension.length - 8) >> 3);
    const ranges = Array.from({ length: known }, (_, index) => {
      const at = 8 + index * 8;
      return `${view.getUint32(at, true)} bytes at ${hex(view.getUint32(at + 4, true))}`;
    });
    return [
      ['buffer', hex(view.getUint16(0, true))],
      ['data', ranges.join(', ')],
    ];
  }
  if (type !== PacketType.DATA_GPA_DIRECT) return [];
  const ranges = readRanges(extension.subarray(8), count);
  if (typeof ranges === 'string') return [['data', ranges]];
  const bytes = ranges.reduce((sum, { length }) => sum + length, 0);
  const [first] = ranges;
  const start = first?.pages[0];
  const place = start === undefined || first === undefined ? '' : ` from ${hex((start << 12n) + BigInt(first.offset))}`;
  return [['data', `${bytes} bytes${place}${ranges.length > 1 ? ` in ${ranges.length} ranges` : ''}`]];
}

function explainPayload(interfaceId: string, { type, payload }: PacketPicture): Explanation {
  if (payload.length < 4) return [];
  if (interfaceId === VPCI_INTERFACE) return type === PacketType.COMPLETION ? explainVpciAnswer(payload) : explainVpci(payload);
  if (interfaceId === NETWORK_INTERFACE) return explainNetwork(payload);
  if (interfaceId === SCSI_INTERFACE) return explainStorage(payload);
  if (INTEGRATION_INTERFACES.has(interfaceId)) return explainIntegration(payload);
  return [];
}

function explainNetwork(payload: Uint8Array): Explanation {
  const view = viewOf(payload);
  const type = view.getUint32(0, true);
  const name = ['message', nvspMessageName(type)] as const;
  if (payload.length < 16) return [name];
  const word = (at: number) => view.getUint32(at, true);
  switch (type) {
    case NvspMessage.INIT:
      return [name, ['version', `${view.getUint16(6, true)}.${view.getUint16(4, true)}`]];
    case NvspMessage.SEND_RECEIVE_BUFFER:
    case NvspMessage.SEND_SEND_BUFFER:
      return [name, ['gpadl', hex(word(4))]];
    case NvspMessage.SEND_RNDIS_PACKET:
      return [
        name,
        ['channel', word(4) === RndisChannel.DATA ? 'data' : 'control'],
        ['section', word(8) === 0xffff_ffff ? 'none' : `${word(8)}, ${word(12)} bytes`],
      ];
    default:
      return [name];
  }
}

function explainStorage(payload: Uint8Array): Explanation {
  if (payload.length < Packet.BODY) return [];
  const view = viewOf(payload);
  const operation = view.getUint32(Packet.OPERATION, true);
  const status = view.getUint32(Packet.STATUS, true);
  const name = ['operation', OPERATION_NAMES[operation] ?? String(operation)] as const;
  const body = payload.subarray(Packet.BODY);
  if (operation === Operation.EXECUTE_SRB && body.length >= Srb.CDB + CDB_SIZE) {
    const [lun = 0, length = 0] = [body[Srb.LUN], body[Srb.CDB_LENGTH]];
    const cdb = body.subarray(Srb.CDB, Srb.CDB + Math.min(length, CDB_SIZE));
    const bytes = viewOf(body).getUint32(Srb.TRANSFER_LENGTH, true);
    return [name, ['command', commandName(cdb)], ['lun', String(lun)], ['transfer', `${bytes} bytes`]];
  }
  if (operation !== Operation.COMPLETE_IO) return [name];
  const srbStatus = body[Srb.SRB_STATUS] ?? 0;
  const srb = srbStatus === 0 ? [] : [['SRB status', SRB_STATUS_NAMES[srbStatus & 0x3f] ?? hex(srbStatus)] as const];
  return [name, ['status', NT_STATUS_NAMES[status] ?? hex(status)], ...srb];
}

const IC_NAMES: ReadonlyMap<number, string> = new Map(Object.entries(IcMessage).map(([name, type]) => [type, name]));

function explainIntegration(payload: Uint8Array): Explanation {
  const message = decodeIc(payload);
  if (message === undefined) return [];
  const { type, flags, status, transaction } = message;
  return [
    ['message', IC_NAMES.get(type) ?? `message ${type}`],
    ['version', versionText(message.message)],
    ['kind', (flags & IcFlag.RESPONSE) !== 0 ? 'response' : 'request'],
    ['number', String(transaction)],
    ...(status === 0 ? [] : [['status', hex(status)] as const]),
  ];
}

/** Bytes of the answer that has an interrupt's message: no other one is as long, with the bytes that fill it up. */
const INTERRUPT_ANSWER = 24;

function explainVpciAnswer(payload: Uint8Array): Explanation {
  const view = viewOf(payload);
  const status = view.getUint32(0, true);
  const name = ['status', NT_STATUS_NAMES[status] ?? hex(status)] as const;
  if (status !== NtStatus.SUCCESS || payload.length !== INTERRUPT_ANSWER) return [name];
  return [name, ['interrupt', `${hex(view.getUint32(12, true))} to ${hex(view.getBigUint64(16, true))}`]];
}

function explainVpci(payload: Uint8Array): Explanation {
  const request = readVpci(payload);
  if (request === undefined) return [];
  const { type, body } = request;
  const name = ['message', vpciMessageName(type)] as const;
  switch (type) {
    case VpciMessage.QUERY_PROTOCOL_VERSION:
      return body.byteLength < 4 ? [name] : [name, ['version', vpciVersionName(body.getUint32(0, true))]];
    case VpciMessage.BUS_D0ENTRY:
      return body.byteLength < 12 ? [name] : [name, ['configuration space', hex(body.getBigUint64(4, true))]];
    case VpciMessage.BUS_RELATIONS:
    case VpciMessage.BUS_RELATIONS2:
      return body.byteLength < 4 ? [name] : [name, ['functions', String(body.getUint32(0, true))]];
    case VpciMessage.QUERY_BUS_RELATIONS:
    case VpciMessage.BUS_D0EXIT:
      return [name];
    case VpciMessage.DELETE_INTERRUPT_MESSAGE:
      if (body.byteLength < 20) return [name];
      return [name, ['interrupt', `${hex(body.getUint32(8, true))} to ${hex(body.getBigUint64(12, true))}`]];
    case VpciMessage.CREATE_INTERRUPT_MESSAGE:
    case VpciMessage.CREATE_INTERRUPT_MESSAGE2:
    case VpciMessage.CREATE_INTERRUPT_MESSAGE3: {
      const wish = readInterruptWish(request);
      if (wish === undefined) return [name];
      const { slot, vector, vps } = wish;
      return [name, ['slot', slotText(slot)], ['vector', hex(vector)], ['vCPUs', vps.join(', ') || 'none']];
    }
    default:
      return body.byteLength < 4 ? [name] : [name, ['slot', slotText(body.getUint32(0, true))]];
  }
}

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}
