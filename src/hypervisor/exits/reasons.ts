import type { VmExit } from '../../processor/exit.ts';

/** Numbers of one exit on the two vendors' processors. */
export interface ExitNumbers {
  /** VMX basic exit reason (Intel SDM vol. 3, appendix C). */
  readonly vmx: number;
  /** SVM exit code (AMD APM vol. 2, appendix C). */
  readonly svm: number;
}

/** VMX basic exit reasons by the name of the instruction that nested guests use. */
const VMX_INSTRUCTIONS: Readonly<Record<string, number>> = {
  vmclear: 19,
  vmlaunch: 20,
  vmptrld: 21,
  vmptrst: 22,
  vmread: 23,
  vmresume: 24,
  vmwrite: 25,
  vmxoff: 26,
  vmxon: 27,
  invept: 50,
  invvpid: 53,
  rdrand: 57,
  rdseed: 61,
};
const SVM_INSTRUCTIONS: Readonly<Record<string, number>> = {
  vmrun: 0x80,
  vmload: 0x82,
  vmsave: 0x83,
  stgi: 0x84,
  clgi: 0x85,
  skinit: 0x86,
  invlpga: 0x7a,
  iret: 0x74,
  int: 0x75,
  icebp: 0x88,
};
const TABLE_ORDER = { idtr: 0, gdtr: 1, ldtr: 2, tr: 3 } as const;

/** VMEXIT_INVALID. */
const SVM_INVALID = -1;

/** What the VMX exit reason and the SVM exit code of an exit would be. */
export function exitNumbers(exit: VmExit): ExitNumbers {
  if (exit.special) return { vmx: exit.special.vmx, svm: exit.special.svm };
  switch (exit.reason) {
    case 'exception':
      return { vmx: 0, svm: 0x40 + exit.vector };
    case 'nmi':
      return { vmx: 0, svm: 0x61 };
    case 'external-interrupt':
      return { vmx: 1, svm: 0x60 };
    case 'triple-fault':
    case 'shutdown':
      return { vmx: 2, svm: 0x7f };
    case 'init':
      return { vmx: 3, svm: 0x63 };
    case 'sipi':
      return { vmx: 4, svm: 0x63 };
    case 'smi':
      // On VMX only to an SMM-transfer monitor.
      return { vmx: 6, svm: 0x62 };
    case 'interrupt-window':
      return { vmx: 7, svm: 0x64 };
    case 'nmi-window':
      return { vmx: 8, svm: 0x74 };
    case 'task-switch':
      return { vmx: 9, svm: 0x7d };
    case 'cpuid':
      return { vmx: 10, svm: 0x72 };
    case 'hlt':
      return { vmx: 12, svm: exit.idle ? 0xa6 : 0x78 };
    case 'invlpg':
      return exit.invpcid ? { vmx: 58, svm: 0xa2 } : { vmx: 14, svm: 0x79 };
    case 'rdpmc':
      return { vmx: 15, svm: 0x6f };
    case 'rdtsc':
      return exit.rdtscp ? { vmx: 51, svm: 0x87 } : { vmx: 16, svm: 0x6e };
    case 'hypercall':
      return { vmx: 18, svm: 0x81 };
    case 'vmx':
      return { vmx: VMX_INSTRUCTIONS[exit.instruction.toLowerCase()] ?? 27, svm: 0x46 };
    case 'svm':
      return { vmx: 0, svm: SVM_INSTRUCTIONS[exit.instruction.toLowerCase()] ?? 0x80 };
    case 'cr':
      if (exit.trap) return { vmx: 28, svm: 0x90 + exit.register };
      if (exit.selective) return { vmx: 28, svm: 0x65 };
      return { vmx: 28, svm: (exit.access === 'mov-from' || exit.access === 'smsw' ? 0 : 0x10) + exit.register };
    case 'dr':
      return { vmx: 29, svm: (exit.write ? 0x30 : 0x20) + exit.register };
    case 'io':
      return { vmx: 30, svm: 0x7b };
    case 'msr-read':
      return { vmx: 31, svm: 0x7c };
    case 'msr-write':
      return { vmx: 32, svm: exit.trap ? 0x8f : 0x7c };
    case 'vm-entry-failure':
      return { vmx: 33, svm: SVM_INVALID };
    case 'mwait':
      return { vmx: 36, svm: 0x8b };
    case 'monitor':
      return { vmx: 39, svm: 0x8a };
    case 'pause':
      return { vmx: 40, svm: 0x77 };
    case 'tpr':
      return { vmx: 43, svm: 0x18 };
    case 'apic':
      return { vmx: 44, svm: 0x402 };
    case 'descriptor-table':
      return {
        vmx: exit.table === 'gdtr' || exit.table === 'idtr' ? 46 : 47,
        svm: (exit.write ? 0x6a : 0x66) + TABLE_ORDER[exit.table],
      };
    case 'mmio':
    case 'second-level-violation':
      return { vmx: 48, svm: 0x400 };
    case 'second-level-misconfiguration':
      return { vmx: 49, svm: 0x400 };
    case 'preemption-timer':
      return { vmx: 52, svm: 0x60 };
    case 'monitor-trap':
      // On SVM RFLAGS.TF and the intercept of #DB take its place.
      return { vmx: 37, svm: 0x41 };
    case 'wbinvd':
      return exit.instruction === 'invd' ? { vmx: 13, svm: 0x76 } : { vmx: 54, svm: 0x89 };
    case 'xsetbv':
      return { vmx: 55, svm: 0x8d };
    case 'dirty-log':
      return { vmx: 62, svm: 0x400 };
  }
}

