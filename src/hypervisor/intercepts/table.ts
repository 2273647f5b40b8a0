import type { ExitReason } from '../../processor/exit.ts';
import {
  entry,
  exit,
  interruptControl,
  nestedControl,
  pin,
  primary,
  type SvmPlace,
  secondary,
  tertiary,
  type VmxPlace,
  vector3,
  vector4,
  vector5,
  virtualization,
} from './places.ts';

/** A setting that is on or off: where Intel has it, where AMD has it, and the exit that it makes. */
export interface SettingRow {
  readonly vmx: VmxPlace;
  readonly svm: SvmPlace;
  /** Reason of the exits that it makes. Without one it makes none, or the emulated processor never does what it is about. */
  readonly reason?: ExitReason;
}

// Bits that several settings share: VMX asks for all of them or none.
const TABLES = secondary(2, 'Descriptor-table exiting');
const RDTSC = primary(12, 'RDTSC exiting');
const INVLPG = primary(9, 'INVLPG exiting');

/** Events and instructions that leave the guest, in the order of SVM's exit codes; VMX's own behind them. */
const INTERCEPTS = {
  'external-interrupt': { vmx: pin(0, 'External-interrupt exiting'), svm: vector3(0, 'INTR'), reason: 'external-interrupt' },
  nmi: { vmx: pin(3, 'NMI exiting'), svm: vector3(1, 'NMI'), reason: 'nmi' },
  smi: { vmx: 'none', svm: vector3(2, 'SMI'), reason: 'smi' },
  init: { vmx: 'always', svm: vector3(3, 'INIT'), reason: 'init' },
  'interrupt-window': { vmx: primary(2, 'Interrupt-window exiting'), svm: vector3(4, 'VINTR'), reason: 'interrupt-window' },
  'cr0-selective-write': { vmx: 'none', svm: vector3(5, 'CR0_SEL_WRITE'), reason: 'cr' },
  sidt: { vmx: TABLES, svm: vector3(6, 'IDTR_READ'), reason: 'descriptor-table' },
  sgdt: { vmx: TABLES, svm: vector3(7, 'GDTR_READ'), reason: 'descriptor-table' },
  sldt: { vmx: TABLES, svm: vector3(8, 'LDTR_READ'), reason: 'descriptor-table' },
  str: { vmx: TABLES, svm: vector3(9, 'TR_READ'), reason: 'descriptor-table' },
  lidt: { vmx: TABLES, svm: vector3(10, 'IDTR_WRITE'), reason: 'descriptor-table' },
  lgdt: { vmx: TABLES, svm: vector3(11, 'GDTR_WRITE'), reason: 'descriptor-table' },
  lldt: { vmx: TABLES, svm: vector3(12, 'LDTR_WRITE'), reason: 'descriptor-table' },
  ltr: { vmx: TABLES, svm: vector3(13, 'TR_WRITE'), reason: 'descriptor-table' },
  rdtsc: { vmx: RDTSC, svm: vector3(14, 'RDTSC'), reason: 'rdtsc' },
  rdpmc: { vmx: primary(11, 'RDPMC exiting'), svm: vector3(15, 'RDPMC'), reason: 'rdpmc' },
  pushf: { vmx: 'none', svm: vector3(16, 'PUSHF') },
  popf: { vmx: 'none', svm: vector3(17, 'POPF') },
  cpuid: { vmx: 'always', svm: vector3(18, 'CPUID'), reason: 'cpuid' },
  rsm: { vmx: 'none', svm: vector3(19, 'RSM') },
  iret: { vmx: 'none', svm: vector3(20, 'IRET'), reason: 'svm' },
  'int-n': { vmx: 'none', svm: vector3(21, 'SWINT'), reason: 'svm' },
  invd: { vmx: 'always', svm: vector3(22, 'INVD'), reason: 'wbinvd' },
  pause: { vmx: primary(30, 'PAUSE exiting'), svm: vector3(23, 'PAUSE'), reason: 'pause' },
  hlt: { vmx: primary(7, 'HLT exiting'), svm: vector3(24, 'HLT'), reason: 'hlt' },
  invlpg: { vmx: INVLPG, svm: vector3(25, 'INVLPG'), reason: 'invlpg' },
  invlpga: { vmx: 'none', svm: vector3(26, 'INVLPGA'), reason: 'svm' },
  'task-switch': { vmx: 'always', svm: vector3(29, 'TASK_SWITCH'), reason: 'task-switch' },
  'ferr-freeze': { vmx: 'none', svm: vector3(30, 'FERR_FREEZE') },
  'triple-fault': { vmx: 'always', svm: vector3(31, 'SHUTDOWN'), reason: 'triple-fault' },
  vmrun: { vmx: 'none', svm: vector4(0, 'VMRUN'), reason: 'svm' },
  hypercall: { vmx: 'always', svm: vector4(1, 'VMMCALL'), reason: 'hypercall' },
  vmload: { vmx: 'none', svm: vector4(2, 'VMLOAD'), reason: 'svm' },
  vmsave: { vmx: 'none', svm: vector4(3, 'VMSAVE'), reason: 'svm' },
  stgi: { vmx: 'none', svm: vector4(4, 'STGI'), reason: 'svm' },
  clgi: { vmx: 'none', svm: vector4(5, 'CLGI'), reason: 'svm' },
  skinit: { vmx: 'none', svm: vector4(6, 'SKINIT'), reason: 'svm' },
  rdtscp: { vmx: RDTSC, svm: vector4(7, 'RDTSCP'), reason: 'rdtsc' },
  icebp: { vmx: 'none', svm: vector4(8, 'ICEBP'), reason: 'svm' },
  wbinvd: { vmx: secondary(6, 'WBINVD exiting'), svm: vector4(9, 'WBINVD'), reason: 'wbinvd' },
  monitor: { vmx: primary(29, 'MONITOR exiting'), svm: vector4(10, 'MONITOR'), reason: 'monitor' },
  mwait: { vmx: primary(10, 'MWAIT exiting'), svm: vector4(11, 'MWAIT'), reason: 'mwait' },
  'mwait-armed': { vmx: 'none', svm: vector4(12, 'MWAIT_CONDITIONAL') },
  xsetbv: { vmx: 'always', svm: vector4(13, 'XSETBV'), reason: 'xsetbv' },
  rdpru: { vmx: 'none', svm: vector4(14, 'RDPRU') },
  'efer-write-trap': { vmx: 'none', svm: vector4(15, 'EFER_WRITE_TRAP'), reason: 'msr-write' },
  invlpgb: { vmx: 'none', svm: vector5(0, 'INVLPGB') },
  'invlpgb-illegal': { vmx: 'none', svm: vector5(1, 'INVLPGB_ILLEGAL') },
  invpcid: { vmx: INVLPG, svm: vector5(2, 'INVPCID'), reason: 'invlpg' },
  mcommit: { vmx: 'none', svm: vector5(3, 'MCOMMIT') },
  tlbsync: { vmx: 'none', svm: vector5(4, 'TLBSYNC') },
  'bus-lock': { vmx: secondary(30, 'VMM bus-lock detection'), svm: vector5(5, 'BUSLOCK') },
  'idle-hlt': { vmx: 'none', svm: vector5(6, 'IDLE_HLT'), reason: 'hlt' },
  'nmi-window': { vmx: primary(22, 'NMI-window exiting'), svm: 'none', reason: 'nmi-window' },
  'vmx-instructions': { vmx: 'always', svm: 'none', reason: 'vmx' },
  rdrand: { vmx: secondary(11, 'RDRAND exiting'), svm: 'none', reason: 'vmx' },
  rdseed: { vmx: secondary(16, 'RDSEED exiting'), svm: 'none', reason: 'vmx' },
  encls: { vmx: secondary(15, 'Enable ENCLS exiting'), svm: 'none' },
  enclv: { vmx: secondary(28, 'Enable ENCLV exiting'), svm: 'none' },
  loadiwkey: { vmx: tertiary(0, 'LOADIWKEY exiting'), svm: 'none' },
  'monitor-trap': { vmx: primary(27, 'Monitor trap flag'), svm: 'none', reason: 'monitor-trap' },
  'preemption-timer': { vmx: pin(6, 'Activate VMX-preemption timer'), svm: 'none', reason: 'preemption-timer' },
  'instruction-timeout': { vmx: secondary(31, 'Instruction timeout'), svm: 'none' },
} as const satisfies Readonly<Record<string, SettingRow>>;

