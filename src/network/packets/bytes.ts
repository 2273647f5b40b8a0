/** A view of the bytes of a packet, which begin anywhere in their buffer. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** New bytes, with room for `payload` behind `header` zeroes, where it is copied to. */
export function withHeader(header: number, payload: Uint8Array): { readonly bytes: Uint8Array; readonly view: DataView } {
  const bytes = new Uint8Array(header + payload.length);
  bytes.set(payload, header);
  return { bytes, view: viewOf(bytes) };
}

/** Several runs of bytes as one, copied. */
export function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

export const NO_BYTES = new Uint8Array(0);
