import { amdTable } from './amd.ts';
import type { CpuModel } from './cpu-model.ts';
import { IMPLEMENTED } from './features.ts';
import { intelTable } from './intel.ts';
import type { ModelTable } from './model.ts';

/** Features of every x86-64 processor, as far as they are emulated. */
const BASE = [
  ...['de', 'pse', 'tsc', 'msr', 'pae', 'mce', 'cx8', 'apic', 'sep', 'mtrr', 'pge', 'mca', 'cmov', 'pat', 'pse36', 'clflush'],
  ...['cx16', 'lahf', 'syscall', 'nx', 'lm', 'fpu', 'fxsr', 'mmx', 'sse', 'sse2'],
];
const NEHALEM = [...BASE, 'sse3', 'ssse3', 'sse4_1', 'sse4_2', 'popcnt', 'rdtscp', 'invtsc'];
const HASWELL = [
  ...NEHALEM,
  ...['pcid', 'x2apic', 'movbe', 'tscdeadline', 'rdrand', 'fsgsbase', 'tscadjust', 'bmi1', 'smep', 'bmi2', 'invpcid'],
  ...['lzcnt', 'pdpe1gb', 'zerofcsfds', 'xsave', 'xsaveopt'],
  ...['aes', 'pclmulqdq', 'avx', 'avx2', 'fma', 'f16c'],
];

/** A model made from the table of its vendor. */
const like = (table: ModelTable, changes: Pick<ModelTable, 'name' | 'brand' | 'signature' | 'features'>): ModelTable => ({
  ...table,
  ...changes,
});

/**
 * The tables of the models by name. They advertise what the real processor has, as far as the emulated one does it; `max` is all of
 * that, for either vendor.
 */
export const NAMED_MODELS: Readonly<Record<string, (vendor: CpuModel['vendor']) => ModelTable>> = {
  nehalem: () =>
    like(intelTable, {
      name: 'nehalem',
      brand: 'Hyperscope emulated processor (Nehalem)',
      signature: 0x0001_06a5,
      features: NEHALEM,
    }),
  haswell: () =>
    like(intelTable, {
      name: 'haswell',
      brand: 'Hyperscope emulated processor (Haswell)',
      signature: 0x0003_06c3,
      features: HASWELL,
    }),
  skylake: () => intelTable,
  epyc: () => amdTable,
  max: (vendor) => {
    const table = vendor === 'amd' ? amdTable : intelTable;
    // MOV to CR8 by LOCK, the MSR TSC_ADJUST and x87 pointers without selectors are one vendor's each.
    const others = vendor === 'amd' ? ['tscadjust', 'zerofcsfds'] : ['altmovcr8'];
    return { ...table, name: 'max', features: [...IMPLEMENTED].filter((feature) => !others.includes(feature)) };
  },
};
