/** FNSAVE's image in 32-bit protected format. */
export const IMAGE_SIZE = 108;
export const MEMORY_SIZE = 112;

export class Image {
  private readonly view: DataView;

  constructor(readonly bytes: Uint8Array = new Uint8Array(IMAGE_SIZE)) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, IMAGE_SIZE);
  }

  private get16(at: number): number {
    return this.view.getUint16(at, true);
  }
  private set16(at: number, value: number): void {
    this.view.setUint16(at, value, true);
  }
  get control(): number {
    return this.get16(0);
  }
  set control(value: number) {
    this.set16(0, value);
  }
  get status(): number {
    return this.get16(4);
  }
  set status(value: number) {
    this.set16(4, value);
  }
  get tags(): number {
    return this.get16(8);
  }
  set tags(value: number) {
    this.set16(8, value);
  }
  get ip(): number {
    return this.view.getUint32(12, true);
  }
  set ip(value: number) {
    this.view.setUint32(12, value, true);
  }
  get cs(): number {
    return this.get16(16);
  }
  set cs(value: number) {
    this.set16(16, value);
  }
  get opcode(): number {
    return this.get16(18);
  }
  set opcode(value: number) {
    this.set16(18, value);
  }
  get dp(): number {
    return this.view.getUint32(20, true);
  }
  set dp(value: number) {
    this.view.setUint32(20, value, true);
  }
  get ds(): number {
    return this.get16(24);
  }
  set ds(value: number) {
    this.set16(24, value);
  }

  /** ST(index): 80 bits. */
  st(index: number): bigint {
    const at = 28 + index * 10;
    return this.view.getBigUint64(at, true) | (BigInt(this.get16(at + 8)) << 64n);
  }
  setSt(index: number, bits: bigint): void {
    const at = 28 + index * 10;
    this.view.setBigUint64(at, BigInt.asUintN(64, bits), true);
    this.set16(at + 8, Number(bits >> 64n));
  }
}

/** One instruction with what it starts from; RBX holds the address of `memory`. */
export interface FpuCase {
  readonly code: Uint8Array;
  readonly image: Image;
  readonly memory: Uint8Array;
  readonly rflags: number;
  readonly rax: bigint;
}

/** What it ends with; `vector` 0: no exception. */
export interface Outcome {
  readonly rflags: number;
  readonly rax: bigint;
  readonly vector: number;
  readonly image: Image;
  readonly memory: Uint8Array;
}
