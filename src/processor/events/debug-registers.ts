import type { CpuState } from '../state/cpu-state.ts';
import * as L from '../state/layout.ts';

const CR4_DE = 1n << 3n;

/** DR7 and DR6 (Intel SDM vol. 3, 18.2). R/W values: 0 execution, 1 data writes, 2 I/O (with CR4.DE), 3 data reads and writes. */

const LENGTHS = [1n, 2n, 8n, 4n] as const;

function enabled(dr7: bigint, index: number): boolean {
  return (dr7 & (3n << BigInt(index * 2))) !== 0n;
}

function kind(dr7: bigint, index: number): number {
  return Number((dr7 >> BigInt(16 + index * 4)) & 3n);
}

/** True when a debug register's range, by its length in DR7, has any of the bytes. */
function covers(state: CpuState, index: number, address: bigint, size: number): boolean {
  const dr7 = state.get64(L.DR + 7 * 8);
  const length = LENGTHS[Number((dr7 >> BigInt(18 + index * 4)) & 3n)] ?? 1n;
  // The low bits of the address that the length covers are ignored.
  const start = state.get64(L.DR + index * 8) & ~(length - 1n);
  return start < address + BigInt(size) && address < start + length;
}

/** DR6 bits of the execution breakpoints on a linear address. */
export function executeBreakpoints(state: CpuState, linear: bigint): bigint {
  const dr7 = state.get64(L.DR + 7 * 8);
  let bits = 0n;
  for (let index = 0; index < 4; index++)
    if (enabled(dr7, index) && kind(dr7, index) === 0 && state.get64(L.DR + index * 8) === linear) bits |= 1n << BigInt(index);
  return bits;
}

/** True when any of DR0–DR3 watches data. */
export function hasDataBreakpoints(state: CpuState): boolean {
  const dr7 = state.get64(L.DR + 7 * 8);
  return [0, 1, 2, 3].some((index) => enabled(dr7, index) && (kind(dr7, index) & 1) === 1);
}

/** DR6 bits of the data breakpoints that an access touches. */
export function dataBreakpointHit(state: CpuState, linear: bigint, size: number, write: boolean): bigint {
  const dr7 = state.get64(L.DR + 7 * 8);
  let bits = 0n;
  for (let index = 0; index < 4; index++) {
    const type = kind(dr7, index);
    if (!enabled(dr7, index) || (type !== 3 && !(type === 1 && write))) continue;
    if (covers(state, index, linear, size)) bits |= 1n << BigInt(index);
  }
  return bits;
}

/**
 * DR6 bits of the I/O breakpoints that an access to `size` bytes of ports touches: R/W 2, which means that only with CR4.DE
 * (Intel SDM vol. 3, 18.2.4 and 18.3.1.3).
 */
export function portBreakpointHit(state: CpuState, port: number, size: number): bigint {
  if ((state.get64(L.CR4) & CR4_DE) === 0n) return 0n;
  const dr7 = state.get64(L.DR + 7 * 8);
  let bits = 0n;
  for (let index = 0; index < 4; index++)
    if (enabled(dr7, index) && kind(dr7, index) === 2 && covers(state, index, BigInt(port), size)) bits |= 1n << BigInt(index);
  return bits;
}
