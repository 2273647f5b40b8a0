import { amdTable } from './amd.ts';
import type { CpuModel } from './cpu-model.ts';
import { intelTable } from './intel.ts';
import { makeModel } from './model.ts';

/** The models that are used when nobody names one, by vendor. */
export const cpuModels: Readonly<Record<CpuModel['vendor'], CpuModel>> = {
  intel: makeModel(intelTable),
  amd: makeModel(amdTable),
};

/** The model of a vendor. */
export function cpuModel(vendor: CpuModel['vendor']): CpuModel {
  return cpuModels[vendor];
}
