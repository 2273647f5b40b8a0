import type { CpuState } from '../state/cpu-state.ts';
import * as L from '../state/layout.ts';
import type { SystemContext } from '../system/context.ts';
import { CONTROL_MASK, CONTROL_ONES, TOP_SHIFT, withSummary } from '../x87/words.ts';

/**
 * The image of FXSAVE, which is also the legacy region of XSAVE's (Intel SDM vol. 1, tables 10-2 and 10-3): x87 in bytes 0–23 and
 * 32–159, MXCSR with its mask in 24–31, XMM registers from 160. `wide` means that pointers have 64 bits and no selectors.
 */

export const X87_RANGES = [
  [0, 24],
  [32, 160],
] as const;
export const MXCSR_RANGE = [24, 32] as const;
const XMM_START = 160;
export const xmmRange = (count: number): readonly [number, number] => [XMM_START, XMM_START + count * 16];

/** Bits of MXCSR that may be set. */
export const MXCSR_MASK = 0xffff;
export const INITIAL_MXCSR = 0x1f80;

const STACK = 32;
const MXCSR = 24;
const OPCODE_MASK = 0x7ff;

/** Place of ST(index) in the state. */
function register(state: CpuState, index: number): number {
  const top = state.get32(L.X87_STATUS) >> TOP_SHIFT;
  return L.X87_REGISTERS + ((top + index) & 7) * L.X87_REGISTER_SIZE;
}

export function takeX87(state: CpuState, image: DataView, wide: boolean): void {
  image.setUint16(0, state.get32(L.X87_CONTROL), true);
  image.setUint16(2, state.get32(L.X87_STATUS), true);
  image.setUint16(4, state.get32(L.X87_TAGS), true);
  image.setUint16(6, state.get32(L.X87_OPCODE), true);
  image.setBigUint64(8, state.get64(L.X87_IP), true);
  image.setBigUint64(16, state.get64(L.X87_DP), true);
  if (!wide) {
    image.setUint32(12, state.get32(L.X87_CS), true);
    image.setUint32(20, state.get32(L.X87_DS), true);
  }
  for (let index = 0; index < 8; index++) {
    const from = register(state, index);
    image.setBigUint64(STACK + index * 16, state.get64(from), true);
    image.setBigUint64(STACK + index * 16 + 8, state.get64(from + 8) & 0xffffn, true);
  }
}

export function putX87({ state, model }: Pick<SystemContext, 'state' | 'model'>, image: DataView, wide: boolean): void {
  const hasSelectors = !wide && !model.has('zerofcsfds');
  const control = (image.getUint16(0, true) & CONTROL_MASK) | CONTROL_ONES;
  state.set32(L.X87_CONTROL, control);
  state.set32(L.X87_STATUS, withSummary(image.getUint16(2, true), control));
  state.set32(L.X87_TAGS, image.getUint8(4));
  state.set32(L.X87_OPCODE, image.getUint16(6, true) & OPCODE_MASK);
  const pointer = (at: number): bigint => (wide ? image.getBigUint64(at, true) : BigInt(image.getUint32(at, true)));
  const selector = (at: number): number => (hasSelectors ? image.getUint16(at, true) : 0);
  state.set64(L.X87_IP, pointer(8));
  state.set64(L.X87_DP, pointer(16));
  state.set32(L.X87_CS, selector(12));
  state.set32(L.X87_DS, selector(20));
  for (let index = 0; index < 8; index++) {
    const to = register(state, index);
    state.set64(to, image.getBigUint64(STACK + index * 16, true));
    state.set64(to + 8, BigInt(image.getUint16(STACK + index * 16 + 8, true)));
  }
}

export function takeMxcsr(state: CpuState, image: DataView): void {
  image.setUint32(MXCSR, state.get32(L.MXCSR), true);
  image.setUint32(MXCSR + 4, MXCSR_MASK, true);
}

/** MXCSR as an image has it; undefined where that has bits that are none. */
export function mxcsrOf(image: DataView): number | undefined {
  const value = image.getUint32(MXCSR, true);
  return (value & ~MXCSR_MASK) === 0 ? value : undefined;
}

/** Copies 16-byte halves of the first `count` vector registers between the state and an image: the lower ones or the upper. */
function copyHalves(state: CpuState, image: DataView, at: number, count: number, half: 0 | 1, restores: boolean): void {
  for (let index = 0; index < count; index++)
    for (let lane = 0; lane < 16; lane += 4) {
      const place = L.VECTORS + index * L.VECTOR_SIZE + half * 16 + lane;
      const offset = at + index * 16 + lane;
      if (restores) state.set32(place, image.getInt32(offset, true));
      else image.setInt32(offset, state.get32(place), true);
    }
}

export function takeXmm(state: CpuState, image: DataView, count: number): void {
  copyHalves(state, image, XMM_START, count, 0, false);
}
export function putXmm(state: CpuState, image: DataView, count: number): void {
  copyHalves(state, image, XMM_START, count, 0, true);
}
/** The upper halves of YMM registers, at an offset. */
export function takeUpper(state: CpuState, image: DataView, at: number, count: number): void {
  copyHalves(state, image, at, count, 1, false);
}
export function putUpper(state: CpuState, image: DataView, at: number, count: number): void {
  copyHalves(state, image, at, count, 1, true);
}