/** What makes no exit by itself: what else these words say of a guest. */
const FEATURES = {
  'virtual-nmis': { vmx: pin(5, 'Virtual NMIs'), svm: interruptControl(26, 'V_NMI_ENABLE') },
  'posted-interrupts': { vmx: pin(7, 'Process posted interrupts'), svm: 'none' },
  'tsc-offset': { vmx: primary(3, 'Use TSC offsetting'), svm: 'always' },
  'tpr-shadow': { vmx: primary(21, 'Use TPR shadow'), svm: 'always', reason: 'tpr' },
  'apic-access-page': { vmx: secondary(0, 'Virtualize APIC accesses'), svm: 'none' },
  'second-level-translation': { vmx: secondary(1, 'Enable EPT'), svm: nestedControl(0, 'NP_ENABLE') },
  'enable-rdtscp': { vmx: secondary(3, 'Enable RDTSCP'), svm: 'always' },
  'virtual-x2apic': { vmx: secondary(4, 'Virtualize x2APIC mode'), svm: interruptControl(30, 'X2AVIC_ENABLE') },
  'address-space-tags': { vmx: secondary(5, 'Enable VPID'), svm: 'always' },
  'unrestricted-guest': { vmx: secondary(7, 'Unrestricted guest'), svm: 'always' },
  'apic-registers': { vmx: secondary(8, 'APIC-register virtualization'), svm: 'none' },
  'virtual-interrupts': { vmx: secondary(9, 'Virtual-interrupt delivery'), svm: interruptControl(31, 'AVIC_ENABLE') },
  'interrupt-masking': { vmx: 'always', svm: interruptControl(24, 'V_INTR_MASKING') },
  'virtual-gif': { vmx: 'none', svm: interruptControl(25, 'V_GIF_ENABLE') },
  'enable-invpcid': { vmx: secondary(12, 'Enable INVPCID'), svm: 'always' },
  'vm-functions': { vmx: secondary(13, 'Enable VM functions'), svm: 'none' },
  'vmcs-shadowing': { vmx: secondary(14, 'VMCS shadowing'), svm: 'none' },
  'page-modification-log': { vmx: secondary(17, 'Enable PML'), svm: 'none' },
  'violation-exception': { vmx: secondary(18, 'EPT-violation #VE'), svm: 'none' },
  'conceal-from-pt': { vmx: secondary(19, 'Conceal VMX from PT'), svm: 'none' },
  'enable-xsaves': { vmx: secondary(20, 'Enable XSAVES/XRSTORS'), svm: 'always' },
  'pasid-translation': { vmx: secondary(21, 'PASID translation'), svm: 'none' },
  'mode-based-execute': { vmx: secondary(22, 'Mode-based execute control for EPT'), svm: nestedControl(3, 'GMET_ENABLE') },
  'sub-page-writes': { vmx: secondary(23, 'Sub-page write permissions for EPT'), svm: 'none' },
  'pt-guest-addresses': { vmx: secondary(24, 'Intel PT uses guest physical addresses'), svm: 'none' },
  'tsc-scaling': { vmx: secondary(25, 'Use TSC scaling'), svm: 'always' },
  'user-wait': { vmx: secondary(26, 'Enable user wait and pause'), svm: 'none' },
  'enable-pconfig': { vmx: secondary(27, 'Enable PCONFIG'), svm: 'none' },
  hlat: { vmx: tertiary(1, 'Enable HLAT'), svm: 'none' },
  'paging-write': { vmx: tertiary(2, 'EPT paging-write control'), svm: 'none' },
  'guest-paging-verification': { vmx: tertiary(3, 'Guest-paging verification'), svm: 'none' },
  'ipi-virtualization': { vmx: tertiary(4, 'IPI virtualization'), svm: 'none' },
  'memory-encryption': { vmx: 'none', svm: nestedControl(1, 'SEV_ENABLE') },
  'encrypted-state': { vmx: 'none', svm: nestedControl(2, 'SEV_ES_ENABLE') },
  'last-branch-records': { vmx: 'none', svm: virtualization(0, 'LBR_VIRTUALIZATION_ENABLE') },
  'virtual-vmload': { vmx: 'none', svm: virtualization(1, 'VIRTUALIZED_VMSAVE_VMLOAD_ENABLE') },
  'save-debug-controls': { vmx: exit(2, 'Save debug controls'), svm: 'always' },
  'host-64-bit': { vmx: exit(9, 'Host address-space size'), svm: 'always' },
  'exit-load-perf': { vmx: exit(12, 'Load IA32_PERF_GLOBAL_CTRL'), svm: 'none' },
  'acknowledge-interrupt': { vmx: exit(15, 'Acknowledge interrupt on exit'), svm: 'none' },
  'exit-save-pat': { vmx: exit(18, 'Save IA32_PAT'), svm: 'always' },
  'exit-load-pat': { vmx: exit(19, 'Load IA32_PAT'), svm: 'always' },
  'exit-save-efer': { vmx: exit(20, 'Save IA32_EFER'), svm: 'always' },
  'exit-load-efer': { vmx: exit(21, 'Load IA32_EFER'), svm: 'always' },
  'exit-save-timer': { vmx: exit(22, 'Save VMX-preemption timer value'), svm: 'none' },
  'entry-load-debug-controls': { vmx: entry(2, 'Load debug controls'), svm: 'always' },
  'long-mode-guest': { vmx: entry(9, 'IA-32e mode guest'), svm: 'always' },
  'entry-load-perf': { vmx: entry(13, 'Load IA32_PERF_GLOBAL_CTRL'), svm: 'none' },
  'entry-load-pat': { vmx: entry(14, 'Load IA32_PAT'), svm: 'always' },
  'entry-load-efer': { vmx: entry(15, 'Load IA32_EFER'), svm: 'always' },
} as const satisfies Readonly<Record<string, SettingRow>>;

