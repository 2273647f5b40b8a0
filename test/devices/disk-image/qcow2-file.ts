/** A qcow2 file, version 3, made by hand: its header, its first table in cluster 1, one table of the second level in cluster 2, data. */
export interface HandMade {
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

export const CLUSTER = 512;
export const LEVEL_ONE = CLUSTER;
export const LEVEL_TWO = 2 * CLUSTER;
const DATA = 3 * CLUSTER;
/** The disk has 4 clusters: 0xd0 in the first one, zeroes by flag in the second, nothing in the others. */
export const SIZE = 4 * CLUSTER;

export function handMade(): HandMade {
  const bytes = new Uint8Array(DATA + CLUSTER);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 0x5146_49fb);
  view.setUint32(4, 3);
  view.setUint32(20, 9);
  view.setBigUint64(24, BigInt(SIZE));
  view.setUint32(36, 1);
  view.setBigUint64(40, BigInt(LEVEL_ONE));
  view.setUint32(96, 4);
  view.setUint32(100, 104);
  view.setBigUint64(LEVEL_ONE, BigInt(LEVEL_TWO) | (1n << 63n));
  view.setBigUint64(LEVEL_TWO, BigInt(DATA) | (1n << 63n));
  view.setBigUint64(LEVEL_TWO + 8, 1n);
  bytes.fill(0xd0, DATA);
  return { bytes, view };
}

/** Has an image say that it is based on another. */
export function basedOn({ bytes, view }: HandMade, name: string): Uint8Array {
  const encoded = new TextEncoder().encode(name);
  view.setBigUint64(8, 200n);
  view.setUint32(16, encoded.length);
  bytes.set(encoded, 200);
  return bytes;
}
