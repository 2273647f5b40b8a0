import type { VmExit } from './exit.ts';

/** Bits of CR0 or CR4 that the hypervisor owns (Intel SDM vol. 3, 26.3: guest/host masks and read shadows). */
export interface OwnedBits {
  /** A write that would give one of these bits another value than its shadow leaves; others leave these bits alone. */
  readonly mask: bigint;
  /** What the guest reads of them. Undefined: the register itself. */
  readonly shadow: bigint | undefined;
}

/** Says whether the guest has executed PAUSE in a loop for too long. */
export interface SpinWatch {
  /** Called for each PAUSE with the vCPU's ticks. */
  isTooLong(cpl: number, ticks: bigint): boolean;
  /** The vCPU enters the guest. */
  enter(): void;
}

/** Instructions that only exist to run guests, and what else only AMD's processors intercept. */
export type SvmInstruction = 'vmrun' | 'vmload' | 'vmsave' | 'stgi' | 'clgi' | 'skinit' | 'invlpga' | 'iret' | 'int-n' | 'icebp';

/**
 * Which optional exits the hypervisor wants. What is not wanted, the processor does itself as bare hardware would.
 * I/O and MMIO always leave, since no device is behind this interface; so do MSRs that the processor doesn't own.
 */
export interface InterceptSet {
  cpuid: boolean;
  hlt: boolean;
  /** HLT leaves unless a virtual interrupt or NMI waits. */
  idleHlt: boolean;
  pause: boolean;
  /** Where PAUSE doesn't leave by itself: leave when the guest spins. */
  spin: SpinWatch | undefined;
  hypercall: boolean;
  rdtsc: boolean;
  rdtscp: boolean;
  rdpmc: boolean;
  rdrand: boolean;
  rdseed: boolean;
  invlpg: boolean;
  invpcid: boolean;
  invd: boolean;
  wbinvd: boolean;
  monitor: boolean;
  mwait: boolean;
  xsetbv: boolean;
  /** VMLAUNCH, VMRESUME, VMXOFF. */
  vmx: boolean;
  svm: ReadonlySet<SvmInstruction>;
  /** Loads (`write`) and stores (`read`) of IDTR (bit 0), GDTR (1), LDTR (2), TR (3). */
  descriptorTable: { read: number; write: number };
  /** Bit n set: writes of (`write`) or reads of (`read`) DRn leave. */
  dr: { read: number; write: number };
  taskSwitch: boolean;
  tripleFault: boolean;
  externalInterrupt: boolean;
  /** External interrupts leave whatever EFLAGS.IF is; on SVM they are also taken so, since it is the flag of virtual ones alone. */
  ignoresIf: boolean;
  /** An exit for an external interrupt takes its vector from the controller. Otherwise it goes on waiting there. */
  acknowledges: boolean;
  nmi: boolean;
  /** NMIs leave also where they are blocked: what is blocked then are those that the hypervisor injects. */
  virtualNmis: boolean;
  /** IRET doesn't end the blocking of NMIs. */
  keepsNmisBlocked: boolean;
  init: boolean;
  /** SMIs leave. Others have no effect: there is no system-management mode. */
  smi: boolean;
  /** A start-up IPI leaves where the vCPU waits for one. */
  sipi: boolean;
  /** Leave as soon as, and as long as, an interrupt could be taken: on SVM the virtual interrupt that waits, or one of the highest priority. */
  interruptWindow: boolean;
  nmiWindow: boolean;
  /** Leave behind each instruction, and before the handler of each event (Intel SDM vol. 3, 26.5.2). */
  monitorTrap: boolean;
  /** Leave where the task priority is below it (Intel SDM vol. 3, 30.1.2); 0: never. */
  tprThreshold: number;
  /**
   * What CR8 is: the interrupt controller's, which then is the hypervisor's own; one of the hypervisor's in its place (VMX's TPR shadow; V_TPR of
   * SVM with V_INTR_MASKING); or the controller's, of which V_TPR keeps what is written (AMD APM vol. 2, 15.21.2).
   */
  tpr: 'controller' | 'own' | 'both';
  /** Leave when the preemption timer has counted down. */
  preemptionTimer: boolean;
  /** An exit leaves in the timer what it has still to count. */
  savesPreemptionTimer: boolean;
  /** Bit n set: writes of (`write`) or reads of (`read`) CRn leave. */
  cr: { read: number; write: number };
  /** Bit n set: leave behind an instruction that has written CRn. */
  crTraps: number;
  /** Leave behind a WRMSR of EFER. */
  eferTrap: boolean;
  cr0: OwnedBits;
  cr4: OwnedBits;
  /** Writes of CR0 leave that change other bits than TS and MP, and LMSW always (AMD APM vol. 2, 15.9). */
  cr0Selective: boolean;
  /** Values that can be loaded into CR3 although writes leave. */
  cr3Targets: readonly bigint[];
  /** Bit = vector. */
  exceptions: number;
  /** Page faults whose error code under the mask isn't the match do the opposite of what bit 14 of `exceptions` says. */
  pageFaults: { readonly mask: number; readonly match: number };
  /** True for an MSR access that leaves although the processor owns the MSR. */
  msr: (msr: number, write: boolean) => boolean;
  /** True for a port access that the hypervisor wants to see. Others leave the processor too, but are no VM exits. */
  io: (port: number, size: number) => boolean;
}

