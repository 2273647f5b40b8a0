import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { exitNumbers, vmxReasonName } from '../../src/hypervisor/exits/reasons.ts';
import { svmCodeName } from '../../src/hypervisor/intercepts/vmcb-controls.ts';
import type { ExitReason, VmExit } from '../../src/processor/exit.ts';

/** An exit of each reason, with the VMX basic exit reason and the SVM exit code by the names of Linux. */
const NUMBERS: Readonly<Record<ExitReason, readonly [vmx: string, svm: string, detail?: Record<string, unknown>]>> = {
  cpuid: ['CPUID', 'CPUID'],
  io: ['IO_INSTRUCTION', 'IOIO'],
  mmio: ['EPT_VIOLATION', 'NPF'],
  'msr-read': ['MSR_READ', 'MSR'],
  'msr-write': ['MSR_WRITE', 'MSR'],
  hypercall: ['VMCALL', 'VMMCALL'],
  hlt: ['HLT', 'HLT'],
  pause: ['PAUSE_INSTRUCTION', 'PAUSE'],
  cr: ['CR_ACCESS', 'WRITE_CR4', { register: 4, access: 'mov-to' }],
  dr: ['DR_ACCESS', 'READ_DR6', { register: 6, write: false }],
  'descriptor-table': ['LDTR_TR', 'TR_WRITE', { table: 'tr', write: true }],
  'second-level-violation': ['EPT_VIOLATION', 'NPF'],
  'second-level-misconfiguration': ['EPT_MISCONFIG', 'NPF'],
  exception: ['EXCEPTION_NMI', 'EXCP_BASE', { vector: 0 }],
  'external-interrupt': ['EXTERNAL_INTERRUPT', 'INTR'],
  nmi: ['EXCEPTION_NMI', 'NMI'],
  'interrupt-window': ['INTERRUPT_WINDOW', 'VINTR'],
  // KVM makes a window of the intercept of IRET.
  'nmi-window': ['NMI_WINDOW', 'IRET'],
  apic: ['APIC_ACCESS', 'AVIC_UNACCELERATED_ACCESS'],
  tpr: ['TPR_BELOW_THRESHOLD', 'WRITE_CR8'],
  invlpg: ['INVPCID', 'INVPCID', { invpcid: { displacement: 0n } }],
  rdtsc: ['RDTSCP', 'RDTSCP', { rdtscp: true }],
  rdpmc: ['RDPMC', 'RDPMC'],
  xsetbv: ['XSETBV', 'XSETBV'],
  wbinvd: ['INVD', 'INVD', { instruction: 'invd' }],
  monitor: ['MONITOR_INSTRUCTION', 'MONITOR'],
  mwait: ['MWAIT_INSTRUCTION', 'MWAIT'],
  'task-switch': ['TASK_SWITCH', 'TASK_SWITCH'],
  init: ['INIT_SIGNAL', 'INIT'],
  sipi: ['SIPI_SIGNAL', 'INIT'],
  'triple-fault': ['TRIPLE_FAULT', 'SHUTDOWN'],
  shutdown: ['TRIPLE_FAULT', 'SHUTDOWN'],
  vmx: ['RDSEED', 'EXCP_BASE', { instruction: 'rdseed' }],
  svm: ['EXCEPTION_NMI', 'SWINT', { instruction: 'int' }],
  'vm-entry-failure': ['INVALID_STATE', 'ERR'],
  'dirty-log': ['PML_FULL', 'NPF'],
  'preemption-timer': ['PREEMPTION_TIMER', 'INTR'],
  // SVM's way is a debug exception.
  smi: ['OTHER_SMI', 'SMI'],
  'monitor-trap': ['MONITOR_TRAP_FLAG', 'EXCP_BASE'],
};

/** Exceptions of SVM in the place of other exits: #UD, #DB. */
const EXCEPTIONS: Readonly<Record<string, number>> = { vmx: 6, 'monitor-trap': 1 };

/** Names that the headers of older kernels don't have. */
const NEWER: Readonly<Record<string, number>> = { OTHER_SMI: 6 };

/** What Linux calls a code otherwise than AMD. */
const OTHERWISE: Readonly<Record<string, string>> = {
  EXCP_BASE: 'EXCP0',
  LAST_EXCP: 'EXCP31',
  MWAIT_COND: 'MWAIT_CONDITIONAL',
  AVIC_UNACCELERATED_ACCESS: 'AVIC_NOACCEL',
  ERR: 'INVALID',
};
/** Not emulated, or Linux's own. */
const LEFT_OUT = /^VMGEXIT$|^SW$|^REASONS$/;

const FOLDER = '/usr/include/x86_64-linux-gnu/asm';
const missing = existsSync(`${FOLDER}/svm.h`) ? '' : ' (skipped: no headers of Linux)';

/** Numbers by name that a header defines with a prefix. */
function definitions(header: string, prefix: string): Map<string, number> {
  const pattern = new RegExp(`^#define ${prefix}(\\w+)\\s+(-?\\w+)\\s*$`, 'gm');
  const found = readFileSync(`${FOLDER}/${header}`, 'utf8').matchAll(pattern);
  return new Map([...found].map(([, name = '', value]) => [name, Number(value)]));
}

describe.skipIf(missing !== '')(`numbers and names of exits are those of Linux's headers${missing}`, () => {
  const vmx = missing === '' ? definitions('vmx.h', 'EXIT_REASON_') : new Map<string, number>();
  const svm = missing === '' ? definitions('svm.h', 'SVM_EXIT_') : new Map<string, number>();

  test.each(Object.entries(NUMBERS))('%s', (reason, [vmxName, svmName, detail]) => {
    const exit = { ...detail, reason, rip: 0n, instructionLength: 0, icount: 0n } as unknown as VmExit;
    const numbers = exitNumbers(exit);
    expect(numbers.vmx).toBe(vmx.get(vmxName) ?? NEWER[vmxName]);
    expect(numbers.svm).toBe((svm.get(svmName) ?? 0) + (EXCEPTIONS[reason] ?? 0));
    expect(vmxReasonName(numbers.vmx)).toBe(vmxName);
  });

  test('all SVM exit codes have their names', () => {
    for (const [name, code] of svm) {
      if (LEFT_OUT.test(name)) continue;
      const register = /^(READ|WRITE)_([CD]R\d+)$/.exec(name);
      const expected = register ? `${register[2]}_${register[1]}` : (OTHERWISE[name] ?? name);
      expect([code, svmCodeName(code)]).toEqual([code, expected]);
    }
    expect(svm.size).toBeGreaterThan(80);
  });
});
