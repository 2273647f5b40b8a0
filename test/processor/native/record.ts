import { hex } from '../../../src/x86/address.ts';
import { VECTOR_BYTES, VectorState } from './vector-state.ts';

/** Layout of the records that harness.c reads and writes, and the addresses that it maps. */

export const CODE = 0x1000_0000n;
export const CODE_SIZE = 0x2000;
export const DATA = 0x2000_0000n;
/** Bytes of the data pages that can be written; one read-only page follows. */
export const DATA_WRITABLE = 0x2000;
export const DATA_SIZE = 0x3000;
export const INT3 = 0xcc;
/** Upper bits of RSP where the stack has 16 bits (see harness.c). */
export const STACK_HIGH_16 = 0x7654_0000n;
/** Selectors of the LDT in which the code pages and the data pages are 16-bit segments. */
export const LDT_CODE_16 = 0x07;
export const LDT_DATA_16 = 0x0f;

export const RECORD_SIZE = 256;
/** With the state of x87, SSE and AVX. */
export const VECTOR_RECORD_SIZE = RECORD_SIZE + VECTOR_BYTES;
const WITH_VECTORS = 8;
/** With more of the data pages besides: bytes that lie at DATA + {@link AREA}. */
export const AREA = 0x400;
export const AREA_SIZE = 0x400;
export const AREA_RECORD_SIZE = VECTOR_RECORD_SIZE + AREA_SIZE;
const WITH_AREA = 16;

const R_FLAGS = 128;
const RIP = 136;

/** What a snippet starts with. A view on {@link RECORD_SIZE} {@link VECTOR_RECORD_SIZE} or {@link AREA_RECORD_SIZE} bytes as harness.c reads them. */
export class Request {
  static readonly MAX_CODE = 32;
  static readonly MAX_PATCH = 48;
  readonly gpr: BigUint64Array;
  private readonly view: DataView;
  readonly vectors: VectorState | undefined;
  /** What lies at DATA + {@link AREA}. */
  readonly area: Uint8Array | undefined;

  constructor(readonly bytes: Uint8Array) {
    this.gpr = new BigUint64Array(bytes.buffer, bytes.byteOffset, 16);
    this.view = new DataView(bytes.buffer, bytes.byteOffset, RECORD_SIZE);
    if (bytes.length > RECORD_SIZE) {
      this.vectors = new VectorState(bytes.subarray(RECORD_SIZE, VECTOR_RECORD_SIZE));
      if (bytes.length > VECTOR_RECORD_SIZE) this.area = bytes.subarray(VECTOR_RECORD_SIZE);
      this.view.setUint32(160, this.view.getUint32(160, true) | this.parts, true);
    }
  }

  private get parts(): number {
    return (this.vectors ? WITH_VECTORS : 0) | (this.area ? WITH_AREA : 0);
  }

  /** All zeroes, for 64-bit code. */
  clear(): void {
    this.bytes.fill(0);
    this.view.setUint32(160, this.parts, true);
  }

  register(index: number): bigint {
    return this.gpr[index] ?? 0n;
  }
  get rflags(): number {
    return this.view.getUint32(R_FLAGS, true);
  }
  set rflags(value: number) {
    this.view.setBigUint64(R_FLAGS, BigInt(value), true);
  }
  /** Linear address of the code; in 16-bit code the offset in CS is less by {@link CODE}. */
  get rip(): bigint {
    return this.view.getBigUint64(RIP, true);
  }
  set rip(value: bigint) {
    this.view.setBigUint64(RIP, value, true);
  }
  get fsBase(): bigint {
    return this.view.getBigUint64(144, true);
  }
  set fsBase(value: bigint) {
    this.view.setBigUint64(144, value, true);
  }
  get gsBase(): bigint {
    return this.view.getBigUint64(152, true);
  }
  set gsBase(value: bigint) {
    this.view.setBigUint64(152, value, true);
  }
  /** True when selectors and the bases of FS and GS are to be compared too. */
  get segments(): boolean {
    return (this.view.getUint32(160, true) & 1) !== 0;
  }
  set segments(value: boolean) {
    this.view.setUint32(160, (this.view.getUint32(160, true) & ~1) | (value ? 1 : 0), true);
  }
  /** Size of the code: 64-bit mode, or compatibility mode with 32-bit or 16-bit segments. */
  get bits(): 16 | 32 | 64 {
    const options = this.view.getUint32(160, true);
    return (options & 4) !== 0 ? 16 : (options & 2) !== 0 ? 32 : 64;
  }
  set bits(value: 16 | 32 | 64) {
    const options = this.view.getUint32(160, true) & ~6;
    this.view.setUint32(160, options | (value === 16 ? 4 : value === 32 ? 2 : 0), true);
  }
  get code(): Uint8Array {
    return this.bytes.subarray(168, 168 + this.view.getUint32(164, true));
  }
  set code(code: ArrayLike<number>) {
    this.view.setUint32(164, code.length, true);
    this.bytes.set(code, 168);
  }
  /** Offset in the data pages of {@link patch}. */
  get patchAt(): number {
    return this.view.getUint32(200, true);
  }
  get patch(): Uint8Array {
    return this.bytes.subarray(208, 208 + this.view.getUint32(204, true));
  }
  /** What the data pages hold at an address, as far as it can be written; replaces an earlier patch. */
  setPatch(address: bigint, bytes: Uint8Array): void {
    const at = address - DATA;
    if (at < 0n || at >= BigInt(DATA_WRITABLE)) return;
    const offset = Number(at);
    const length = Math.min(bytes.length, DATA_WRITABLE - offset, Request.MAX_PATCH);
    this.view.setUint32(200, offset, true);
    this.view.setUint32(204, length, true);
    this.bytes.set(bytes.subarray(0, length), 208);
  }
  clearPatch(): void {
    this.view.setUint32(200, 0, true);
    this.view.setUint32(204, 0, true);
  }
}

