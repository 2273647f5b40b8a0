import type { Hyperv } from './hyperv.ts';

/** Values of a CPUID leaf. */
export interface Leaf {
  readonly eax: number;
  readonly ebx: number;
  readonly ecx: number;
  readonly edx: number;
}

/** Hypervisor present, TSC-deadline timer. */
export const LEAF_1_ECX = (1 << 31) | (1 << 24);

const LAST_LEAF = 0x4000_000c;

/** Hyper-V's own leaves; undefined for a leaf of the processor. */
export function hypervisorLeaf({ privileges }: Pick<Hyperv, 'privileges'>, leaf: number): Leaf | undefined {
  switch (leaf) {
    case 0x4000_0000:
      return { eax: LAST_LEAF, ebx: 0x7263_694d, ecx: 0x666f_736f, edx: 0x7648_2074 };
    case 0x4000_0001:
      return { eax: 0x3123_7648, ebx: 0, ecx: 0, edx: 0 };
    case 0x4000_0003:
      return { eax: Number(privileges & 0xffff_ffffn), ebx: Number(privileges >> 32n), ecx: 0, edx: 0 };
    default:
      return leaf > 0x4000_0000 && leaf <= LAST_LEAF ? { eax: 0, ebx: 0, ecx: 0, edx: 0 } : undefined;
  }
}
