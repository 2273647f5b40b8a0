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

/** What may be the case for each kind of instructions. */
const FAULTS = [undefined, Vector.NM, Vector.UD] as const;

/** All answers, by their keys. */
const known: readonly UnitFaults[] = Array.from({ length: 64 }, (_, key) => ({
  mmx: FAULTS[key & 3],
  sse: FAULTS[(key >> 2) & 3],
  avx: FAULTS[key >> 4],
  key,
}));
const none: UnitFaults = { mmx: undefined, sse: undefined, avx: undefined, key: 0 };

/** What CR0, CR4 and XCR0 say of MMX, SSE and AVX instructions (Intel SDM vol. 3, 2.5 and 13.2; vol. 2, 2.4). Equal answers are one object. */
export function unitFaults(state: CpuState): UnitFaults {
  const cr0 = state.get32(L.CR0);
  const cr4 = state.get32(L.CR4);
  const absent = cr0 & CR0_TS ? 1 : 0;
  const mmx = cr0 & CR0_EM ? 2 : absent;
  const sse = cr0 & CR0_EM || !(cr4 & CR4_OSFXSR) ? 2 : absent;
  const avx = cr4 & CR4_OSXSAVE && (state.get32(L.XCR0) & XCR0_AVX) === XCR0_AVX ? absent : 2;
  return known[mmx | (sse << 2) | (avx << 4)] ?? none;
}
