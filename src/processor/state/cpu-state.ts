import * as L from './layout.ts';

/** A segment register with its hidden part, as a value. */
export interface SegmentValue {
  readonly selector: number;
  readonly base: bigint;
  /** In bytes, granularity applied: 0xFFFFFFFF for a flat segment. */
  readonly limit: number;
  /** As in a VMCS: [3:0] type, 4 S, [6:5] DPL, 7 P, 12 AVL, 13 L, 14 D/B, 15 G, 16 unusable. */
  readonly rights: number;
}

/** RFLAGS bits (Intel SDM vol. 1, 3.4.3). */
export const Flag = {
  CF: 1 << 0,
  PF: 1 << 2,
  AF: 1 << 4,
  ZF: 1 << 6,
  SF: 1 << 7,
  TF: 1 << 8,
  IF: 1 << 9,
  DF: 1 << 10,
  OF: 1 << 11,
  IOPL: 3 << 12,
  NT: 1 << 14,
  RF: 1 << 16,
  VM: 1 << 17,
  AC: 1 << 18,
  VIF: 1 << 19,
  VIP: 1 << 20,
  ID: 1 << 21,
} as const;

const TWO_32 = 0x1_0000_0000;

export const ARITHMETIC_FLAGS = Flag.CF | Flag.PF | Flag.AF | Flag.ZF | Flag.SF | Flag.OF;

/**
 * The architectural state of one vCPU: typed access to the block that generated code works on. It checks nothing; who
 * changes registers from outside the processor calls `Processor.stateChanged()` afterwards.
 */
export class CpuState {
  readonly u64: BigUint64Array;
  readonly i32: Int32Array;
  readonly u32: Uint32Array;

  constructor(
    readonly buffer: ArrayBufferLike,
    /** Byte offset of the vCPU's block in the partition's WebAssembly memory; a multiple of 4096. */
    readonly base: number,
  ) {
    this.u64 = new BigUint64Array(buffer, base, L.FPU_END / 8);
    this.i32 = new Int32Array(buffer, base, L.FPU_END / 4);
    this.u32 = new Uint32Array(buffer, base, L.FPU_END / 4);
  }

  get64(offset: number): bigint {
    return this.u64[offset >> 3] ?? 0n;
  }
  set64(offset: number, value: bigint): void {
    this.u64[offset >> 3] = value;
  }
  get32(offset: number): number {
    return this.u32[offset >> 2] ?? 0;
  }
  set32(offset: number, value: number): void {
    this.i32[offset >> 2] = value;
  }

  /** General register 0–15 in encoding order, 64 bits. */
  gpr(index: number): bigint {
    return this.get64(L.GPR + index * 8);
  }
  setGpr(index: number, value: bigint): void {
    this.set64(L.GPR + index * 8, value);
  }

  /** The low half of a general register, unsigned. */
  gpr32(index: number): number {
    return this.get32(L.GPR + index * 8);
  }
  /** Writes a general register as instructions with 32-bit operands do: its upper half becomes 0. */
  setGpr32(index: number, value: number): void {
    this.set32(L.GPR + index * 8, value);
    this.set32(L.GPR + index * 8 + 4, 0);
  }

  get rip(): bigint {
    return this.get64(L.RIP);
  }
  set rip(value: bigint) {
    this.set64(L.RIP, value);
  }

  /** RFLAGS, all bits composed. */
  get rflags(): number {
    const result = this.get32(L.FLAG_RESULT);
    const resultHigh = this.get32(L.FLAG_RESULT + 4);
    const low = this.get32(L.FLAG_BITS);
    const high = this.get32(L.FLAG_BITS + 4);
    let flags = this.get32(L.EFLAGS) | (high >>> 31);
    if ((high ^ (high << 1)) < 0) flags |= Flag.OF;
    if (low & 8) flags |= Flag.AF;
    if ((result | resultHigh) === 0) flags |= Flag.ZF;
    if (((resultHigh >>> 30) ^ low) & 2) flags |= Flag.SF;
    let parity = result & 0xff;
    parity ^= parity >> 4;
    parity ^= parity >> 2;
    parity ^= parity >> 1;
    if ((parity ^ low ^ 1) & 1) flags |= Flag.PF;
    return flags >>> 0;
  }
  set rflags(value: number) {
    const zero = (value & Flag.ZF) !== 0;
    const carry = value & Flag.CF;
    const overflow = value & Flag.OF ? 1 : 0;
    // FLAG_RESULT is 0 (even parity) or 1 (odd parity, not negative): the correction bits make up for the rest.
    this.set32(L.FLAG_RESULT, zero ? 0 : 1);
    this.set32(L.FLAG_RESULT + 4, 0);
    const parity = ((value & Flag.PF) !== 0) === zero ? 0 : 1;
    this.set32(L.FLAG_BITS, (value & Flag.AF ? 8 : 0) | (value & Flag.SF ? 2 : 0) | parity);
    this.set32(L.FLAG_BITS + 4, (carry << 31) | ((carry ^ overflow) << 30));
    this.set32(L.EFLAGS, (value & ~ARITHMETIC_FLAGS & 0x3f7fd7) | 2);
  }

  segment(index: number): SegmentValue {
    const at = L.SEGMENTS + index * L.SEGMENT_SIZE;
    return {
      selector: this.get32(at + L.SEG_SELECTOR),
      base: this.get64(at + L.SEG_BASE),
      limit: this.get32(at + L.SEG_LIMIT),
      rights: this.get32(at + L.SEG_RIGHTS),
    };
  }
  setSegment(index: number, value: SegmentValue): void {
    const at = L.SEGMENTS + index * L.SEGMENT_SIZE;
    this.set32(at + L.SEG_SELECTOR, value.selector);
    this.set64(at + L.SEG_BASE, value.base);
    this.set32(at + L.SEG_LIMIT, value.limit);
    this.set32(at + L.SEG_RIGHTS, value.rights);
  }

  get cpl(): number {
    return this.get32(L.CPL);
  }
  set cpl(value: number) {
    this.set32(L.CPL, value);
  }
  get cr0(): bigint {
    return this.get64(L.CR0);
  }
  get cr3(): bigint {
    return this.get64(L.CR3);
  }
  get cr4(): bigint {
    return this.get64(L.CR4);
  }
  get efer(): bigint {
    return this.get64(L.EFER);
  }
  get icount(): bigint {
    return this.get64(L.ICOUNT);
  }
  /** Retired instructions and skipped time. */
  get ticks(): bigint {
    // Cut by a width that is known here, it is a machine word to the engine.
    return BigInt.asUintN(64, this.icount + this.get64(L.IDLE_TICKS));
  }
  /** Counts retired instructions, fewer than 2^32. */
  addInstructions(count: number): void {
    const low = this.get32(L.ICOUNT) + count;
    this.set32(L.ICOUNT, low);
    if (low >= TWO_32) this.set32(L.ICOUNT + 4, this.get32(L.ICOUNT + 4) + 1);
  }
}
