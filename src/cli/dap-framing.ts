/** Longest message that is taken: a memory read of a few MiB in base64 fits many times. */
const LARGEST_MESSAGE = 64 * 1024 * 1024;
const LARGEST_HEADER = 4096;

/** A stream that doesn't speak the Debug Adapter Protocol's framing. */
export class FramingError extends Error {}

/** Takes `Content-Length` framed messages out of a byte stream (DAP specification, base protocol). */
export class MessageReader {
  private buffer: Buffer = Buffer.alloc(0);

  constructor(private readonly onMessage: (text: string) => void) {}

  /** Throws FramingError when the stream can't be followed any more. */
  push(chunk: Buffer): void {
    this.buffer = this.buffer.length === 0 ? chunk : Buffer.concat([this.buffer, chunk]);
    for (;;) {
      const end = this.buffer.indexOf('\r\n\r\n');
      if (end < 0) {
        if (this.buffer.length > LARGEST_HEADER)
          throw new FramingError('The client sends no Content-Length header; it must speak DAP.');
        return;
      }
      const header = this.buffer.toString('latin1', 0, end);
      const length = Number(/^content-length:\s*(\d{1,9})\s*$/im.exec(header)?.[1] ?? Number.NaN);
      if (!(length <= LARGEST_MESSAGE))
        throw new FramingError(`The client sends a header without a usable Content-Length: "${header.slice(0, 80)}".`);
      const start = end + 4;
      if (this.buffer.length < start + length) return;
      const text = this.buffer.toString('utf8', start, start + length);
      this.buffer = this.buffer.subarray(start + length);
      this.onMessage(text);
    }
  }
}

/** A message with its header. */
export function frame(message: unknown): Buffer {
  const body = Buffer.from(JSON.stringify(message), 'utf8');
  return Buffer.concat([Buffer.from(`Content-Length: ${body.length}\r\n\r\n`, 'latin1'), body]);
}
