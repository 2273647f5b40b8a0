import type { CpuidResult } from './cpu-model.ts';

/** Where CPUID says that a feature is there. */
export interface FeatureBit {
  readonly leaf: number;
  readonly register: keyof CpuidResult;
  readonly bit: number;
}

type Rows = readonly (readonly [leaf: number, register: keyof CpuidResult, bit: number, name: string])[];

/** Features by name (Intel SDM vol. 2A, CPUID; AMD APM vol. 3, appendix E). Leaf 7 means its subleaf 0, leaf 0Dh its subleaf 1. */
const rows: Rows = [
  [1, 'edx', 1, 'vme'],
  [1, 'edx', 2, 'de'],
  [1, 'edx', 3, 'pse'],
  [1, 'edx', 4, 'tsc'],
  [1, 'edx', 5, 'msr'],
  [1, 'edx', 6, 'pae'],
  [1, 'edx', 7, 'mce'],
  [1, 'edx', 8, 'cx8'],
  [1, 'edx', 9, 'apic'],
  [1, 'edx', 11, 'sep'],
  [1, 'edx', 12, 'mtrr'],
  [1, 'edx', 13, 'pge'],
  [1, 'edx', 14, 'mca'],
  [1, 'edx', 15, 'cmov'],
  [1, 'edx', 16, 'pat'],
  [1, 'edx', 17, 'pse36'],
  [1, 'edx', 19, 'clflush'],
  [1, 'edx', 0, 'fpu'],
  [1, 'edx', 23, 'mmx'],
  [1, 'edx', 24, 'fxsr'],
  [1, 'edx', 25, 'sse'],
  [1, 'edx', 26, 'sse2'],
  [1, 'ecx', 0, 'sse3'],
  [1, 'ecx', 1, 'pclmulqdq'],
  [1, 'ecx', 9, 'ssse3'],
  [1, 'ecx', 12, 'fma'],
  [1, 'ecx', 13, 'cx16'],
  [1, 'ecx', 17, 'pcid'],
  [1, 'ecx', 19, 'sse4_1'],
  [1, 'ecx', 20, 'sse4_2'],
  [1, 'ecx', 21, 'x2apic'],
  [1, 'ecx', 22, 'movbe'],
  [1, 'ecx', 23, 'popcnt'],
  [1, 'ecx', 24, 'tscdeadline'],
  [1, 'ecx', 25, 'aes'],
  [1, 'ecx', 26, 'xsave'],
  [1, 'ecx', 28, 'avx'],
  [1, 'ecx', 29, 'f16c'],
  [1, 'ecx', 30, 'rdrand'],
  [7, 'ebx', 0, 'fsgsbase'],
  [7, 'ebx', 1, 'tscadjust'],
  [7, 'ebx', 3, 'bmi1'],
  [7, 'ebx', 5, 'avx2'],
  [7, 'ebx', 7, 'smep'],
  [7, 'ebx', 8, 'bmi2'],
  [7, 'ebx', 10, 'invpcid'],
  [7, 'ebx', 13, 'zerofcsfds'],
  [7, 'ebx', 18, 'rdseed'],
  [7, 'ebx', 19, 'adx'],
  [7, 'ebx', 20, 'smap'],
  [7, 'ebx', 23, 'clflushopt'],
  [7, 'ebx', 24, 'clwb'],
  [7, 'ebx', 29, 'sha'],
  [7, 'ecx', 2, 'umip'],
  [7, 'ecx', 3, 'pku'],
  [7, 'ecx', 22, 'rdpid'],
  [0xd, 'eax', 0, 'xsaveopt'],
  [0xd, 'eax', 1, 'xsavec'],
  [0xd, 'eax', 2, 'xgetbv1'],
  [0xd, 'eax', 3, 'xsaves'],
  [0x8000_0001, 'ecx', 0, 'lahf'],
  [0x8000_0001, 'ecx', 4, 'altmovcr8'],
  [0x8000_0001, 'ecx', 5, 'lzcnt'],
  [0x8000_0001, 'edx', 11, 'syscall'],
  [0x8000_0001, 'edx', 20, 'nx'],
  [0x8000_0001, 'edx', 26, 'pdpe1gb'],
  [0x8000_0001, 'edx', 27, 'rdtscp'],
  [0x8000_0001, 'edx', 29, 'lm'],
  [0x8000_0007, 'edx', 8, 'invtsc'],
];

export const FEATURES: ReadonlyMap<string, FeatureBit> = new Map(
  rows.map(([leaf, register, bit, name]) => [name, { leaf, register, bit }]),
);

/** What both vendors' models have: x86-64-v3, and more. */
export const COMMON_FEATURES: readonly string[] = [
  ...['de', 'pse', 'tsc', 'msr', 'pae', 'mce', 'cx8', 'apic', 'sep', 'mtrr', 'pge', 'mca', 'cmov', 'pat', 'pse36', 'clflush'],
  ...['cx16', 'x2apic', 'movbe', 'popcnt', 'tscdeadline', 'smep', 'smap', 'umip', 'fsgsbase'],
  ...['rdrand', 'rdseed', 'clflushopt', 'clwb'],
  ...['bmi1', 'bmi2', 'adx'],
  ...['lahf', 'lzcnt', 'syscall', 'nx', 'pdpe1gb', 'rdtscp', 'lm', 'invtsc', 'fpu'],
  ...['fxsr', 'xsave', 'xsaveopt', 'xsavec', 'xgetbv1', 'xsaves'],
  ...['mmx', 'sse', 'sse2', 'sse3', 'ssse3', 'sse4_1', 'sse4_2', 'aes', 'pclmulqdq'],
  ...['avx', 'avx2', 'fma', 'f16c'],
];

/** What the emulated processor can do: nothing else is ever advertised. */
export const IMPLEMENTED: ReadonlySet<string> = new Set([
  ...COMMON_FEATURES,
  ...['tscadjust', 'pcid', 'invpcid', 'pku', 'rdpid', 'altmovcr8', 'zerofcsfds', 'sha'],
]);

/** Features that others need, which are named behind them. */
export const REQUIRED_BY: Readonly<Record<string, readonly string[]>> = {
  fpu: ['mmx', 'fxsr', 'lm'],
  fxsr: ['sse', 'xsave', 'lm'],
  xsave: ['avx', 'pku', 'xsaveopt', 'xsavec', 'xgetbv1', 'xsaves'],
  pae: ['lm', 'nx'],
  msr: ['lm', 'apic', 'mtrr', 'syscall'],
  pge: ['lm'],
  cx8: ['cx16', 'lm'],
  pse: ['pse36'],
  tsc: ['tscdeadline', 'tscadjust', 'rdtscp', 'invtsc', 'lm'],
  apic: ['x2apic', 'tscdeadline'],
  syscall: ['lm'],
  nx: ['lm'],
  lm: ['pcid', 'pdpe1gb', 'pku', 'fsgsbase', 'cx16'],
  clflush: ['clflushopt', 'clwb'],
  cmov: ['lm'],
  sse: ['sse2'],
  sse2: ['sse3', 'aes', 'pclmulqdq', 'sha', 'lm'],
  sse3: ['ssse3'],
  ssse3: ['sse4_1'],
  sse4_1: ['sse4_2'],
  sse4_2: ['avx'],
  avx: ['avx2', 'fma', 'f16c'],
};
