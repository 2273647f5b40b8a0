import { Component, supportedComponents } from '../models/state-components.ts';
import type { CpuState } from '../state/cpu-state.ts';
import * as L from '../state/layout.ts';
import type { SystemContext } from '../system/context.ts';
import { INITIAL_CONTROL } from '../x87/words.ts';

function isX87Initial(state: CpuState): boolean {
  if (state.get32(L.X87_CONTROL) !== INITIAL_CONTROL) return false;
  const words = [L.X87_STATUS, L.X87_TAGS, L.X87_OPCODE, L.X87_CS, L.X87_DS];
  if (words.some((place) => state.get32(place) !== 0)) return false;
  return isZero(state, L.X87_IP, 16) && isZero(state, L.X87_REGISTERS, 8 * L.X87_REGISTER_SIZE);
}

function isZero(state: CpuState, from: number, length: number): boolean {
  for (let word = from >> 2; word < (from + length) >> 2; word++) if (state.i32[word] !== 0) return false;
  return true;
}

function areHalvesZero(state: CpuState, half: 0 | 1): boolean {
  for (let index = 0; index < 16; index++) if (!isZero(state, L.VECTORS + index * L.VECTOR_SIZE + half * 16, 16)) return false;
  return true;
}

/**
 * Components that are not in their initial configuration (XINUSE; Intel SDM vol. 1, 13.6): exactly those, though processors may count
 * others too. MXCSR doesn't count.
 */
export function componentsInUse({ state, model }: SystemContext): number {
  const inUse =
    (isX87Initial(state) ? 0 : Component.X87) |
    (areHalvesZero(state, 0) ? 0 : Component.SSE) |
    (areHalvesZero(state, 1) ? 0 : Component.AVX) |
    (state.get32(L.PKRU) === 0 ? 0 : Component.PKRU);
  return inUse & supportedComponents(model);
}
