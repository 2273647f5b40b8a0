/** A byte of a guest's memory; 0 beyond its end. */
export function byteOf(bytes: Uint8Array, at: number): number {
  return bytes[at] ?? 0;
}
