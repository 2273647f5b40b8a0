import { withHeader } from './packets/bytes.ts';

/** The format of capture files that tcpdump and Wireshark read (draft-ietf-opsawg-pcap), with times in nanoseconds. */
const MAGIC = 0xa1b2_3c4d;
const FILE_HEADER = 24;
const RECORD_HEADER = 16;
const LONGEST_FRAME = 0x4_0000;
const ETHERNET = 1;
const NANOSECONDS = 1_000_000_000n;

/** What a capture file begins with. */
export function pcapHeader(): Uint8Array {
  const { bytes, view } = withHeader(FILE_HEADER, new Uint8Array(0));
  view.setUint32(0, MAGIC, true);
  view.setUint16(4, 2, true);
  view.setUint16(6, 4, true);
  view.setUint32(16, LONGEST_FRAME, true);
  view.setUint32(20, ETHERNET, true);
  return bytes;
}

/** A frame at a guest time in ticks, of a guest that was switched on at `startSeconds` after 1970. */
export function pcapRecord(startSeconds: bigint, ticks: bigint, frame: Uint8Array): Uint8Array {
  const { bytes, view } = withHeader(RECORD_HEADER, frame);
  view.setUint32(0, Number(BigInt.asUintN(32, startSeconds + ticks / NANOSECONDS)), true);
  view.setUint32(4, Number(ticks % NANOSECONDS), true);
  view.setUint32(8, frame.length, true);
  view.setUint32(12, frame.length, true);
  return bytes;
}
