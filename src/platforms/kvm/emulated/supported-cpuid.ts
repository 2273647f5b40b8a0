import type { CpuidResult, CpuModel } from '../../../processor/models/cpu-model.ts';
import { FEATURES_LEAF, SIGNATURE_LEAF, TIMING_LEAF } from '../abi/cpuid.ts';
import { CpuidFlag } from '../abi/flags.ts';
import type { KvmCpuidEntry } from '../api/registers.ts';
import { hypervisorLeaf, LEAF_1_ECX } from '../handlers/cpuid.ts';

/** Leaves with an answer for each index. */
const INDEXED: readonly number[] = [0x4, 0x7, 0xb, 0xd, 0x12, 0x14, 0x1f];
const STATE_COMPONENTS = 64;

/** Whether there is nothing at an index of a leaf, and behind it. */
function endsAt(leaf: number, index: number, first: CpuidResult, { eax, ecx }: Readonly<CpuidResult>): boolean {
  if (leaf === 4) return (eax & 0x1f) === 0;
  if (leaf === 0xb || leaf === 0x1f) return ((ecx >> 8) & 0xff) === 0;
  if (leaf === 0xd) return index >= STATE_COMPONENTS;
  return index > first.eax;
}

function* leavesOf(model: CpuModel, from: number): Iterable<KvmCpuidEntry> {
  const last = model.cpuid(from, 0).eax >>> 0;
  for (let leaf = from; leaf <= last; leaf++) {
    const first = model.cpuid(leaf, 0);
    if (!INDEXED.includes(leaf)) {
      yield { function: leaf, index: 0, flags: 0, ...first, ecx: leaf === 1 ? first.ecx | LEAF_1_ECX : first.ecx };
      continue;
    }
    for (let index = 0; ; index++) {
      const found = model.cpuid(leaf, index);
      if (index > 0 && endsAt(leaf, index, first, found)) break;
      if (leaf === 0xd && index > 1 && found.eax === 0) continue;
      yield { function: leaf, index, flags: CpuidFlag.SIGNIFICANT_INDEX, ...found };
    }
  }
}

/** What CPUID can say in a guest of the emulated KVM: its processor's leaves and KVM's own. */
export function supportedCpuid(model: CpuModel): readonly KvmCpuidEntry[] {
  const own = [SIGNATURE_LEAF, FEATURES_LEAF, TIMING_LEAF].flatMap((leaf): KvmCpuidEntry[] => {
    const registers = hypervisorLeaf(leaf);
    return registers ? [{ function: leaf, index: 0, flags: 0, ...registers }] : [];
  });
  return [...leavesOf(model, 0), ...own, ...leavesOf(model, 0x8000_0000)];
}
