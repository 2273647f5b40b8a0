import { DmaError, type DmaMemory } from '../../../../devices/dma.ts';

/** What an output shows: an image in memory (SYNTHVID_SITUATION_UPDATE). */
export interface Situation {
  readonly isActive: boolean;
  /** Where the image begins in the video memory. */
  readonly offset: number;
  /** Bits of a pixel: 16 (5 red, 6 green, 5 blue) or 32 (blue first, the last byte unused). */
  readonly depth: number;
  readonly width: number;
  readonly height: number;
  /** Bytes from one line to the next. */
  readonly pitch: number;
}

const MOST_PIXELS = 4096;

/** Reads a situation at the place of one in a message; undefined where it makes no sense with so many bytes of video memory. */
export function readSituation(body: DataView, at: number, memory: number): Situation | undefined {
  const number = (place: number) => body.getUint32(at + place, true);
  const situation = {
    isActive: body.getUint8(at) !== 0,
    offset: number(1),
    depth: body.getUint8(at + 5),
    width: number(6),
    height: number(10),
    pitch: number(14),
  };
  const { isActive, offset, depth, width, height, pitch } = situation;
  if (!isActive) return { ...situation, width: 0, height: 0 };
  const isShown = (depth === 16 || depth === 32) && width > 0 && height > 0 && width <= MOST_PIXELS && height <= MOST_PIXELS;
  return isShown && pitch >= (width * depth) / 8 && offset + pitch * height <= memory ? situation : undefined;
}

/** The pixels of an image in guest memory as red, green, blue, opaque; undefined where there is no memory. */
export function readPixels(
  memory: DmaMemory,
  gpa: bigint,
  { offset, depth, width, height, pitch }: Situation,
): Uint8Array | undefined {
  const pixels = new Uint8Array(width * height * 4);
  const line = (width * depth) / 8;
  const looking = memory.forLooking ?? memory;
  try {
    for (let y = 0; y < height; y++) {
      const bytes = looking.read(gpa + BigInt(offset + y * pitch), line);
      const into = pixels.subarray(y * width * 4, (y + 1) * width * 4);
      if (depth === 32) from32(bytes, into);
      else from16(bytes, into);
    }
  } catch (error) {
    if (error instanceof DmaError) return undefined;
    throw error;
  }
  return pixels;
}

function from32(bytes: Uint8Array, into: Uint8Array): void {
  for (let at = 0; at + 3 < bytes.length; at += 4) {
    into[at] = bytes[at + 2] ?? 0;
    into[at + 1] = bytes[at + 1] ?? 0;
    into[at + 2] = bytes[at] ?? 0;
    into[at + 3] = 255;
  }
}

/** A part of 5 or 6 bits is spread so that its highest value is 255. */
function from16(bytes: Uint8Array, into: Uint8Array): void {
  for (let pixel = 0; pixel * 2 + 1 < bytes.length; pixel++) {
    const value = (bytes[pixel * 2] ?? 0) | ((bytes[pixel * 2 + 1] ?? 0) << 8);
    const [red, green, blue] = [value >> 11, (value >> 5) & 63, value & 31];
    into.set([(red << 3) | (red >> 2), (green << 2) | (green >> 4), (blue << 3) | (blue >> 2), 255], pixel * 4);
  }
}
