import type { Partition } from '../../hypervisor/partition/partition.ts';
import { HypervPlatform } from '../../platforms/hyperv/hyperv-platform.ts';
import { VideoVsp } from '../../platforms/hyperv/vsps/video/video-vsp.ts';

/** What a guest's screen shows, for views. */
export interface ScreenPicture {
  readonly width: number;
  readonly height: number;
  /** Red, green and blue of each pixel, line by line. */
  readonly pixels: Uint8Array;
  /** The same for the same picture. */
  readonly mark: number;
}

/** The screen of a guest; undefined for one without. */
export function screenOf({ server }: Pick<Partition, 'server'>): VideoVsp | undefined {
  if (!(server instanceof HypervPlatform)) return undefined;
  for (const { vsp } of server.vmbus.devices) if (vsp instanceof VideoVsp) return vsp;
  return undefined;
}

/** What is on a screen just now; undefined while it is dark. */
export function screenPicture(screen: Pick<VideoVsp, 'picture'>): ScreenPicture | undefined {
  const picture = screen.picture();
  if (picture === undefined) return undefined;
  const { width, height } = picture;
  const pixels = new Uint8Array(width * height * 3);
  // FNV-1a, over whole pixels.
  let mark = 0x811c_9dc5;
  for (let pixel = 0; pixel < width * height; pixel++) {
    const [red = 0, green = 0, blue = 0] = picture.pixels.subarray(pixel * 4, pixel * 4 + 3);
    pixels[pixel * 3] = red;
    pixels[pixel * 3 + 1] = green;
    pixels[pixel * 3 + 2] = blue;
    mark = Math.imul(mark ^ ((red << 16) | (green << 8) | blue), 0x0100_0193);
  }
  return { width, height, pixels, mark: Math.imul(mark ^ width, 0x0100_0193) >>> 0 };
}
