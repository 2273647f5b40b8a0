import { Vector } from '../faults/guest-fault.ts';
import type { CpuState } from '../state/cpu-state.ts';
import * as L from '../state/layout.ts';
import type { UnitFaults } from './choose-form.ts';

const CR0_EM = 1 << 2;
const CR0_TS = 1 << 3;
const CR4_OSFXSR = 1 << 9;
const CR4_OSXSAVE = 1 << 18;
/** SSE and AVX state enabled. */
const XCR0_AVX = 6;

/** All answers, by their keys: a bit for each thing that is asked. */
const known: readonly UnitFaults[] = Array.from({ length: 32 }, (_, key) => {
  const [isEmulated, isAbsent, hasSse, hasXsave, hasAvx] = [0, 1, 2, 3, 4].map((bit) => (key >> bit) & 1);
  const absent = isAbsent ? Vector.NM : undefined;
  return {
    mmx: isEmulated ? Vector.UD : absent,
    sse: isEmulated || !hasSse ? Vector.UD : absent,
    avx: hasXsave && hasAvx ? absent : Vector.UD,
    xsave: hasXsave ? absent : Vector.UD,
    key,
  };
});
const none: UnitFaults = { mmx: undefined, sse: undefined, avx: undefined, xsave: undefined, key: 0 };

/**
 * What CR0, CR4 and XCR0 say of instructions with MMX, SSE and AVX registers and of those that save them (Intel SDM vol. 3, 2.5 and 13.2;
 * vol. 2, 2.4). Equal answers are one object.
 */
export function unitFaults(state: CpuState): UnitFaults {
  const cr0 = state.get32(L.CR0);
  const cr4 = state.get32(L.CR4);
  const key =
    (cr0 & CR0_EM ? 1 : 0) |
    (cr0 & CR0_TS ? 2 : 0) |
    (cr4 & CR4_OSFXSR ? 4 : 0) |
    (cr4 & CR4_OSXSAVE ? 8 : 0) |
    ((state.get32(L.XCR0) & XCR0_AVX) === XCR0_AVX ? 16 : 0);
  return known[key] ?? none;
}
