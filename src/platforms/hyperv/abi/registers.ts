/** Registers of a virtual processor by the numbers that HvCallGetVpRegisters and HvCallSetVpRegisters name them by (TLFS, HV_REGISTER_NAME). */

/** Numbers of those that stand alone. */
export const HvRegister = {
  EXPLICIT_SUSPEND: 0x0,
  INTERCEPT_SUSPEND: 0x1,
  DISPATCH_SUSPEND: 0x3,
  INTERNAL_ACTIVITY: 0x4,
  HYPERVISOR_VERSION: 0x100,
  PRIVILEGES_AND_FEATURES: 0x200,
  CPU_MANAGEMENT_FEATURES: 0x204,
  LAST_FEATURES: 0x208,
  CRASH_P0: 0x210,
  CRASH_CONTROL: 0x215,
  PENDING_INTERRUPTION: 0x1_0002,
  INTERRUPT_STATE: 0x1_0003,
  PENDING_EVENT0: 0x1_0004,
  PENDING_EVENT1: 0x1_0005,
  DELIVERABILITY_NOTIFICATIONS: 0x1_0006,
  PENDING_DEBUG_EXCEPTION: 0x1_0007,
  RAX: 0x2_0000,
  RIP: 0x2_0010,
  RFLAGS: 0x2_0011,
  XMM0: 0x3_0000,
  FPMMX0: 0x3_0010,
  FP_CONTROL_STATUS: 0x3_0018,
  XMM_CONTROL_STATUS: 0x3_0019,
  CR0: 0x4_0000,
  CR2: 0x4_0001,
  CR3: 0x4_0002,
  CR4: 0x4_0003,
  CR8: 0x4_0004,
  XFEM: 0x4_0005,
  DR0: 0x5_0000,
  DR6: 0x5_0004,
  DR7: 0x5_0005,
  ES: 0x6_0000,
  TR: 0x6_0007,
  IDTR: 0x7_0000,
  GDTR: 0x7_0001,
  TSC: 0x8_0000,
  EFER: 0x8_0001,
  APIC_BASE: 0x8_0003,
  APIC_ID: 0x8_4802,
  APIC_LAST: 0x8_483f,
  VP_RUNTIME: 0x9_0000,
  SINT0: 0xa_0000,
  STIMER0_CONFIG: 0xb_0000,
} as const;

/** Registers that are an MSR of the processor: its number by theirs. */
export const PROCESSOR_MSRS: ReadonlyMap<number, number> = new Map([
  [0x8_0000, 0x10],
  [0x8_0002, 0xc000_0102],
  [0x8_0003, 0x1b],
  [0x8_0004, 0x277],
  [0x8_0005, 0x174],
  [0x8_0006, 0x175],
  [0x8_0007, 0x176],
  [0x8_0008, 0xc000_0081],
  [0x8_0009, 0xc000_0082],
  [0x8_000a, 0xc000_0083],
  [0x8_000b, 0xc000_0084],
  [0x8_000d, 0x2ff],
  [0x8_007b, 0xc000_0103],
]);

const range = (first: number, msr: number, count: number): (readonly [number, number])[] =>
  Array.from({ length: count }, (_, index) => [first + index, msr + index] as const);

/** Registers that are a synthetic MSR. */
export const SYNTHETIC_MSRS: ReadonlyMap<number, number> = new Map([
  ...range(0x210, 0x4000_0100, 6),
  [0x9_0000, 0x4000_0010],
  [0x9_0001, 0x4000_0001],
  [0x9_0002, 0x4000_0000],
  [0x9_0003, 0x4000_0002],
  [0x9_0004, 0x4000_0020],
  [0x9_0013, 0x4000_0073],
  [0x9_0017, 0x4000_0021],
  ...range(0xa_0000, 0x4000_0090, 16),
  ...range(0xa_0010, 0x4000_0080, 6),
  ...range(0xb_0000, 0x4000_00b0, 8),
  ...range(0xb_0100, 0x4000_0114, 2),
]);

/** General registers in the order of their numbers, which is that of their encodings. */
const GENERAL = ['RAX', 'RCX', 'RDX', 'RBX', 'RSP', 'RBP', 'RSI', 'RDI', 'R8', 'R9', 'R10', 'R11', 'R12', 'R13', 'R14', 'R15'];
const SEGMENTS = ['ES', 'CS', 'SS', 'DS', 'FS', 'GS', 'LDTR', 'TR'];
const MSR_NAMES = new Map([
  [0x8_0002, 'KERNEL_GS_BASE'],
  [0x8_0004, 'PAT'],
  [0x8_0005, 'SYSENTER_CS'],
  [0x8_0006, 'SYSENTER_EIP'],
  [0x8_0007, 'SYSENTER_ESP'],
  [0x8_0008, 'STAR'],
  [0x8_0009, 'LSTAR'],
  [0x8_000a, 'CSTAR'],
  [0x8_000b, 'SFMASK'],
  [0x8_000d, 'MTRR_DEF_TYPE'],
  [0x8_007b, 'TSC_AUX'],
  [0x9_0001, 'HYPERCALL'],
  [0x9_0002, 'GUEST_OS_ID'],
  [0x9_0003, 'VP_INDEX'],
  [0x9_0004, 'TIME_REF_COUNT'],
  [0x9_0013, 'VP_ASSIST_PAGE'],
  [0x9_0017, 'REFERENCE_TSC'],
  [0xb_0100, 'STIME_UNHALTED_TIMER_CONFIG'],
  [0xb_0101, 'STIME_UNHALTED_TIMER_COUNT'],
]);
const ALONE = new Map<number, string>(Object.entries(HvRegister).map(([name, number]) => [number, name]));

/** `RIP`, `CS`, `XMM3`; the number where it has no name. */
export function registerName(register: number): string {
  const within = (first: number, count: number) => (register >= first && register < first + count ? register - first : undefined);
  const general = within(HvRegister.RAX, 16);
  if (general !== undefined) return GENERAL[general] ?? '';
  const segment = within(HvRegister.ES, 8);
  if (segment !== undefined) return SEGMENTS[segment] ?? '';
  const xmm = within(HvRegister.XMM0, 16);
  if (xmm !== undefined) return `XMM${xmm}`;
  const x87 = within(HvRegister.FPMMX0, 8);
  if (x87 !== undefined) return `FPMMX${x87}`;
  const debug = within(HvRegister.DR0, 4);
  if (debug !== undefined) return `DR${debug}`;
  return ALONE.get(register) ?? MSR_NAMES.get(register) ?? `register 0x${register.toString(16)}`;
}