/** All settings that are on or off, by their names here. */
export const SETTINGS = { ...INTERCEPTS, ...FEATURES } as const;
export type SettingName = keyof typeof SETTINGS;

/** Names and rows in the order of the table. */
export const SETTING_ROWS = Object.entries(SETTINGS) as readonly (readonly [SettingName, SettingRow])[];

/** Bits that say something of settings with more than one value; they follow from those. */
export const DERIVED_VMX = {
  cr3Load: primary(15, 'CR3-load exiting'),
  cr3Store: primary(16, 'CR3-store exiting'),
  tertiary: primary(17, 'Activate tertiary controls'),
  cr8Load: primary(19, 'CR8-load exiting'),
  cr8Store: primary(20, 'CR8-store exiting'),
  movDr: primary(23, 'MOV-DR exiting'),
  unconditionalIo: primary(24, 'Unconditional I/O exiting'),
  ioBitmaps: primary(25, 'Use I/O bitmaps'),
  msrBitmaps: primary(28, 'Use MSR bitmaps'),
  secondary: primary(31, 'Activate secondary controls'),
  pauseLoop: secondary(10, 'PAUSE-loop exiting'),
} as const;
export const DERIVED_SVM = {
  io: vector3(27, 'IOIO_PROT'),
  msr: vector3(28, 'MSR_PROT'),
  virtualInterrupt: interruptControl(8, 'V_IRQ'),
  virtualNmi: interruptControl(11, 'V_NMI'),
  /** What INTERRUPTIBILITY says of a guest with virtual NMIs. */
  nmiMask: interruptControl(12, 'V_NMI_MASK'),
  ignoresTpr: interruptControl(20, 'V_IGN_TPR'),
} as const;

/** Bits that are 1 in every VMCS, as the "TRUE" capability MSRs say (Intel SDM vol. 3, appendix A.3 to A.5). */
export const VMX_RESERVED_ONES = {
  pin: 0x0000_0016,
  primary: 0x0400_6172,
  secondary: 0,
  tertiary: 0,
  exit: 0x0003_6dfb,
  entry: 0x0000_11fb,
} as const;
