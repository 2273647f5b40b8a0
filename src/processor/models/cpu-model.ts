import type { Msr } from './msr.ts';

/** CPUID registers of one leaf. */
export interface CpuidResult {
  eax: number;
  ebx: number;
  ecx: number;
  edx: number;
}

/** A processor as its CPUID and MSRs describe it: one table per vendor. */
export interface CpuModel {
  readonly name: string;
  readonly vendor: 'intel' | 'amd';
  /** CPUID of bare hardware; bits that mirror state (OSXSAVE, APIC id) are filled in by the processor. */
  cpuid(leaf: number, subleaf: number): Readonly<CpuidResult>;
  readonly physicalAddressBits: number;
  /** True when CPUID advertises a feature (a name of `features.ts`). */
  has(feature: string): boolean;
  readonly msrs: readonly Msr[];
  /** The MSR with an index, if the processor owns it. */
  msr(index: number): Msr | undefined;
}
