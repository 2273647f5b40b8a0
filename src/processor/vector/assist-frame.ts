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

  get mxcsr(): number {
    return this.state.get32(L.MXCSR);
  }
  /**
   * Notes exceptions in MXCSR. Throws #XM, or #UD where the system software doesn't handle that (Intel SDM vol. 1, 11.5), when one of
   * them is not masked.
   */
  raise(flags: number): void {
    const { mxcsr } = this;
    this.state.set32(L.MXCSR, mxcsr | flags);
    if (flags & ~(mxcsr >> 7) & 0x3f) throw new GuestFault((this.state.cr4 & CR4_OSXMMEXCPT) === 0n ? Vector.UD : Vector.XM);
  }
}

/** Computes from the operands of a frame to its result. */
export type Assist = (frame: AssistFrame, immediate: number) => void;
