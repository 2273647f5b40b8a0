import type { InstructionDefinition } from '../notation.ts';

const GENERAL_PROTECTION = 13;

/** System instructions that came with later processors: each has a bit in CPUID. */
export const extensions: readonly InstructionDefinition[] = [
  {
    mnemonic: 'SWAPGS',
    summary: 'Exchange GS base and KERNEL_GS_BASE',
    forms: ['0F 01 =F8 o64'],
    privileged: true,
    semantics: (s) => {
      s.when(s.privilege(), () => s.raise(GENERAL_PROTECTION));
      s.exchangeGsBase();
    },
  },
  {
    mnemonic: 'RDRAND',
    summary: 'Read a random number',
    forms: ['0F C7/6 Rv'],
    flags: 'w:OSZAPC',
    feature: 'rdrand',
    helper: 'rdrand',
    endsBlock: true,
  },
  {
    mnemonic: 'RDSEED',
    summary: 'Read a random seed',
    forms: ['0F C7/7 Rv'],
    flags: 'w:OSZAPC',
    feature: 'rdseed',
    helper: 'rdrand',
    endsBlock: true,
  },
  {
    mnemonic: 'RDPID',
    summary: 'Read the processor ID from TSC_AUX',
    forms: ['F3 0F C7/7 Rd'],
    feature: 'rdpid',
    helper: 'rdpid',
    endsBlock: true,
  },
  {
    mnemonic: 'INVPCID',
    summary: 'Drop the translations of an address space',
    forms: ['66 0F 38 82 Gd,Mb'],
    privileged: true,
    feature: 'invpcid',
    helper: 'invpcid',
    endsBlock: true,
  },
  {
    mnemonic: 'CLFLUSHOPT',
    summary: 'Flush a cache line, in any order',
    forms: ['66 0F AE/7 Mb'],
    feature: 'clflushopt',
    semantics: (s) => void s.keep(s.load('operand', s.effectiveAddress(), 8)),
  },
  {
    mnemonic: 'CLWB',
    summary: 'Write a cache line back',
    forms: ['66 0F AE/6 Mb'],
    feature: 'clwb',
    semantics: (s) => void s.keep(s.load('operand', s.effectiveAddress(), 8)),
  },
  {
    mnemonic: 'RDPKRU',
    summary: 'Read the rights of protection keys',
    forms: ['0F 01 =EE'],
    feature: 'pku',
    helper: 'rdpkru',
    endsBlock: true,
  },
  {
    mnemonic: 'WRPKRU',
    summary: 'Write the rights of protection keys',
    forms: ['0F 01 =EF'],
    feature: 'pku',
    helper: 'wrpkru',
    endsBlock: true,
  },
];
