import { FloatFlag } from '../softfloat/environment.ts';
import type { AssistFrame } from './assist-frame.ts';

/** The operations that JavaScript's numbers do as the processor does, apart from flags. */
export type QuickOperation = 'add' | 'sub' | 'mul' | 'div';

/** Nothing was computed: the exact way must be taken. */
export const NOT_QUICK = -1;

interface Limits {
  /** Smallest normal number, and what is surely not tiny. */
  readonly normal: number;
  readonly clear: number;
  readonly round: (value: number) => number;
}
const DOUBLE: Limits = { normal: 2 ** -1022, clear: 2 ** -1021, round: (value) => value };
const SINGLE: Limits = { normal: 2 ** -126, clear: 2 ** -125, round: Math.fround };

function compute(operation: QuickOperation, a: number, b: number): number {
  switch (operation) {
    case 'add':
      return a + b;
    case 'sub':
      return a - b;
    case 'mul':
      return a * b;
    case 'div':
      return a / b;
  }
}

function isDenormal(value: number, { normal }: Limits): boolean {
  return value !== 0 && Math.abs(value) < normal;
}

/**
 * Computes one lane in a plain environment, infinities and quiet NaNs included, and gives the exceptions to note, of which those of
 * rounding may be missing if they are PE alone. Gives NOT_QUICK for what takes more: denormals, tiny results, signaling NaNs.
 *
 * Products and quotients of singles are exact enough as doubles that rounding them once more gives the same as rounding once.
 */
export function quickLane(frame: AssistFrame, isDouble: boolean, operation: QuickOperation, lane: number): number {
  const limits = isDouble ? DOUBLE : SINGLE;
  const a = isDouble ? frame.f64(0, lane) : frame.f32(0, lane);
  const b = isDouble ? frame.f64(1, lane) : frame.f32(1, lane);
  const isNanA = Number.isNaN(a);
  if (isNanA || Number.isNaN(b)) {
    if (frame.isSignaling(isDouble, 0, lane) || frame.isSignaling(isDouble, 1, lane)) return NOT_QUICK;
    frame.copyLane(isDouble, isNanA ? 0 : 1, lane);
    return 0;
  }
  if (isDenormal(a, limits) || isDenormal(b, limits)) return NOT_QUICK;
  const result = limits.round(compute(operation, a, b));
  if (Number.isNaN(result)) {
    frame.setDefaultNan(isDouble, lane);
    return FloatFlag.IE;
  }
  const areFinite = Number.isFinite(a) && Number.isFinite(b);
  if (Math.abs(result) < limits.clear && (operation === 'mul' || operation === 'div')) {
    const isExactZero = a === 0 || (operation === 'mul' ? b === 0 : !Number.isFinite(b));
    if (!isExactZero) return NOT_QUICK;
  }
  if (isDouble) frame.setF64(lane, result);
  else frame.setF32(lane, result);
  if (Number.isFinite(result) || !areFinite) return 0;
  return operation === 'div' && b === 0 ? FloatFlag.ZE : FloatFlag.OE | FloatFlag.PE;
}
