/** Debug information that contradicts itself. Whoever reads a unit catches it: the unit is lost, not the program. */
export class DwarfError extends Error {}

/** A cursor over debug information. Every read is checked against the end; a read beyond it throws DwarfError. */
export class ByteReader {
  private readonly view: DataView;

  constructor(
    readonly bytes: Uint8Array,
    public offset = 0,
    readonly end = bytes.length,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (!(offset >= 0 && offset <= end && end <= bytes.length)) throw new DwarfError(`offset ${offset} lies outside its section`);
  }

  get atEnd(): boolean {
    return this.offset >= this.end;
  }

  /** Moves on by `count` bytes and returns where they began. */
  private take(count: number): number {
    const at = this.offset;
    if (!(count >= 0) || at + count > this.end) throw new DwarfError(`a value at offset ${at} reaches beyond its end`);
    this.offset = at + count;
    return at;
  }

  skip(count: number): undefined {
    this.take(count);
  }

  seek(offset: number): void {
    if (!(offset >= 0 && offset <= this.end)) throw new DwarfError(`offset ${offset} lies outside its section`);
    this.offset = offset;
  }

  u8(): number {
    return this.view.getUint8(this.take(1));
  }
  i8(): number {
    return this.view.getInt8(this.take(1));
  }
  u16(): number {
    return this.view.getUint16(this.take(2), true);
  }
  u24(): number {
    const at = this.take(3);
    return this.view.getUint16(at, true) | (this.view.getUint8(at + 2) << 16);
  }
  u32(): number {
    return this.view.getUint32(this.take(4), true);
  }
  u64(): bigint {
    return this.view.getBigUint64(this.take(8), true);
  }

  /** An unsigned value of 1 to 16 bytes. */
  unsigned(size: number): bigint {
    switch (size) {
      case 1:
        return BigInt(this.u8());
      case 2:
        return BigInt(this.u16());
      case 4:
        return BigInt(this.u32());
      case 8:
        return this.u64();
      default:
        return littleEndian(this.slice(size));
    }
  }

  signed(size: number): bigint {
    return BigInt.asIntN(size * 8, this.unsigned(size));
  }

  /** A section offset or length of a 32- or 64-bit DWARF unit. */
  sectionOffset(is64: boolean): number {
    return is64 ? safe(this.u64()) : this.u32();
  }

  /** ULEB128 for what must be small: counts, codes, offsets. */
  uleb(): number {
    let result = 0;
    let scale = 1;
    for (;;) {
      const byte = this.u8();
      result += (byte & 0x7f) * scale;
      if (byte < 0x80) break;
      scale *= 128;
    }
    if (!Number.isSafeInteger(result)) throw new DwarfError(`a number at offset ${this.offset} is too large`);
    return result;
  }

  /** ULEB128 of up to 64 bits, wrapped. */
  ulebBig(): bigint {
    let result = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = this.u8();
      if (shift < 70n) result |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, result);
    }
  }

  slebBig(): bigint {
    let result = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = this.u8();
      if (shift < 70n) result |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) {
        if (byte & 0x40 && shift < 63n) result |= -1n << (shift + 7n);
        return BigInt.asIntN(64, result);
      }
    }
  }

  /** SLEB128 for what must be small. */
  sleb(): number {
    const value = this.slebBig();
    const number = Number(value);
    if (!Number.isSafeInteger(number)) throw new DwarfError(`a number at offset ${this.offset} is too large`);
    return number;
  }

  skipLeb(): undefined {
    while (this.u8() >= 0x80);
  }

  slice(count: number): Uint8Array {
    const at = this.take(count);
    return this.bytes.subarray(at, at + count);
  }

  skipString(): undefined {
    const zero = this.bytes.indexOf(0, this.offset);
    if (zero < 0 || zero >= this.end) throw new DwarfError(`a string at offset ${this.offset} has no end`);
    this.offset = zero + 1;
  }

  string(): string {
    const start = this.offset;
    this.skipString();
    return decodeText(this.bytes.subarray(start, this.offset - 1));
  }

  /** A unit's length and whether its offsets have 64 bits (DWARF5 7.4). */
  initialLength(): { readonly length: number; readonly is64: boolean } {
    const length = this.u32();
    if (length < 0xffff_fff0) return { length, is64: false };
    if (length !== 0xffff_ffff) throw new DwarfError(`a unit has the reserved length 0x${length.toString(16)}`);
    return { length: safe(this.u64()), is64: true };
  }
}

/** A 64-bit value as a number; throws where it can't be an offset. */
export function safe(value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new DwarfError(`offset 0x${value.toString(16)} is too large`);
  return Number(value);
}

const decoder = new TextDecoder();
export function decodeText(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

export function littleEndian(bytes: Uint8Array): bigint {
  let value = 0n;
  for (let index = bytes.length - 1; index >= 0; index--) value = (value << 8n) | BigInt(bytes[index] ?? 0);
  return value;
}

export function toLittleEndian(value: bigint, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  let rest = BigInt.asUintN(size * 8, value);
  for (let index = 0; index < size; index++, rest >>= 8n) bytes[index] = Number(rest & 0xffn);
  return bytes;
}