/** Nothing is intercepted, as on bare hardware. */
export function noIntercepts(): InterceptSet {
  return {
    cpuid: false,
    hlt: false,
    idleHlt: false,
    pause: false,
    spin: undefined,
    hypercall: false,
    rdtsc: false,
    rdtscp: false,
    rdpmc: false,
    rdrand: false,
    rdseed: false,
    invlpg: false,
    invpcid: false,
    invd: false,
    wbinvd: false,
    monitor: false,
    mwait: false,
    xsetbv: false,
    vmx: false,
    svm: new Set(),
    descriptorTable: { read: 0, write: 0 },
    dr: { read: 0, write: 0 },
    taskSwitch: false,
    tripleFault: false,
    externalInterrupt: false,
    ignoresIf: false,
    acknowledges: true,
    nmi: false,
    virtualNmis: false,
    keepsNmisBlocked: false,
    init: false,
    smi: false,
    sipi: false,
    interruptWindow: false,
    nmiWindow: false,
    monitorTrap: false,
    tprThreshold: 0,
    tpr: 'controller',
    preemptionTimer: false,
    savesPreemptionTimer: false,
    cr: { read: 0, write: 0 },
    crTraps: 0,
    eferTrap: false,
    cr0: { mask: 0n, shadow: undefined },
    cr4: { mask: 0n, shadow: undefined },
    cr0Selective: false,
    cr3Targets: [],
    exceptions: 0,
    pageFaults: { mask: 0, match: 0 },
    msr: () => false,
    io: () => true,
  };
}

const PAGE_FAULT = 14;

/** Whether an exception leaves before it is delivered (Intel SDM vol. 3, 26.2; without a filter it is SVM's rule too). */
export function interceptsException({ exceptions, pageFaults }: InterceptSet, vector: number, errorCode = 0): boolean {
  const isSet = ((exceptions >>> vector) & 1) === 1;
  if (vector !== PAGE_FAULT) return isSet;
  return isSet === ((errorCode & pageFaults.mask) === pageFaults.match);
}

/**
 * Whether an exit is the hypervisor's: the others leave the processor for a device that the guest has for itself, for an MSR that isn't there,
 * or for a debugger that wants to see an exception.
 */
export function isVmExit(intercepts: InterceptSet, exit: VmExit): boolean {
  switch (exit.reason) {
    case 'io':
      return intercepts.io(exit.port, exit.size);
    case 'msr-read':
      return intercepts.msr(exit.msr, false);
    case 'msr-write':
      return exit.trap === true || intercepts.msr(exit.msr, true);
    case 'exception':
      return interceptsException(intercepts, exit.vector, exit.errorCode);
    default:
      return true;
  }
}
