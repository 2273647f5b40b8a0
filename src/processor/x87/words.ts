/** Bits of x87's status word besides the exceptions in bits 0–5 (Intel SDM vol. 1, 8.1.3). */
export const Status = {
  /** With IE: a stack overflow or underflow. */
  SF: 0x0040,
  /** An exception that isn't masked is pending. */
  ES: 0x0080,
  C0: 0x0100,
  C1: 0x0200,
  C2: 0x0400,
  C3: 0x4000,
  /** As ES, for the 8087's sake. */
  B: 0x8000,
} as const;
export const CONDITIONS = Status.C0 | Status.C1 | Status.C2 | Status.C3;
export const EXCEPTIONS = 0x3f;
export const TOP_SHIFT = 11;
export const TOP_MASK = 7 << TOP_SHIFT;

/** Bits of the control word that hold what is written to them; bit 6 reads as 1. */
export const CONTROL_MASK = 0x1f3f;
export const CONTROL_ONES = 0x40;
/** After FNINIT: all masked, 64 bits of precision, rounding to nearest. */
export const INITIAL_CONTROL = 0x37f;

/** Significant bits by the control word's PC; the reserved value works as the full precision. */
export const PRECISIONS: readonly (number | undefined)[] = [24, undefined, 53, undefined];

/** A status word with ES and B as its exceptions and the control word's masks have them. */
export function withSummary(status: number, control: number): number {
  const pending = (status & ~control & EXCEPTIONS) !== 0;
  return pending ? status | Status.ES | Status.B : status & ~(Status.ES | Status.B);
}
