/** WebAssembly opcodes that the generator uses (WebAssembly core specification 2.0, section 5.4). */
export const Op = {
  unreachable: 0x00,
  block: 0x02,
  loop: 0x03,
  if: 0x04,
  else: 0x05,
  end: 0x0b,
  br: 0x0c,
  br_if: 0x0d,
  br_table: 0x0e,
  return: 0x0f,
  call: 0x10,
  call_indirect: 0x11,
  drop: 0x1a,
  select: 0x1b,
  select_typed: 0x1c,
  local_get: 0x20,
  local_set: 0x21,
  local_tee: 0x22,
  i32_load: 0x28,
  i64_load: 0x29,
  i32_load8_u: 0x2d,
  i64_load8_s: 0x30,
  i64_load8_u: 0x31,
  i64_load16_s: 0x32,
  i64_load16_u: 0x33,
  i64_load32_s: 0x34,
  i64_load32_u: 0x35,
  i32_store: 0x36,
  i64_store: 0x37,
  i64_store8: 0x3c,
  i64_store16: 0x3d,
  i64_store32: 0x3e,
  i32_const: 0x41,
  i64_const: 0x42,
  i32_eqz: 0x45,
  i32_eq: 0x46,
  i32_ne: 0x47,
  i32_gt_s: 0x4a,
  i32_lt_s: 0x48,
  i32_lt_u: 0x49,
  i32_le_u: 0x4d,
  i32_gt_u: 0x4b,
  i32_ge_u: 0x4f,
  i64_eqz: 0x50,
  i64_eq: 0x51,
  i64_ne: 0x52,
  i64_lt_s: 0x53,
  i64_lt_u: 0x54,
  i64_gt_s: 0x55,
  i64_gt_u: 0x56,
  i64_le_s: 0x57,
  i64_le_u: 0x58,
  i64_ge_s: 0x59,
  i64_ge_u: 0x5a,
  i32_add: 0x6a,
  i32_sub: 0x6b,
  i32_mul: 0x6c,
  i32_and: 0x71,
  i32_or: 0x72,
  i32_xor: 0x73,
  i32_shl: 0x74,
  i32_shr_u: 0x76,
  i64_clz: 0x79,
  i64_ctz: 0x7a,
  i64_popcnt: 0x7b,
  i64_add: 0x7c,
  i64_sub: 0x7d,
  i64_mul: 0x7e,
  i64_div_s: 0x7f,
  i64_div_u: 0x80,
  i64_rem_s: 0x81,
  i64_rem_u: 0x82,
  i64_and: 0x83,
  i64_or: 0x84,
  i64_xor: 0x85,
  i64_shl: 0x86,
  i64_shr_s: 0x87,
  i64_shr_u: 0x88,
  i64_rotl: 0x89,
  i64_rotr: 0x8a,
  i32_wrap_i64: 0xa7,
  f32_convert_i64_s: 0xb4,
  f64_convert_i64_s: 0xb9,
  i64_extend_i32_s: 0xac,
  i64_extend_i32_u: 0xad,
  i64_extend8_s: 0xc2,
  i64_extend16_s: 0xc3,
  i64_extend32_s: 0xc4,
  /** Prefixes: the instruction's number follows. */
  saturating: 0xfc,
  simd: 0xfd,
} as const;

/** Truncations of floating-point numbers behind `Op.saturating`. */
export const TRUNC_SAT = { i64_f32_s: 4, i64_f64_s: 6 } as const;

export const I32 = 0x7f;
export const I64 = 0x7e;
export const V128 = 0x7b;
/** Block type without a value. */
export const VOID = 0x40;

/** In front of bulk memory instructions. */
const PREFIX_BULK = 0xfc;

/** A growing run of WebAssembly bytes, with LEB128 numbers. */
export class Code {
  private buffer = new Uint8Array(256);
  /** Bytes so far. */
  length = 0;
  /** Places of branches that are hardly ever taken. */
  unlikely: number[] = [];

  /** The bytes themselves, until more are added. */
  get bytes(): Uint8Array {
    return this.buffer.subarray(0, this.length);
  }

  private reserve(count: number): void {
    if (this.length + count <= this.buffer.length) return;
    const wider = new Uint8Array(Math.max(this.buffer.length * 2, this.length + count));
    wider.set(this.bytes);
    this.buffer = wider;
  }

  private byte(value: number): void {
    if (this.length === this.buffer.length) this.reserve(1);
    this.buffer[this.length++] = value;
  }

  op(...opcodes: number[]): this {
    for (const opcode of opcodes) this.byte(opcode);
    return this;
  }
  /** Unsigned LEB128. */
  u(value: number): this {
    let rest = value;
    while (rest >= 0x80) {
      this.byte((rest & 0x7f) | 0x80);
      rest = Math.floor(rest / 128);
    }
    this.byte(rest);
    return this;
  }
  i32(value: number): this {
    this.byte(Op.i32_const);
    let rest = value | 0;
    for (;;) {
      const low = rest & 0x7f;
      rest >>= 7;
      if ((rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0)) {
        this.byte(low);
        return this;
      }
      this.byte(low | 0x80);
    }
  }
  i64(value: bigint): this {
    this.byte(Op.i64_const);
    let rest = BigInt.asIntN(64, value);
    for (;;) {
      const low = Number(rest & 0x7fn);
      rest >>= 7n;
      if ((rest === 0n && (low & 0x40) === 0) || (rest === -1n && (low & 0x40) !== 0)) {
        this.byte(low);
        return this;
      }
      this.byte(low | 0x80);
    }
  }
  get(local: number): this {
    this.byte(Op.local_get);
    return this.u(local);
  }
  set(local: number): this {
    this.byte(Op.local_set);
    return this.u(local);
  }
  tee(local: number): this {
    this.byte(Op.local_tee);
    return this.u(local);
  }
  /** A load or store with a constant offset; alignment is only a hint and is given as none. */
  memory(opcode: number, offset: number): this {
    this.byte(opcode);
    this.byte(0);
    return this.u(offset);
  }
  /** Copies within the memory; destination, source and length are on the stack. Ranges may overlap. */
  memoryCopy(): this {
    return this.op(PREFIX_BULK).u(10).op(0, 0);
  }
  /** Fills memory; destination, byte and length are on the stack. */
  memoryFill(): this {
    return this.op(PREFIX_BULK).u(11).op(0);
  }
  /** Says that the conditional branch that comes next is hardly ever taken. */
  rarely(): this {
    this.unlikely.push(this.length);
    return this;
  }
  append(other: Code): this {
    for (const at of other.unlikely) this.unlikely.push(this.length + at);
    this.reserve(other.length);
    this.buffer.set(other.bytes, this.length);
    this.length += other.length;
    return this;
  }
  /** Puts other code in front of what stands at a place. */
  insert(at: number, other: Code): this {
    this.unlikely = this.unlikely.map((place) => (place >= at ? place + other.length : place));
    this.reserve(other.length);
    this.buffer.copyWithin(at + other.length, at, this.length);
    this.buffer.set(other.bytes, at);
    this.length += other.length;
    return this;
  }
}
