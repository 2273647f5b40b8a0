import { viewOf } from '../../../../network/packets/bytes.ts';
import { ETHERNET_HEADER, EtherType } from '../../../../network/packets/ethernet.ts';
import { NdisObject, RSS_KEY_SIZE, RSS_TABLE_ENTRIES, RssFlag, RssHash, RssPlace } from '../../abi/rndis.ts';

/** How frames are spread over a guest's channels (NDIS, "receive side scaling"), as the guest set it. */
export interface ReceiveScaling {
  readonly hash: number;
  readonly key: Uint8Array;
  /** Numbers of channels by the last bits of a frame's hash. */
  readonly table: readonly number[];
}

const IPV4_HEADER = 20;
const TCP = 6;

/** What a guest's parameters make of the present ones; `undefined` for off, a word where they can't be followed. `queues`: channels there may be. */
export function setScaling(
  present: ReceiveScaling | undefined,
  bytes: Uint8Array,
  queues: number,
): ReceiveScaling | undefined | 'invalid' {
  if (bytes.length < RssPlace.END || bytes[0] !== NdisObject.RSS_PARAMETERS) return 'invalid';
  const view = viewOf(bytes);
  const flags = view.getUint16(RssPlace.FLAGS, true);
  if (flags & RssFlag.DISABLE) return undefined;
  const slice = (sizePlace: number, offsetPlace: number, most: number) => {
    const size = view.getUint16(sizePlace, true);
    const offset = view.getUint32(offsetPlace, true);
    return size > most || offset + size > bytes.length ? undefined : bytes.slice(offset, offset + size);
  };
  const isKeyKept = (flags & RssFlag.KEY_UNCHANGED) !== 0;
  const key = isKeyKept ? present?.key : slice(RssPlace.KEY_SIZE, RssPlace.KEY_OFFSET, RSS_KEY_SIZE);
  const isTableKept = (flags & RssFlag.TABLE_UNCHANGED) !== 0;
  const table = isTableKept ? present?.table : words(slice(RssPlace.TABLE_SIZE, RssPlace.TABLE_OFFSET, RSS_TABLE_ENTRIES * 4));
  if (key?.length !== RSS_KEY_SIZE || table === undefined || !isPowerOfTwo(table.length)) return 'invalid';
  if (table.some((queue) => queue >= queues)) return 'invalid';
  return { hash: view.getUint32(RssPlace.HASH, true), key, table };
}

function words(bytes: Uint8Array | undefined): readonly number[] | undefined {
  if (bytes === undefined || bytes.length % 4 !== 0) return undefined;
  const view = viewOf(bytes);
  return Array.from({ length: bytes.length / 4 }, (_, index) => view.getUint32(4 * index, true));
}

function isPowerOfTwo(count: number): boolean {
  return count > 0 && (count & (count - 1)) === 0;
}

/** The channel that a frame goes to. */
export function channelOf({ hash, key, table }: ReceiveScaling, frame: Uint8Array): number {
  const input = hashed(frame, hash);
  const sum = input === undefined ? 0 : toeplitz(key, input);
  return table[sum & (table.length - 1)] ?? 0;
}

/** What is hashed of a frame: addresses, and ports where that is wanted; undefined for a frame that isn't hashed. */
function hashed(frame: Uint8Array, hash: number): Uint8Array | undefined {
  const ip = ETHERNET_HEADER;
  if (!(hash & RssHash.TOEPLITZ) || frame.length < ip + IPV4_HEADER) return undefined;
  const view = viewOf(frame);
  if (view.getUint16(12) !== EtherType.IPV4 || view.getUint8(ip) >> 4 !== 4) return undefined;
  const transport = ip + (view.getUint8(ip) & 15) * 4;
  const isFragment = (view.getUint16(ip + 6) & 0x3fff) !== 0;
  const hasPorts = view.getUint8(ip + 9) === TCP && !isFragment && frame.length >= transport + 4;
  const addresses = frame.subarray(ip + 12, ip + 20);
  if (hash & RssHash.TCP_IPV4 && hasPorts) return Uint8Array.from([...addresses, ...frame.subarray(transport, transport + 4)]);
  return hash & RssHash.IPV4 ? addresses : undefined;
}

/** Toeplitz's hash: the exclusive or of the 32 bits of the key that begin at each bit of the input that is set. */
export function toeplitz(key: Uint8Array, input: Uint8Array): number {
  const view = viewOf(key);
  let window = view.getUint32(0);
  let sum = 0;
  input.forEach((byte, index) => {
    const next = key[index + 4] ?? 0;
    for (let bit = 7; bit >= 0; bit--) {
      if ((byte >> bit) & 1) sum ^= window;
      window = (window << 1) | ((next >> bit) & 1);
    }
  });
  return sum >>> 0;
}
