import type { CpuModel } from './cpu-model.ts';
import { cpuModels } from './cpu-models.ts';

/** An MSR as register views, hovers and completion show it. */
export interface MsrReference {
  readonly index: number;
  readonly name: string;
  readonly description: string;
}

const all: readonly MsrReference[] = [
  ...new Map([...cpuModels.amd.msrs, ...cpuModels.intel.msrs].map((msr) => [msr.index, msr])).values(),
].sort((a, b) => a.index - b.index);

/** The MSRs that the processor owns, by index: a vendor's, or those of both. */
export function msrReference(vendor?: CpuModel['vendor']): readonly MsrReference[] {
  return vendor === undefined ? all : all.filter(({ index }) => cpuModels[vendor].msr(index) !== undefined);
}
