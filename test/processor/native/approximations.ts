/** Instructions whose results the manuals only bound: processors differ in the lowest bits. */
export function isApproximate(mnemonic: string): boolean {
  return /^v?r(cp|sqrt)[ps]s$/.test(mnemonic);
}

/**
 * Whether TOP and the tags of x87 are as the manuals have them. AMD's processors enter MMX operation even when one of these instructions
 * faults, and CVTPI2PS doesn't enter it with an operand in memory.
 */
export function entersMmxOddly(mnemonic: string): boolean {
  return /^(cvtt?p[sd]2pi|cvtpi2ps|maskmovq)$/.test(mnemonic);
}

const view = new DataView(new ArrayBuffer(8));

/** Whether two singles are both within 1.5 / 4096 of the exact result, relative to it, as far as the two can tell. */
export function isNear(a: number, b: number): boolean {
  view.setUint32(0, a);
  view.setUint32(4, b);
  const [x, y] = [view.getFloat32(0), view.getFloat32(4)];
  return Number.isFinite(x) && Number.isFinite(y) && Math.abs(x - y) <= (Math.abs(x) * 3) / 4096;
}
