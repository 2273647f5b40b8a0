import * as L from '../state/layout.ts';
import { commonMsrs } from './common-msrs.ts';
import { COMMON_FEATURES } from './features.ts';
import type { ModelTable } from './model.ts';
import { constant, type Msr, slot } from './msr.ts';
import { MISC_ENABLE_XD_DISABLE } from './xd-disable.ts';

const PHYSICAL_BITS = 40;

/** Fast strings, thermal control, no BTS, no PEBS, SpeedStep, MONITOR, CPUID limit, xTPR messages, XD off. */
const MISC_ENABLE_WRITABLE = 0xc5_1809n | MISC_ENABLE_XD_DISABLE;

/** TSC_ADJUST: what is added to the time-stamp counter. */
const tscAdjust: Msr = {
  index: 0x3b,
  name: 'TSC_ADJUST',
  description: 'Added to the time-stamp counter',
  read: ({ state }) => state.get64(L.MSR_TSC_ADJUST),
  write: ({ state }, value) => {
    const change = value - state.get64(L.MSR_TSC_ADJUST);
    state.set64(L.MSR_TSC_ADJUST, value);
    state.set64(L.TSC_OFFSET, BigInt.asUintN(64, state.get64(L.TSC_OFFSET) + change));
  },
};

/** MSRs that only Intel's processors have (Intel SDM vol. 4). */
const INTEL_MSRS: readonly Msr[] = [
  constant(0x17, 'PLATFORM_ID', 'Platform identification', 0n),
  constant(0x3a, 'FEATURE_CONTROL', 'VMX enable and lock: locked, off', 1n),
  tscAdjust,
  constant(0x8b, 'BIOS_SIGN_ID', 'Microcode revision', 1n << 32n, 'ignored'),
  constant(0xce, 'PLATFORM_INFO', 'Ratio of the base frequency to the bus clock of 100 MHz', 10n << 8n),
  slot(0x1a0, 'MISC_ENABLE', 'Miscellaneous features', L.MSR_MISC_ENABLE, MISC_ENABLE_WRITABLE),
];

/** A server processor of the Skylake family, as far as it is emulated. */
export const intelTable: ModelTable = {
  name: 'skylake',
  vendor: 'intel',
  vendorString: 'GenuineIntel',
  brand: 'Hyperscope emulated processor (Intel)',
  signature: 0x0005_06e3,
  maxBasic: 0x16,
  maxExtended: 0x8000_0008,
  physicalAddressBits: PHYSICAL_BITS,
  features: [...COMMON_FEATURES, 'tscadjust', 'pcid', 'invpcid', 'pku', 'zerofcsfds'],
  leaves: {
    // Caches are in leaf 4.
    2: [[0x00fe_ff01, 0, 0, 0]],
    // 32 KiB of data and of code, 256 KiB for both: type and level, ways and line size, sets - 1.
    4: [
      [0x0000_0121, 0x01c0_003f, 63, 0],
      [0x0000_0122, 0x01c0_003f, 63, 0],
      [0x0000_0143, 0x00c0_003f, 1023, 0],
      [0, 0, 0, 0],
    ],
    // The timer of the local APIC never stops.
    6: [[4, 0, 0, 0]],
    7: [[0, 0, 0, 0]],
    // No performance counters.
    10: [[0, 0, 0, 0]],
    // Threads and cores: completed with the number of vCPUs.
    11: [
      [0, 1, 0x100, 0],
      [0, 1, 0x201, 0],
    ],
    // The TSC counts as the crystal of 1 GHz does.
    21: [[1, 1, 1_000_000_000, 0]],
    // MHz: base, maximum, bus.
    22: [[1000, 1000, 100, 0]],
    2147483654: [[0, 0, 0x0100_6040, 0]],
  },
  msrs: [...commonMsrs(PHYSICAL_BITS), ...INTEL_MSRS],
};
