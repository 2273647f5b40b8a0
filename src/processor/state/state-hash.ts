import type { CpuState } from './cpu-state.ts';
import * as L from './layout.ts';

const PRIME = 0x100_0000_01b3n;
const OFFSET = 0xcbf2_9ce4_8422_2325n;
const MASK = 0xffff_ffff_ffff_ffffn;

/**
 * FNV-1a over 64-bit words of the architectural state. The flags go in as RFLAGS, since their split form has several ways
 * to say the same. `extra` is pending state that has no register.
 */
export function hashState(state: CpuState, extra: readonly number[]): bigint {
  let hash = OFFSET;
  const add = (word: bigint) => {
    hash = ((hash ^ word) * PRIME) & MASK;
  };
  for (let offset = 0; offset < L.ARCHITECTURAL_END; offset += 8)
    if (offset !== L.FLAG_RESULT && offset !== L.FLAG_BITS) add(state.get64(offset));
  for (let offset = L.FPU; offset < L.FPU_ARCHITECTURAL_END; offset += 8) add(state.get64(offset));
  add(BigInt(state.rflags));
  for (const value of extra) add(BigInt.asUintN(64, BigInt(value)));
  return hash;
}
