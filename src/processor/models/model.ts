import type { CpuidResult, CpuModel } from './cpu-model.ts';
import { FEATURES, type FeatureBit } from './features.ts';
import type { Msr } from './msr.ts';
import { hasMsr } from './msr-features.ts';
import { stateLeaf } from './state-components.ts';

export type Leaf = readonly [eax: number, ebx: number, ecx: number, edx: number];

/** A processor model, written down. */
export interface ModelTable {
  readonly name: string;
  readonly vendor: 'intel' | 'amd';
  /** 12 letters of leaf 0. */
  readonly vendorString: string;
  /** At most 48 letters of leaves 8000_0002h to 8000_0004h. */
  readonly brand: string;
  /** Family, model and stepping: EAX of leaf 1. */
  readonly signature: number;
  readonly maxBasic: number;
  readonly maxExtended: number;
  readonly physicalAddressBits: number;
  /** What CPUID advertises, by names of `features.ts`. */
  readonly features: readonly string[];
  /** Leaves with their subleaves; the features' bits come on top. */
  readonly leaves: Readonly<Record<number, readonly Leaf[]>>;
  readonly msrs: readonly Msr[];
}

const EMPTY: Leaf = [0, 0, 0, 0];
/** Leaves that look at ECX. */
const BY_SUBLEAF: ReadonlySet<number> = new Set([4, 7, 0xb, 0xd]);
/** None of them has as many subleaves. */
const SUBLEAVES = 64;
/** Their subleaves that have features. */
const SUBLEAF_OF_FEATURES: Readonly<Record<number, number | undefined>> = { 7: 0, 13: 1 };

function words(text: string, bytes: number): number[] {
  const view = new DataView(new TextEncoder().encode(text.padEnd(bytes, '\0')).buffer);
  return Array.from({ length: bytes / 4 }, (_, index) => view.getUint32(index * 4, true));
}

/** Leaves that follow from the rest of the table. */
function derivedLeaves(table: ModelTable): readonly (readonly [number, Leaf])[] {
  const [b = 0, d = 0, c = 0] = words(table.vendorString, 12);
  const brand = words(table.brand, 48);
  const isAmd = table.vendor === 'amd';
  const brandLeaf = (index: number): Leaf => {
    const [eax = 0, ebx = 0, ecx = 0, edx = 0] = brand.slice(index * 4, index * 4 + 4);
    return [eax, ebx, ecx, edx];
  };
  return [
    [0, [table.maxBasic, b, c, d]],
    // CLFLUSH works on lines of 64 bytes.
    [1, [table.signature, 0x0800, 0, 0]],
    [0x8000_0000, isAmd ? [table.maxExtended, b, c, d] : [table.maxExtended, 0, 0, 0]],
    [0x8000_0001, [isAmd ? table.signature : 0, 0, 0, 0]],
    [0x8000_0002, brandLeaf(0)],
    [0x8000_0003, brandLeaf(1)],
    [0x8000_0004, brandLeaf(2)],
    [0x8000_0008, [table.physicalAddressBits | (48 << 8), 0, 0, 0]],
  ];
}

/** Makes a model of a table. Throws on a feature without a name in `features.ts`. */
export function makeModel(table: ModelTable): CpuModel {
  const leaves = new Map<number, readonly Leaf[]>(derivedLeaves(table).map(([leaf, values]) => [leaf, [values]]));
  for (const [leaf, values] of Object.entries(table.leaves)) leaves.set(Number(leaf), values);
  const bits = new Map<number, FeatureBit[]>();
  for (const name of table.features) {
    const bit = FEATURES.get(name);
    if (!bit) throw new Error(`The model ${table.name} has an unknown feature ${name}.`);
    bits.set(bit.leaf, [...(bits.get(bit.leaf) ?? []), bit]);
  }
  const known = new Set(table.features);
  const has = (feature: string): boolean => known.has(feature);
  const owned = table.msrs.filter(({ index }) => hasMsr(index, has));
  const msrs = new Map(owned.map((msr) => [msr.index, msr]));

  const made = new Map<number, Readonly<CpuidResult>>();
  const lookUp = (leaf: number, subleaf: number): Readonly<CpuidResult> => {
    // Guests ask for few, again and again.
    if (subleaf >= SUBLEAVES && BY_SUBLEAF.has(leaf)) return make(leaf, subleaf);
    const key = leaf * SUBLEAVES + (BY_SUBLEAF.has(leaf) ? subleaf : 0);
    const known = made.get(key) ?? make(leaf, subleaf);
    made.set(key, known);
    return known;
  };
  const make = (leaf: number, subleaf: number): CpuidResult => {
    const subleaves = leaves.get(leaf) ?? [];
    const [eax, ebx, ecx, edx] = subleaves[BY_SUBLEAF.has(leaf) ? subleaf : 0] ?? EMPTY;
    const result = leaf === 0xd ? stateLeaf({ vendor: table.vendor, has }, subleaf) : { eax, ebx, ecx, edx };
    const hasFeatures = (SUBLEAF_OF_FEATURES[leaf] ?? subleaf) === subleaf;
    for (const { register, bit } of hasFeatures ? (bits.get(leaf) ?? []) : []) result[register] |= 1 << bit;
    for (const register of ['eax', 'ebx', 'ecx', 'edx'] as const) result[register] >>>= 0;
    return result;
  };
  return {
    name: table.name,
    vendor: table.vendor,
    physicalAddressBits: table.physicalAddressBits,
    has,
    msrs: owned,
    msr: (index) => msrs.get(index),
    cpuid: (leaf, subleaf) => {
      const number = leaf >>> 0;
      const isBasic = number < 0x4000_0000;
      const isKnown = isBasic ? number <= table.maxBasic : number >= 0x8000_0000 && number <= table.maxExtended;
      if (isKnown) return lookUp(number, subleaf >>> 0);
      // Intel's processors answer unknown leaves with the highest basic one; AMD's with zeroes.
      return table.vendor === 'intel' ? lookUp(table.maxBasic, subleaf >>> 0) : { eax: 0, ebx: 0, ecx: 0, edx: 0 };
    },
  };
}
