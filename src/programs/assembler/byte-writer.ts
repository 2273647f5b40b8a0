/** Little-endian bytes, written one after the other. */
export class ByteWriter {
  private buffer = new Uint8Array(1024);
  length = 0;

  /** What was written so far. */
  get bytes(): Uint8Array {
    return this.buffer.subarray(0, this.length);
  }

  private room(count: number): void {
    if (this.length + count <= this.buffer.length) return;
    const larger = new Uint8Array(Math.max(this.length + count, this.buffer.length * 2));
    larger.set(this.bytes);
    this.buffer = larger;
  }

  number(value: bigint | number, size: number): this {
    this.room(size);
    let rest = BigInt.asUintN(64, BigInt(value));
    for (let index = 0; index < size; index++) {
      this.buffer[this.length++] = Number(rest & 0xffn);
      rest >>= 8n;
    }
    return this;
  }

  raw(bytes: Uint8Array): this {
    this.room(bytes.length);
    this.buffer.set(bytes, this.length);
    this.length += bytes.length;
    return this;
  }

  zeroes(count: number): this {
    this.room(count);
    this.buffer.fill(0, this.length, this.length + count);
    this.length += count;
    return this;
  }

  /** With a NUL behind it. */
  text(value: string): this {
    return this.raw(new TextEncoder().encode(value)).number(0, 1);
  }

  /** Unsigned LEB128 (DWARF 4, 7.6). */
  unsigned(value: number): this {
    let rest = value;
    while (rest > 0x7f) {
      this.number((rest & 0x7f) | 0x80, 1);
      rest >>>= 7;
    }
    return this.number(rest, 1);
  }

  /** Signed LEB128. */
  signed(value: number): this {
    let rest = value;
    for (;;) {
      const byte = rest & 0x7f;
      rest >>= 7;
      const isLast = (rest === 0 && (byte & 0x40) === 0) || (rest === -1 && (byte & 0x40) !== 0);
      this.number(isLast ? byte : byte | 0x80, 1);
      if (isLast) return this;
    }
  }

  /** A copy with its length in front, as the units of DWARF have it. */
  withLength(): Uint8Array {
    return new ByteWriter().number(this.length, 4).raw(this.bytes).bytes;
  }
}
