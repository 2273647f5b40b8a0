import type { CpuState } from '../state/cpu-state.ts';
import * as L from '../state/layout.ts';

/** MISC_ENABLE: the execute-disable bit of page tables is off, CPUID doesn't show it and EFER.NXE can't be set (Intel SDM vol. 4, 2.1). */
export const MISC_ENABLE_XD_DISABLE = 1n << 34n;

/** Whether firmware has switched execute-disable off. Only Intel's processors have the bit; it stays 0 in the others. */
export function xdDisabled(state: CpuState): boolean {
  return (state.get64(L.MSR_MISC_ENABLE) & MISC_ENABLE_XD_DISABLE) !== 0n;
}
