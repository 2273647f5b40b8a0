import { Vector } from '../faults/guest-fault.ts';
import type { CpuState } from '../state/cpu-state.ts';
import * as L from '../state/layout.ts';
import type { UnitFaults } from './choose-form.ts';

const CR0_EM = 4n;
const CR0_TS = 8n;
const CR4_OSFXSR = 1n << 9n;
const CR4_OSXSAVE = 1n << 18n;
/** SSE and AVX state enabled. */
const XCR0_AVX = 6n;

/** What CR0, CR4 and XCR0 say of MMX, SSE and AVX instructions (Intel SDM vol. 3, 2.5 and 13.2; vol. 2, 2.4). */
export function unitFaults(state: CpuState): UnitFaults {
  const { cr0, cr4 } = state;
  const absent = (cr0 & CR0_TS) !== 0n ? Vector.NM : undefined;
  const emulated = (cr0 & CR0_EM) !== 0n;
  const avx = (cr4 & CR4_OSXSAVE) !== 0n && (state.get64(L.XCR0) & XCR0_AVX) === XCR0_AVX;
  return {
    mmx: emulated ? Vector.UD : absent,
    sse: emulated || (cr4 & CR4_OSFXSR) === 0n ? Vector.UD : absent,
    avx: avx ? absent : Vector.UD,
  };
}
