import type { TransmitWishes } from '../../ethernet/offload.ts';
import type { DescriptorChain } from '../queue/chain.ts';
import { QueueError } from '../queue/queue-error.ts';
import { Gso, HEADER_SIZE, Header, HeaderFlag } from './registers.ts';

/** The header that a driver puts before a frame (virtio 1.2, 5.1.6.2), as far as it says what is to be done. */
export interface TransmitHeader {
  readonly checksum: TransmitWishes['checksum'];
  readonly gsoType: number;
  readonly gsoSize: number;
}

/** Reads the header of a frame to send. Throws QueueError for a chain without room for one. */
export function readTransmitHeader({ readable }: DescriptorChain): TransmitHeader {
  if (readable.length < HEADER_SIZE)
    throw new QueueError(`a frame to send has ${readable.length} bytes, but its header has ${HEADER_SIZE}`);
  const bytes = readable.read(0, HEADER_SIZE);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const wants = (view.getUint8(Header.FLAGS) & HeaderFlag.NEEDS_CHECKSUM) !== 0;
  return {
    checksum: wants
      ? { start: view.getUint16(Header.CHECKSUM_START, true), offset: view.getUint16(Header.CHECKSUM_OFFSET, true) }
      : undefined,
    gsoType: view.getUint8(Header.GSO_TYPE),
    gsoSize: view.getUint16(Header.GSO_SIZE, true),
  };
}

/** What a header asks a card to do; undefined for what makes no sense. */
export function wishesOf({ checksum, gsoType, gsoSize }: TransmitHeader): TransmitWishes | undefined {
  if (gsoType === Gso.NONE) return { checksum, segmentSize: undefined };
  return gsoType === Gso.TCPV4 && checksum ? { checksum, segmentSize: gsoSize } : undefined;
}
