import type { CpuidResult, CpuModel } from './cpu-model.ts';

/**
 * Processor models: CPUID leaves and features from one table a vendor. Advertised is what the processor does: no FPU, no
 * SSE yet.
 */

type Leaf = readonly [eax: number, ebx: number, ecx: number, edx: number];
type Register = 'eax' | 'ebx' | 'ecx' | 'edx';

/** Features by name: leaf, subleaf, register and bit (Intel SDM vol. 2A, CPUID; AMD APM vol. 3, appendix E). */
const FEATURE_BITS: Readonly<Record<string, readonly [leaf: number, subleaf: number, register: Register, bit: number]>> = {
  de: [1, 0, 'edx', 2],
  pse: [1, 0, 'edx', 3],
  tsc: [1, 0, 'edx', 4],
  msr: [1, 0, 'edx', 5],
  pae: [1, 0, 'edx', 6],
  mce: [1, 0, 'edx', 7],
  cx8: [1, 0, 'edx', 8],
  apic: [1, 0, 'edx', 9],
  sep: [1, 0, 'edx', 11],
  mtrr: [1, 0, 'edx', 12],
  pge: [1, 0, 'edx', 13],
  mca: [1, 0, 'edx', 14],
  cmov: [1, 0, 'edx', 15],
  pat: [1, 0, 'edx', 16],
  pse36: [1, 0, 'edx', 17],
  clflush: [1, 0, 'edx', 19],
  x2apic: [1, 0, 'ecx', 21],
  movbe: [1, 0, 'ecx', 22],
  popcnt: [1, 0, 'ecx', 23],
  tscdeadline: [1, 0, 'ecx', 24],
  bmi1: [7, 0, 'ebx', 3],
  smep: [7, 0, 'ebx', 7],
  smap: [7, 0, 'ebx', 20],
  tscadjust: [7, 0, 'ebx', 1],
  umip: [7, 0, 'ecx', 2],
  lahf: [0x8000_0001, 0, 'ecx', 0],
  lzcnt: [0x8000_0001, 0, 'ecx', 5],
  syscall: [0x8000_0001, 0, 'edx', 11],
  nx: [0x8000_0001, 0, 'edx', 20],
  pdpe1gb: [0x8000_0001, 0, 'edx', 26],
  rdtscp: [0x8000_0001, 0, 'edx', 27],
  lm: [0x8000_0001, 0, 'edx', 29],
  invtsc: [0x8000_0007, 0, 'edx', 8],
};

/** TZCNT is decoded as its own instruction although the rest of BMI1 is not there: advertised only as a whole, later. */
const DECODED_ONLY: ReadonlySet<string> = new Set(['bmi1']);

const PHYSICAL_BITS = 40;
const EMPTY: Leaf = [0, 0, 0, 0];

function text(value: string): number[] {
  const bytes = new TextEncoder().encode(value.padEnd(48, '\0'));
  const view = new DataView(bytes.buffer);
  return Array.from({ length: 12 }, (_, index) => view.getUint32(index * 4, true));
}

interface ModelTable {
  readonly name: string;
  readonly vendor: 'intel' | 'amd';
  readonly vendorString: string;
  readonly brand: string;
  readonly signature: number;
  readonly maxBasic: number;
  readonly leaves: Readonly<Record<number, Leaf>>;
}

function makeModel(table: ModelTable): CpuModel {
  const [b = 0, d = 0, c = 0] = text(table.vendorString);
  const brand = text(table.brand);
  const leaves = new Map<number, Leaf>(Object.entries(table.leaves).map(([leaf, value]) => [Number(leaf), value]));
  leaves.set(0, [table.maxBasic, b, c, d]);
  leaves.set(1, [table.signature, 0x0001_0800, 0, 0]);
  leaves.set(7, EMPTY);
  leaves.set(0x8000_0000, [0x8000_0008, ...(table.vendor === 'amd' ? ([b, c, d] as const) : ([0, 0, 0] as const))]);
  leaves.set(0x8000_0001, [table.vendor === 'amd' ? table.signature : 0, 0, 0, 0]);
  for (let index = 0; index < 3; index++) {
    const [eax = 0, ebx = 0, ecx = 0, edx = 0] = brand.slice(index * 4);
    leaves.set(0x8000_0002 + index, [eax, ebx, ecx, edx]);
  }
  leaves.set(0x8000_0007, EMPTY);
  leaves.set(0x8000_0008, [PHYSICAL_BITS | (48 << 8), 0, 0, 0]);

  const registers: readonly Register[] = ['eax', 'ebx', 'ecx', 'edx'];
  const features = new Map<string, boolean>();
  const result = (leaf: number, subleaf: number): CpuidResult => {
    const [eax, ebx, ecx, edx] = leaves.get(leaf) ?? EMPTY;
    const values = { eax, ebx, ecx, edx };
    for (const [name, [itsLeaf, itsSubleaf, register, bit]] of Object.entries(FEATURE_BITS))
      if (itsLeaf === leaf && itsSubleaf === subleaf && !DECODED_ONLY.has(name)) values[register] |= 1 << bit;
    for (const register of registers) values[register] >>>= 0;
    return values;
  };
  for (const name of Object.keys(FEATURE_BITS)) features.set(name, true);
  return {
    name: table.name,
    vendor: table.vendor,
    physicalAddressBits: PHYSICAL_BITS,
    has: (feature) => features.get(feature) ?? false,
    cpuid: (leaf, subleaf) => {
      const number = leaf >>> 0;
      // Intel's processors answer unknown basic leaves with the highest one; AMD's with zeroes.
      if (number > table.maxBasic && number < 0x4000_0000 && table.vendor === 'intel') return result(table.maxBasic, subleaf);
      if (number === 7 && subleaf !== 0) return { eax: 0, ebx: 0, ecx: 0, edx: 0 };
      return result(number, number === 7 ? subleaf : 0);
    },
  };
}

const intel = makeModel({
  name: 'hyperscope-intel',
  vendor: 'intel',
  vendorString: 'GenuineIntel',
  brand: 'Hyperscope emulated processor (Intel)',
  signature: 0x0005_06e3,
  maxBasic: 0x15,
  leaves: {
    2: [0x0076_0001, 0, 0, 0],
    11: [0, 1, 0x100, 0],
    // TSC: 1 GHz crystal × 1.
    21: [1, 1, 1_000_000_000, 0],
  },
});

const amd = makeModel({
  name: 'hyperscope-amd',
  vendor: 'amd',
  vendorString: 'AuthenticAMD',
  brand: 'Hyperscope emulated processor (AMD)',
  signature: 0x0083_0f10,
  maxBasic: 0x10,
  leaves: { 11: [0, 1, 0x100, 0] },
});

/** The model of a vendor. */
export function cpuModel(vendor: 'intel' | 'amd'): CpuModel {
  return vendor === 'intel' ? intel : amd;
}
