import { foldChecksum, wordSum } from '../../devices/checksum.ts';
import { viewOf, withHeader } from './bytes.ts';

export const IcmpType = { ECHO_REPLY: 0, DESTINATION_UNREACHABLE: 3, ECHO_REQUEST: 8 } as const;
/** Codes of "destination unreachable" (RFC 792, RFC 1812 5.2.7.1). */
export const Unreachable = { NETWORK: 0, HOST: 1, PROTOCOL: 2, PORT: 3 } as const;

const HEADER = 4;
/** Unused bytes before the packet that an error is about, and how much of it is sent back: its header and 8 bytes (RFC 792). */
const ERROR_UNUSED = 4;
const QUOTED = 28;

/** A message of the Internet Control Message Protocol (RFC 792). */
export interface IcmpMessage {
  readonly type: number;
  readonly code: number;
  /** All behind the checksum. */
  readonly body: Uint8Array;
}

/** Undefined for bytes that are none, or whose checksum is wrong. */
export function parseIcmp(bytes: Uint8Array): IcmpMessage | undefined {
  if (bytes.length < HEADER || foldChecksum(wordSum(bytes)) !== 0) return undefined;
  const view = viewOf(bytes);
  return { type: view.getUint8(0), code: view.getUint8(1), body: bytes.subarray(HEADER) };
}

export function buildIcmp({ type, code, body }: IcmpMessage): Uint8Array {
  const { bytes, view } = withHeader(HEADER, body);
  view.setUint8(0, type);
  view.setUint8(1, code);
  view.setUint16(2, foldChecksum(wordSum(bytes)));
  return bytes;
}

/** That an IPv4 packet can't get where it wants. */
export function buildUnreachable(code: number, packet: Uint8Array): Uint8Array {
  const { bytes } = withHeader(ERROR_UNUSED, packet.subarray(0, QUOTED));
  return buildIcmp({ type: IcmpType.DESTINATION_UNREACHABLE, code, body: bytes });
}
