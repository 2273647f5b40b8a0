/** MXCSR without its sticky flags but PE, and what it is where rounding is plain. */
export const PLAIN_BITS = 0xffe0;
export const PLAIN = 0x1fa0;

/** The same without PE: what is exact needs neither care nor notice. */
export const NEAREST_BITS = 0xffc0;
export const NEAREST = 0x1f80;

/**
 * Whether floating point needs neither care nor notice of what is inexact: rounding is to nearest, all exceptions are masked, there is
 * neither DAZ nor FTZ, and PE is set already.
 */
export function isPlain(mxcsr: number): boolean {
  return (mxcsr & PLAIN_BITS) === PLAIN;
}
