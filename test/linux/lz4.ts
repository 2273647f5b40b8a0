/** "Legacy" frames of LZ4, as Linux's build compresses kernels: a magic number, then blocks with their sizes before them. */
const MAGIC = 0x184c_2102;
/** What one block holds at most. */
const BLOCK = 8 << 20;

/** One block: literals and copies of what came before, in turns (LZ4 block format). */
function decodeBlock(source: Uint8Array, target: Uint8Array): number {
  let at = 0;
  let end = 0;
  const length = (short: number): number => {
    let total = short;
    if (short === 15)
      for (let more = 255; more === 255; total += more) {
        more = source[at++] ?? 0;
      }
    return total;
  };
  while (at < source.length) {
    const token = source[at++] ?? 0;
    const literals = length(token >> 4);
    target.set(source.subarray(at, at + literals), end);
    at += literals;
    end += literals;
    if (at >= source.length) break;
    const distance = (source[at] ?? 0) | ((source[at + 1] ?? 0) << 8);
    at += 2;
    const copied = length(token & 15) + 4;
    // Source and target may overlap: then a pattern is repeated.
    for (let index = 0; index < copied; index++, end++) target[end] = target[end - distance] ?? 0;
  }
  return end;
}

/** The payload of a kernel image (bzImage) that is compressed by LZ4; undefined where there is none. */
export function kernelPayload(image: Uint8Array): Uint8Array | undefined {
  const start = Buffer.from(image).indexOf(Uint8Array.of(MAGIC & 255, (MAGIC >> 8) & 255, (MAGIC >> 16) & 255, MAGIC >> 24));
  if (start < 0) return undefined;
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  const parts: Uint8Array[] = [];
  for (let at = start + 4; at + 4 < image.length; ) {
    const size = view.getUint32(at, true);
    // Behind the last block stands the size of the whole.
    if (size === 0 || size > BLOCK || at + 4 + size > image.length) break;
    const block = new Uint8Array(BLOCK);
    const length = decodeBlock(image.subarray(at + 4, at + 4 + size), block);
    parts.push(block.subarray(0, length));
    at += 4 + size;
    if (length < BLOCK) break;
  }
  return Buffer.concat(parts);
}
