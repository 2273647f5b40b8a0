import { amd } from './amd.ts';
import type { CpuModel } from './cpu-model.ts';
import { intel } from './intel.ts';

/** The models by vendor. */
export const cpuModels: Readonly<Record<CpuModel['vendor'], CpuModel>> = { intel, amd };

/** The model of a vendor. */
export function cpuModel(vendor: CpuModel['vendor']): CpuModel {
  return cpuModels[vendor];
}