const VMX_NAMES: Readonly<Record<number, string>> = {
  0: 'EXCEPTION_NMI',
  1: 'EXTERNAL_INTERRUPT',
  2: 'TRIPLE_FAULT',
  3: 'INIT_SIGNAL',
  4: 'SIPI_SIGNAL',
  6: 'OTHER_SMI',
  7: 'INTERRUPT_WINDOW',
  8: 'NMI_WINDOW',
  9: 'TASK_SWITCH',
  10: 'CPUID',
  12: 'HLT',
  13: 'INVD',
  14: 'INVLPG',
  15: 'RDPMC',
  16: 'RDTSC',
  18: 'VMCALL',
  19: 'VMCLEAR',
  20: 'VMLAUNCH',
  21: 'VMPTRLD',
  22: 'VMPTRST',
  23: 'VMREAD',
  24: 'VMRESUME',
  25: 'VMWRITE',
  26: 'VMOFF',
  27: 'VMON',
  28: 'CR_ACCESS',
  29: 'DR_ACCESS',
  30: 'IO_INSTRUCTION',
  31: 'MSR_READ',
  32: 'MSR_WRITE',
  33: 'INVALID_STATE',
  36: 'MWAIT_INSTRUCTION',
  37: 'MONITOR_TRAP_FLAG',
  39: 'MONITOR_INSTRUCTION',
  40: 'PAUSE_INSTRUCTION',
  43: 'TPR_BELOW_THRESHOLD',
  44: 'APIC_ACCESS',
  46: 'GDTR_IDTR',
  47: 'LDTR_TR',
  48: 'EPT_VIOLATION',
  49: 'EPT_MISCONFIG',
  50: 'INVEPT',
  51: 'RDTSCP',
  52: 'PREEMPTION_TIMER',
  53: 'INVVPID',
  54: 'WBINVD',
  55: 'XSETBV',
  56: 'APIC_WRITE',
  57: 'RDRAND',
  58: 'INVPCID',
  61: 'RDSEED',
  62: 'PML_FULL',
};

/** Name of a VMX basic exit reason, `reason N` for those without one here. */
export function vmxReasonName(reason: number): string {
  return VMX_NAMES[reason] ?? `reason ${reason}`;
}
