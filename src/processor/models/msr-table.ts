import type { Processor } from '../processor.ts';
import * as L from '../state/layout.ts';
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

const names: ReadonlyMap<number, string> = new Map(all.map(({ index, name }) => [index, name]));

/** The name of an MSR that the processor owns; undefined for another one. */
export function msrName(index: number): string | undefined {
  return names.get(index);
}

/** The value of an MSR that a vCPU's processor owns, for register views; undefined for another one. */
export function readMsr({ state, model }: Pick<Processor, 'state' | 'model'>, index: number): bigint | undefined {
  const readTsc = () => BigInt.asUintN(64, state.ticks + state.get64(L.TSC_OFFSET));
  return model.msr(index)?.read({ state, readTsc });
}
