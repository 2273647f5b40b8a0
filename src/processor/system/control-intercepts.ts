import type { OwnedBits } from '../intercepts.ts';
import type { SystemContext } from './context.ts';

/** TS and MP: what SVM's selective intercept lets a MOV to CR0 change. */
const SELECTIVE_PASSES = 0xan;
const LMSW_BITS = 0xen;
const PE = 1n;

/** Why a write leaves: it is intercepted as such, or for what it changes. */
type Leaves = 'intercepted' | 'selective' | undefined;

/** What the guest reads of a register. */
export function seenBits({ mask, shadow }: OwnedBits, value: bigint): bigint {
  return shadow === undefined ? value : (value & ~mask) | (shadow & mask);
}

/** What a write that doesn't leave puts into a register: bits of the hypervisor's stay as they are. */
export function keepOwned({ mask }: OwnedBits, old: bigint, value: bigint): bigint {
  return (value & ~mask) | (old & mask);
}

/** MOV to CR0, CR2, CR3, CR4 or CR8 (Intel SDM vol. 3, 26.1.3; AMD APM vol. 2, 15.9). */
export function moveLeaves({ intercepts, state }: SystemContext, register: 0 | 2 | 3 | 4 | 8, value: bigint): Leaves {
  const { cr, cr0, cr4, cr0Selective, cr3Targets } = intercepts;
  if (cr.write & (1 << register)) return register === 3 && cr3Targets.includes(value) ? undefined : 'intercepted';
  if (register === 0) {
    if (changesOwned(cr0, state.cr0, value)) return 'intercepted';
    return cr0Selective && ((state.cr0 ^ value) & ~SELECTIVE_PASSES) !== 0n ? 'selective' : undefined;
  }
  return register === 4 && changesOwned(cr4, state.cr4, value) ? 'intercepted' : undefined;
}

/** LMSW with this source. SVM's selective intercept takes every one, whatever it changes. */
export function lmswLeaves({ intercepts, state }: SystemContext, source: bigint): Leaves {
  const { cr, cr0, cr0Selective } = intercepts;
  if (cr.write & 1) return 'intercepted';
  if (cr0Selective) return 'selective';
  const changed = (seenBits(cr0, state.cr0) ^ source) & cr0.mask;
  // Clearing PE is something that LMSW doesn't do.
  return (changed & LMSW_BITS) !== 0n || (changed & source & PE) !== 0n ? 'intercepted' : undefined;
}

function changesOwned(owned: OwnedBits, current: bigint, value: bigint): boolean {
  return ((seenBits(owned, current) ^ value) & owned.mask) !== 0n;
}
