import { commonMsrs } from './common-msrs.ts';
import { COMMON_FEATURES } from './features.ts';
import type { ModelTable } from './model.ts';
import { constant, type Msr } from './msr.ts';

const PHYSICAL_BITS = 40;

/** MSRs that only AMD's processors have (AMD APM vol. 2, appendix A; processor programming reference of family 17h). */
const AMD_MSRS: readonly Msr[] = [
  constant(0x8b, 'PATCH_LEVEL', 'Microcode revision', 0x0830_107cn, 'ignored'),
  // As KVM has them for a guest without performance counters: they never count.
  ...[0, 1, 2, 3].flatMap((at) => [
    constant(0xc001_0000 + at, `PERF_CTL${at}`, 'Performance counter: event (none is counted)', 0n, 'ignored'),
    constant(0xc001_0004 + at, `PERF_CTR${at}`, 'Performance counter', 0n, 'ignored'),
  ]),
  constant(0xc001_0010, 'SYSCFG', 'System configuration: no second top of memory, no SME', 0n, 'ignored'),
  // TSC runs at the frequency of P0; SMM is locked.
  constant(0xc001_0015, 'HWCR', 'Hardware configuration: TscFreqSel, SmmLock', 0x0100_0001n, 'ignored'),
  constant(0xc001_001f, 'NB_CFG', 'Northbridge configuration', 0n, 'ignored'),
  constant(0xc001_0055, 'INT_PENDING_MSG', 'Interrupt pending message', 0n, 'ignored'),
  // P0: 1000 MHz, enabled (family 17h: 200 MHz * FID / DID).
  constant(0xc001_0064, 'PSTATE_0', 'Performance state 0', (1n << 63n) | (8n << 8n) | 0x28n),
  constant(0xc001_0114, 'VM_CR', 'SVM: disabled and locked', 0x18n, 'ignored'),
  constant(0xc001_0140, 'OSVW_ID_LENGTH', 'Errata that the operating system need not look at', 0n),
  constant(0xc001_0141, 'OSVW_STATUS', 'Status of errata', 0n),
  // LFENCE always serializes.
  constant(0xc001_1029, 'DE_CFG', 'Decode configuration', 2n, 'ignored'),
];

/** A server processor of family 17h, as far as it is emulated. */
export const amdTable: ModelTable = {
  name: 'epyc',
  vendor: 'amd',
  vendorString: 'AuthenticAMD',
  brand: 'Hyperscope emulated processor (AMD)',
  signature: 0x0083_0f10,
  maxBasic: 0x10,
  maxExtended: 0x8000_0008,
  physicalAddressBits: PHYSICAL_BITS,
  features: [...COMMON_FEATURES, 'altmovcr8', 'rdpid', 'sha'],
  leaves: {
    6: [[4, 0, 0, 0]],
    7: [[0, 0, 0, 0]],
    11: [
      [0, 1, 0x100, 0],
      [0, 1, 0x201, 0],
    ],
    // 32 KiB of data and of code, 8-way; 512 KiB for both.
    2147483653: [[0, 0, 0x2008_0140, 0x2008_0140]],
    2147483654: [[0, 0, 0x0200_6140, 0]],
  },
  msrs: [...commonMsrs(PHYSICAL_BITS), ...AMD_MSRS],
};
