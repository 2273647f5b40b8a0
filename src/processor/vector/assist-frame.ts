import { GuestFault, Vector } from '../faults/guest-fault.ts';
import { VECTOR_OPERANDS, VECTOR_RESULT } from '../interpreter/operation.ts';
import type { CpuState } from '../state/cpu-state.ts';
import * as L from '../state/layout.ts';

const CR4_OSXMMEXCPT = 1n << 10n;
const OPERAND_SIZE = 16;

/** What an assist works on: up to three operands of 128 bits, the result, and MXCSR. */
export class AssistFrame {
  private readonly bytes: Uint8Array;
  private readonly view: DataView;
  private isFirstPart = false;
  /** Exceptions of the first part, by stage. */
  private waiting: number[] = [];

  constructor(private readonly state: CpuState) {
    const start = state.base + VECTOR_OPERANDS;
    const length = VECTOR_RESULT + OPERAND_SIZE - VECTOR_OPERANDS;
    this.bytes = new Uint8Array(state.buffer, start, length);
    this.view = new DataView(state.buffer, start, length);
  }

  u8(operand: number, lane: number): number {
    return this.bytes[operand * OPERAND_SIZE + lane] ?? 0;
  }
  u16(operand: number, lane: number): number {
    return this.view.getUint16(operand * OPERAND_SIZE + lane * 2, true);
  }
  u32(operand: number, lane: number): number {
    return this.view.getUint32(operand * OPERAND_SIZE + lane * 4, true);
  }
  u64(operand: number, lane: number): bigint {
    return this.view.getBigUint64(operand * OPERAND_SIZE + lane * 8, true);
  }

  f32(operand: number, lane: number): number {
    return this.view.getFloat32(operand * OPERAND_SIZE + lane * 4, true);
  }
  f64(operand: number, lane: number): number {
    return this.view.getFloat64(operand * OPERAND_SIZE + lane * 8, true);
  }
  /** Whether a lane is a NaN without its quiet bit. */
  isSignaling(isDouble: boolean, operand: number, lane: number): boolean {
    if (!isDouble) {
      const bits = this.u32(operand, lane) & 0x7fff_ffff;
      return bits > 0x7f80_0000 && bits < 0x7fc0_0000;
    }
    const high = this.u32(operand, lane * 2 + 1) & 0x7fff_ffff;
    return high >= 0x7ff0_0000 && high < 0x7ff8_0000 && (high > 0x7ff0_0000 || this.u32(operand, lane * 2) !== 0);
  }

  private at(offset: number): number {
    return VECTOR_RESULT - VECTOR_OPERANDS + offset;
  }
  clear(): void {
    this.bytes.fill(0, this.at(0));
  }
  set8(lane: number, value: number): void {
    this.view.setUint8(this.at(lane), value);
  }
  set16(lane: number, value: number): void {
    this.view.setUint16(this.at(lane * 2), value, true);
  }
  set32(lane: number, value: number): void {
    this.view.setInt32(this.at(lane * 4), value, true);
  }
  set64(lane: number, value: bigint): void {
    this.view.setBigUint64(this.at(lane * 8), BigInt.asUintN(64, value), true);
  }

  /** JavaScript may change the bits of NaNs, which these are not for. */
  setF32(lane: number, value: number): void {
    this.view.setFloat32(this.at(lane * 4), value, true);
  }
  setF64(lane: number, value: number): void {
    this.view.setFloat64(this.at(lane * 8), value, true);
  }
  copyLane(isDouble: boolean, operand: number, lane: number): void {
    if (!isDouble) this.set32(lane, this.u32(operand, lane));
    else for (const word of [lane * 2, lane * 2 + 1]) this.set32(word, this.u32(operand, word));
  }
  setDefaultNan(isDouble: boolean, lane: number): void {
    if (!isDouble) this.set32(lane, 0xffc0_0000);
    else {
      this.set32(lane * 2, 0);
      this.set32(lane * 2 + 1, 0xfff8_0000);
    }
  }

  get mxcsr(): number {
    return this.state.get32(L.MXCSR);
  }
  /**
   * Notes exceptions in MXCSR, those of each stage of the computation unless one of an earlier stage is not masked. Throws #XM, or #UD
   * where the system software doesn't handle that, for one that is not masked (Intel SDM vol. 1, 11.5 and E.4.3). The two parts of a
   * vector of 256 bits go through the stages together: the first one's exceptions wait for the second's.
   */
  raise(...stages: number[]): void {
    const all = stages.map((flags, stage) => flags | (this.waiting[stage] ?? 0));
    this.waiting = this.isFirstPart ? all : [];
    if (this.isFirstPart) return;
    const { mxcsr } = this;
    let noted = 0;
    let faults = false;
    for (const flags of all) {
      if (faults) break;
      noted |= flags;
      faults = (flags & ~(mxcsr >> 7) & 0x3f) !== 0;
    }
    this.state.set32(L.MXCSR, mxcsr | noted);
    if (faults) throw new GuestFault((this.state.cr4 & CR4_OSXMMEXCPT) === 0n ? Vector.UD : Vector.XM);
  }

  /** Which part of a vector comes next: one of its own, or the first or second of two. */
  begin(part: 'only' | 'first' | 'second'): void {
    this.isFirstPart = part === 'first';
    if (part === 'only') this.waiting = [];
  }
}

/** Computes from the operands of a frame to its result. */
export type Assist = (frame: AssistFrame, immediate: number) => void;