/** What a snippet ended with: which exception, and the state before it. */
export class Reply {
  static readonly GPR_BYTES = 128;
  static readonly TIMEOUT = 0xffff;
  private readonly view: DataView;
  readonly vectors: VectorState | undefined;

  constructor(
    readonly bytes: Uint8Array,
    /** New content of the data pages where they changed; the rest is as it was. */
    readonly dirty: Uint8Array,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, RECORD_SIZE);
    if (bytes.length > RECORD_SIZE) this.vectors = new VectorState(bytes.subarray(RECORD_SIZE));
  }

  /** The general registers, 8 bytes each. */
  get registers(): Uint8Array {
    return this.bytes.subarray(0, Reply.GPR_BYTES);
  }
  register(index: number): bigint {
    return this.view.getBigUint64(index * 8, true);
  }
  get rflags(): number {
    return this.view.getUint32(R_FLAGS, true);
  }
  set rflags(value: number) {
    this.view.setBigUint64(R_FLAGS, BigInt(value), true);
  }
  get rip(): bigint {
    return this.view.getBigUint64(RIP, true);
  }
  set rip(value: bigint) {
    this.view.setBigUint64(RIP, value, true);
  }
  get vector(): number {
    return this.view.getUint32(144, true);
  }
  set vector(value: number) {
    this.view.setUint32(144, value, true);
  }
  get error(): number {
    return this.view.getUint32(148, true);
  }
  set error(value: number) {
    this.view.setUint32(148, value, true);
  }
  get cr2(): bigint {
    return this.view.getBigUint64(152, true);
  }
  set cr2(value: bigint) {
    this.view.setBigUint64(152, value, true);
  }
  /** Selectors in the order CS SS DS ES FS GS. */
  selector(place: number): number {
    return this.view.getUint16(160 + place * 2, true);
  }
  setSelector(place: number, value: number): void {
    this.view.setUint16(160 + place * 2, value, true);
  }
  get fsBase(): bigint {
    return this.view.getBigUint64(176, true);
  }
  set fsBase(value: bigint) {
    this.view.setBigUint64(176, value, true);
  }
  get gsBase(): bigint {
    return this.view.getBigUint64(184, true);
  }
  set gsBase(value: bigint) {
    this.view.setBigUint64(184, value, true);
  }
  get dirtyAt(): number {
    return this.view.getUint32(192, true);
  }
  get dirtyLength(): number {
    return this.view.getUint32(196, true);
  }
}

const NAMES = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi', 'r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'];

export function registerName(index: number): string {
  return NAMES[index] ?? '?';
}

/** The start state of a case on two lines, for a failing test. */
export function describeRequest(request: Request): string {
  const registers = NAMES.map((name, index) => `${name}=${hex(request.register(index))}`).join(' ');
  const code = Buffer.from(request.code).toString('hex');
  const patch = Buffer.from(request.patch).toString('hex');
  return (
    `code ${code} at ${hex(request.rip)}, rflags=${hex(request.rflags)}, data+${hex(request.patchAt)}: ${patch}, ` +
    `fs=${hex(request.fsBase)} gs=${hex(request.gsBase)}\n  ${registers}${request.vectors ? `\n  ${request.vectors.describe()}` : ''}`
  );
}
