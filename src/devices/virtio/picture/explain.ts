import { hex } from '../../../x86/address.ts';
import type { DmaMemory } from '../../dma.ts';
import { DeviceId } from '../abi.ts';
import { HEADER_SIZE, REQUEST_NAMES } from '../block/registers.ts';
import { OUTCOME_NAMES } from '../block/request.ts';
import { ERROR_ANSWER, HEADER_SIZE as MESSAGE_HEADER, Request as P9Request } from '../p9/protocol.ts';
import { ChainPart } from '../queue/chain.ts';
import { DescriptorFlag } from '../queue/descriptor.ts';
import { Operation, HEADER_SIZE as PACKET_HEADER } from '../vsock/registers.ts';
import { type ChainPicture, orProblem } from './chain-picture.ts';

/** What a buffer says, in the words of its device: name and value of each field. */
export type Explanation = readonly (readonly [name: string, value: string])[];

/** The memory of a chain, as far as its links lead: what the device reads, and what it writes. */
interface ChainMemory {
  readonly state: ChainPicture['state'];
  readonly readable: ChainPart;
  readonly writable: ChainPart;
}

/** The header of a network frame (virtio 1.2, 5.1.6), as VERSION_1 has it, and that of Ethernet behind it. */
const NETWORK_HEADER = 12;
const ETHERNET_HEADER = 14;
/** Bytes of text that are shown. */
const MOST_TEXT = 80;

const EXPLAINERS: Readonly<Record<number, (memory: ChainMemory) => Explanation>> = {
  [DeviceId.BLOCK]: explainBlock,
  [DeviceId.CONSOLE]: explainText,
  [DeviceId.NETWORK]: explainFrame,
  [DeviceId.VSOCK]: explainPacket,
  [DeviceId.P9]: explainMessage,
};

/** Says what is in a buffer of a device of this kind; nothing for kinds that have no headers, or where it can't be read. */
export function explainChain(dma: DmaMemory, device: number, { state, links }: ChainPicture): Explanation {
  const explain = EXPLAINERS[device];
  if (explain === undefined) return [];
  const part = (isWritable: boolean) =>
    new ChainPart(
      dma,
      links.filter(({ flags, problem }) => {
        const isBuffer = problem === undefined && (flags & DescriptorFlag.INDIRECT) === 0;
        return isBuffer && ((flags & DescriptorFlag.WRITE) !== 0) === isWritable;
      }),
    );
  return orProblem(
    () => explain({ state, readable: part(false), writable: part(true) }),
    () => [],
  );
}

/** The header of a disk's request and its status (virtio 1.2, 5.2.6). */
function explainBlock({ state, readable, writable }: ChainMemory): Explanation {
  const view = viewOf(readable.read(0, HEADER_SIZE));
  if (view.byteLength < HEADER_SIZE) return [];
  const type = view.getUint32(0, true);
  const data = Math.max(readable.length - HEADER_SIZE, writable.length - 1, 0);
  const outcome = state === 'used' ? writable.read(writable.length - 1, 1)[0] : undefined;
  return [
    ['type', REQUEST_NAMES[type] ?? `unknown ${type}`],
    ['sector', hex(view.getBigUint64(8, true))],
    ['data', `${data} bytes`],
    ...(outcome === undefined ? [] : [['status', OUTCOME_NAMES[outcome] ?? `unknown ${outcome}`] as const]),
  ];
}

function explainText({ state, readable, writable }: ChainMemory): Explanation {
  const bytes = readable.length > 0 || state !== 'used' ? readable.read(0, MOST_TEXT) : writable.read(0, MOST_TEXT);
  return bytes.length === 0 ? [] : [['text', JSON.stringify(new TextDecoder().decode(bytes))]];
}

function explainFrame({ state, readable, writable }: ChainMemory): Explanation {
  const part = readable.length > 0 ? readable : writable;
  if (part === writable && state !== 'used') return [['room', `${writable.length} bytes`]];
  const view = viewOf(part.read(0, NETWORK_HEADER + ETHERNET_HEADER));
  if (view.byteLength < NETWORK_HEADER + ETHERNET_HEADER) return [];
  const address = (at: number) =>
    Array.from({ length: 6 }, (_, index) =>
      view
        .getUint8(NETWORK_HEADER + at + index)
        .toString(16)
        .padStart(2, '0'),
    ).join(':');
  return [
    ['flags', hex(view.getUint8(0), 2)],
    ['gso', view.getUint8(1) === 0 ? 'none' : `type ${view.getUint8(1)}, ${view.getUint16(4, true)} bytes each`],
    ['buffers', String(view.getUint16(10, true))],
    ['from', address(6)],
    ['to', address(0)],
    ['protocol', hex(view.getUint16(NETWORK_HEADER + 12), 4)],
  ];
}

/** The header of a socket's packet (virtio 1.2, 5.10.6). */
function explainPacket({ state, readable, writable }: ChainMemory): Explanation {
  const part = readable.length > 0 ? readable : writable;
  if (part === writable && state !== 'used') return [['room', `${writable.length} bytes`]];
  const view = viewOf(part.read(0, PACKET_HEADER));
  // The queue of events has shorter ones.
  if (view.byteLength < PACKET_HEADER) return [];
  return [
    ['operation', nameOf(Operation, view.getUint16(30, true))],
    ['from', `${view.getBigUint64(0, true)}:${view.getUint32(16, true)}`],
    ['to', `${view.getBigUint64(8, true)}:${view.getUint32(20, true)}`],
    ['data', `${view.getUint32(24, true)} bytes`],
  ];
}

/** A request of 9P2000.L, and the number of its answer. */
function explainMessage({ state, readable, writable }: ChainMemory): Explanation {
  const view = viewOf(readable.read(0, MESSAGE_HEADER));
  if (view.byteLength < MESSAGE_HEADER) return [];
  const type = view.getUint8(4);
  const answer = state === 'used' ? writable.read(4, 1)[0] : undefined;
  const outcome = answer === type + 1 ? 'done' : answer === ERROR_ANSWER ? 'error' : `type ${answer}`;
  return [
    ['request', nameOf(P9Request, type)],
    ['tag', String(view.getUint16(5, true))],
    ['size', `${view.getUint32(0, true)} bytes`],
    ...(answer === undefined ? [] : [['answer', outcome] as const]),
  ];
}

function nameOf(numbers: Readonly<Record<string, number>>, wanted: number): string {
  return Object.entries(numbers).find(([, number]) => number === wanted)?.[0] ?? `unknown ${wanted}`;
}

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}
