/** The protocol of synthetic video (Linux drivers/video/fbdev/hyperv_fb.c and drivers/gpu/drm/hyperv). Little-endian, packed. No behaviour. */

export const VIDEO_INTERFACE = 'da0a7802-e377-4aac-8e77-0558eb1073f8';
export const VIDEO_INSTANCE = '5620e0c7-8062-4dce-aeb7-520c7ef76171';

/** Versions as a message has them: the minor number above the major one. */
export const VideoVersion = { V3_0: 0x0_0003, V3_2: 0x2_0003, V3_5: 0x5_0003 } as const;

/** `3.5`. */
export function videoVersionName(version: number): string {
  return `${version & 0xffff}.${version >>> 16}`;
}

export const VideoMessage = {
  VERSION_REQUEST: 1,
  VERSION_RESPONSE: 2,
  VRAM_LOCATION: 3,
  VRAM_LOCATION_ACK: 4,
  SITUATION_UPDATE: 5,
  SITUATION_UPDATE_ACK: 6,
  POINTER_POSITION: 7,
  POINTER_SHAPE: 8,
  FEATURE_CHANGE: 9,
  DIRT: 10,
  RESOLUTION_REQUEST: 13,
  RESOLUTION_RESPONSE: 14,
} as const;

const NAMES: ReadonlyMap<number, string> = new Map<number, string>(
  Object.entries(VideoMessage).map(([name, type]) => [type, `SYNTHVID_${name}`]),
);

/** `SYNTHVID_DIRT`, or the number of a type that isn't one. */
export function videoMessageName(type: number): string {
  return NAMES.get(type) ?? `message ${type}`;
}

/** What a message is in: a header of the pipe {u32 1: data, u32 bytes behind it}, then its own {u32 type, u32 bytes with it}. */
export const PIPE_HEADER = 8;
export const VIDEO_HEADER = PIPE_HEADER + 8;
const PIPE_DATA = 1;

/** A message of the guest. */
export interface VideoRequest {
  readonly type: number;
  readonly body: DataView;
}

/** Reads a packet; undefined for what isn't a whole message. */
export function readVideo(payload: Uint8Array): VideoRequest | undefined {
  if (payload.length < VIDEO_HEADER) return undefined;
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const size = view.getUint32(PIPE_HEADER + 4, true);
  const isWhole = view.getUint32(0, true) === PIPE_DATA && size >= 8 && size <= payload.length - PIPE_HEADER;
  if (!isWhole) return undefined;
  const body = new DataView(payload.buffer, payload.byteOffset + VIDEO_HEADER, size - 8);
  return { type: view.getUint32(PIPE_HEADER, true), body };
}

/** A message with `size` bytes behind its header, which `fill` writes. */
export function videoMessage(type: number, size: number, fill: (body: DataView) => void): Uint8Array {
  const bytes = new Uint8Array(VIDEO_HEADER + size);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, PIPE_DATA, true);
  view.setUint32(4, 8 + size, true);
  view.setUint32(8, type, true);
  view.setUint32(12, 8 + size, true);
  fill(new DataView(bytes.buffer, VIDEO_HEADER));
  return bytes;
}

/** Bytes of bodies. */
export const VideoSize = {
  VERSION: 4,
  VRAM: 17,
  SITUATION: 27,
  POINTER_POSITION: 10,
  POINTER_SHAPE: 18,
  DIRT: 2,
  RECTANGLE: 16,
} as const;
/** A block that describes a monitor, and the most sizes that may be told. */
export const EDID_SIZE = 128;
export const MOST_RESOLUTIONS = 64;
