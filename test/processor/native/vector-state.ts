import type { CpuState } from '../../../src/processor/state/cpu-state.ts';
import * as L from '../../../src/processor/state/layout.ts';

/** An FXSAVE image (Intel SDM vol. 1, table 10-2), then the upper halves of YMM0–YMM15. */
export const VECTOR_BYTES = 768;
const CONTROL = 0;
const STATUS = 2;
const TAGS = 4;
const OPCODE = 6;
const POINTERS = 8;
const MXCSR = 24;
const STACK = 32;
const XMM = 160;
const INITIAL = 504;
const UPPER = 512;
const TOP = 0x3800;

/** State of x87, MMX, SSE and AVX, as harness.c gets and gives it. */
export class VectorState {
  private readonly view: DataView;
  constructor(readonly bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, VECTOR_BYTES);
  }

  get mxcsr(): number {
    return this.view.getUint32(MXCSR, true);
  }
  set mxcsr(value: number) {
    this.view.setUint32(MXCSR, value, true);
  }
  get control(): number {
    return this.view.getUint16(CONTROL, true);
  }
  set control(value: number) {
    this.view.setUint16(CONTROL, value, true);
  }
  get status(): number {
    return this.view.getUint16(STATUS, true);
  }
  set status(value: number) {
    this.view.setUint16(STATUS, value, true);
  }
  /** Bit i: physical register i is not empty. */
  get tags(): number {
    return this.view.getUint8(TAGS);
  }
  set tags(value: number) {
    this.view.setUint8(TAGS, value);
  }
  /** Opcode, instruction and data pointer of the last x87 instruction that noted them. */
  get opcode(): number {
    return this.view.getUint16(OPCODE, true);
  }
  set opcode(value: number) {
    this.view.setUint16(OPCODE, value, true);
  }
  get ip(): bigint {
    return this.view.getBigUint64(POINTERS, true);
  }
  set ip(value: bigint) {
    this.view.setBigUint64(POINTERS, value, true);
  }
  get dp(): bigint {
    return this.view.getBigUint64(POINTERS + 8, true);
  }
  set dp(value: bigint) {
    this.view.setBigUint64(POINTERS + 8, value, true);
  }
  /** Components, as bits of XCR0, that the case starts with in their initial configuration; the rest says what that is. */
  get initial(): number {
    return this.view.getUint8(INITIAL);
  }
  set initial(value: number) {
    this.view.setUint8(INITIAL, value);
  }
  private get top(): number {
    return (this.status >> 11) & 7;
  }

  /** 16 bytes of part 0 or 1 of a YMM register. */
  part(register: number, part: number): Uint8Array {
    const at = (part === 0 ? XMM : UPPER) + register * 16;
    return this.bytes.subarray(at, at + 16);
  }
  /** 10 bytes of an x87 register by its physical number, which MMX registers have too; depends on the status word. */
  x87(register: number): Uint8Array {
    const at = STACK + ((register - this.top) & 7) * 16;
    return this.bytes.subarray(at, at + 10);
  }

  /** Copies the vector registers to a processor or from it, 4 bytes at a time: each is in two places here, and in one there. */
  private copyVectors({ i32 }: CpuState, goesThere: boolean): void {
    const own = new Int32Array(this.bytes.buffer, this.bytes.byteOffset, VECTOR_BYTES >> 2);
    for (let word = 0; word < 16 * 8; word++) {
      const place = (L.VECTORS >> 2) + word;
      const at = ((word & 4 ? UPPER : XMM) >> 2) + (word >> 3) * 4 + (word & 3);
      if (goesThere) i32[place] = own[at] ?? 0;
      else own[at] = i32[place] ?? 0;
    }
  }

  /** Puts it into an emulated processor. */
  loadInto(state: CpuState): void {
    this.copyVectors(state, true);
    const bytes = new Uint8Array(state.buffer, state.base, L.FPU_END);
    for (let register = 0; register < 8; register++)
      bytes.set(this.x87(register), L.X87_REGISTERS + register * L.X87_REGISTER_SIZE);
    state.set32(L.X87_CONTROL, this.control);
    state.set32(L.X87_STATUS, this.status);
    state.set32(L.X87_TAGS, this.tags);
    state.set32(L.MXCSR, this.mxcsr);
    state.set32(L.X87_OPCODE, this.opcode);
    state.set64(L.X87_IP, this.ip);
    state.set64(L.X87_DP, this.dp);
    state.set32(L.X87_CS, 0);
    state.set32(L.X87_DS, 0);
  }

  /** Takes it from an emulated processor. */
  takeFrom(state: CpuState): void {
    const bytes = new Uint8Array(state.buffer, state.base, L.FPU_END);
    this.control = state.get32(L.X87_CONTROL);
    this.status = state.get32(L.X87_STATUS);
    this.tags = state.get32(L.X87_TAGS);
    this.mxcsr = state.get32(L.MXCSR);
    this.opcode = state.get32(L.X87_OPCODE);
    this.ip = state.get64(L.X87_IP);
    this.dp = state.get64(L.X87_DP);
    this.copyVectors(state, false);
    for (let register = 0; register < 8; register++) {
      const at = L.X87_REGISTERS + register * L.X87_REGISTER_SIZE;
      this.x87(register).set(bytes.subarray(at, at + 10));
    }
  }

  /**
   * What differs in words, this one's value first. `isNear` says of lanes of 32 bits that differ whether that is allowed; `ignoresStack`
   * leaves out TOP and the tags. Where the last x87 instruction was is not looked at.
   */
  differences(
    other: VectorState,
    { isNear = () => false, ignoresStack }: { isNear?: (a: number, b: number) => boolean; ignoresStack: boolean },
  ): string[] {
    const found: string[] = [];
    const word = (name: string, a: number, b: number): void => {
      if (a !== b) found.push(`${name} ${a.toString(16)} not ${b.toString(16)}`);
    };
    word('mxcsr', this.mxcsr, other.mxcsr);
    word('fcw', this.control, other.control);
    const top = ignoresStack ? TOP : 0;
    word('fsw', this.status | top, other.status | top);
    if (!ignoresStack) word('ftw', this.tags, other.tags);
    const differs = (from: number, to: number): boolean =>
      Buffer.compare(this.bytes.subarray(from, to), other.bytes.subarray(from, to)) !== 0;
    if (differs(XMM, XMM + 256) || differs(UPPER, UPPER + 256)) found.push(...this.vectorDifferences(other, isNear));
    if (differs(STACK, STACK + 128))
      for (let index = 0; index < 8; index++) {
        const [a, b] = [this.x87(index), other.x87(index)];
        if (Buffer.compare(a, b) !== 0) found.push(`r${index} ${digits(a)} not ${digits(b)}`);
      }
    return found;
  }

  private vectorDifferences(other: VectorState, isNear: (a: number, b: number) => boolean): string[] {
    const found: string[] = [];
    for (let index = 0; index < 16; index++)
      for (let part = 0; part < 2; part++) {
        const [a, b] = [Buffer.from(this.part(index, part)), Buffer.from(other.part(index, part))];
        const isFar = [0, 4, 8, 12].some((at) => {
          const [x, y] = [a.readUInt32LE(at), b.readUInt32LE(at)];
          return x !== y && !isNear(x, y);
        });
        if (isFar) found.push(`${part === 0 ? `xmm${index}` : `ymm${index} upper half`} ${digits(a)} not ${digits(b)}`);
      }
    return found;
  }

  /** All of it on a few lines, for a failing test. */
  describe(): string {
    const registers = (count: number, name: string, of: (index: number) => string): string =>
      Array.from({ length: count }, (_, index) => `${name}${index}=${of(index)}`).join(' ');
    const words = [this.mxcsr, this.control, this.status, this.tags].map((word) => word.toString(16));
    return [
      `mxcsr=${words[0]} fcw=${words[1]} fsw=${words[2]} ftw=${words[3]}`,
      registers(8, 'r', (index) => digits(this.x87(index))),
      registers(16, 'ymm', (index) => `${digits(this.part(index, 1))}_${digits(this.part(index, 0))}`),
    ].join('\n  ');
  }
}

/** As a number: the highest byte first. */
function digits(bytes: Uint8Array): string {
  return Buffer.from(bytes).reverse().toString('hex');
}
