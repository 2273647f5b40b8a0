import { foldChecksum, pseudoHeaderSum, wordSum } from '../../devices/checksum.ts';
import { viewOf, withHeader } from './bytes.ts';
import { Protocol } from './ipv4.ts';
import type { IpPair } from './udp.ts';

export const TcpFlag = { FIN: 1, SYN: 2, RST: 4, PSH: 8, ACK: 16 } as const;

const HEADER = 20;
const MSS_OPTION = 4;
/** Kinds of options (RFC 9293, 3.2). */
const Option = { END: 0, NOTHING: 1, MSS: 2 } as const;

/** A TCP segment (RFC 9293, 3.1). */
export interface TcpSegment {
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** 32-bit numbers, which wrap. */
  readonly sequence: number;
  readonly acknowledgment: number;
  readonly flags: number;
  readonly window: number;
  /** Largest segment that its sender takes, where it says so. */
  readonly mss?: number;
  readonly payload: Uint8Array;
}

/** Undefined for bytes that are none, or whose checksum is wrong. */
export function parseTcp(bytes: Uint8Array, { source, destination }: IpPair): TcpSegment | undefined {
  if (bytes.length < HEADER) return undefined;
  const view = viewOf(bytes);
  const header = (view.getUint8(12) >> 4) * 4;
  if (header < HEADER || header > bytes.length) return undefined;
  if (foldChecksum(wordSum(bytes, pseudoHeaderSum(source, destination, Protocol.TCP, bytes.length))) !== 0) return undefined;
  return {
    sourcePort: view.getUint16(0),
    destinationPort: view.getUint16(2),
    sequence: view.getUint32(4),
    acknowledgment: view.getUint32(8),
    flags: view.getUint8(13),
    window: view.getUint16(14),
    mss: mssOf(bytes.subarray(HEADER, header)),
    payload: bytes.subarray(header),
  };
}

/** Looks through options as far as they make sense. */
function mssOf(options: Uint8Array): number | undefined {
  for (let at = 0; at < options.length; ) {
    const kind = options[at];
    if (kind === Option.END) return undefined;
    if (kind === Option.NOTHING) {
      at++;
      continue;
    }
    const length = options[at + 1] ?? 0;
    if (length < 2) return undefined;
    if (kind === Option.MSS && length === MSS_OPTION && at + MSS_OPTION <= options.length)
      return viewOf(options).getUint16(at + 2);
    at += length;
  }
  return undefined;
}

export function buildTcp(segment: TcpSegment, { source, destination }: IpPair): Uint8Array {
  const { mss, payload } = segment;
  const header = HEADER + (mss === undefined ? 0 : MSS_OPTION);
  const { bytes, view } = withHeader(header, payload);
  view.setUint16(0, segment.sourcePort);
  view.setUint16(2, segment.destinationPort);
  view.setUint32(4, segment.sequence);
  view.setUint32(8, segment.acknowledgment);
  view.setUint8(12, (header / 4) << 4);
  view.setUint8(13, segment.flags);
  view.setUint16(14, segment.window);
  if (mss !== undefined) {
    view.setUint16(HEADER, (Option.MSS << 8) | MSS_OPTION);
    view.setUint16(HEADER + 2, mss);
  }
  view.setUint16(16, foldChecksum(wordSum(bytes, pseudoHeaderSum(source, destination, Protocol.TCP, bytes.length))));
  return bytes;
}
