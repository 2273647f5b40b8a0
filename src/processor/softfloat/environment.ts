import { type FloatFormat, type Unpacked, unpack } from './format.ts';

/** Exceptions, as bits of MXCSR and of x87's status word. */
export const FloatFlag = { IE: 1, DE: 2, ZE: 4, OE: 8, UE: 16, PE: 32 } as const;

/** Rounding as in MXCSR.RC and in x87's control word. */
export const Rounding = { NEAREST: 0, DOWN: 1, UP: 2, ZERO: 3 } as const;
export type RoundingMode = 0 | 1 | 2 | 3;

/**
 * What operations go by and what they report. The result of an operation that raises an unmasked IE, DE or ZE means nothing,
 * and such an operation raises no OE, UE or PE (Intel SDM vol. 1, 4.9.2). For OE and UE that are not masked, the result has
 * its exponent wrapped, as x87 gives it; SSE has no result then.
 */
export interface FloatEnvironment {
  rounding: RoundingMode;
  /** A bit set masks the exception: bits 0–5, IE DE ZE OE UE PE. */
  masks: number;
  /** Denormal operands are zeros. */
  daz: boolean;
  /** Tiny results become zero while UE is masked. */
  ftz: boolean;
  /** Which of two NaNs an operation gives: SSE's rule, and x87's. */
  nanRule: 'first' | 'larger-significand';
  /** Significant bits of results if fewer than the format has (x87's precision control). */
  precision?: number | undefined;
  /** Exceptions raised so far: set to 0 before an instruction. */
  flags: number;
  /** The last rounding increased the magnitude (x87's C1). */
  roundedUp?: boolean;
}

/** SSE's environment, as MXCSR says. */
export function sseEnvironment(mxcsr: number): FloatEnvironment {
  return {
    rounding: ((mxcsr >> 13) & 3) as RoundingMode,
    masks: (mxcsr >> 7) & 0x3f,
    daz: (mxcsr & 0x40) !== 0,
    ftz: (mxcsr & 0x8000) !== 0,
    nanRule: 'first',
    flags: 0,
  };
}

/** An exception that comes before the computation is not masked: there will be no result. */
export function isStopped(environment: FloatEnvironment): boolean {
  return (environment.flags & ~environment.masks & (FloatFlag.IE | FloatFlag.DE | FloatFlag.ZE)) !== 0;
}

/** Takes an operand apart, a denormal one as zero if the environment says so. */
export function operand(environment: FloatEnvironment, format: FloatFormat, bits: bigint): Unpacked {
  const value = unpack(format, bits);
  return environment.daz && value.denormal ? { ...value, kind: 'zero', significand: 0n, denormal: false } : value;
}
