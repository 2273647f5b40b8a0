import type { InterceptSet } from './processor.ts';

/** Nothing is intercepted, as on bare hardware. */
export function noIntercepts(): InterceptSet {
  return {
    cpuid: false,
    hlt: false,
    pause: false,
    hypercall: false,
    rdtsc: false,
    rdpmc: false,
    invlpg: false,
    wbinvd: false,
    monitorMwait: false,
    xsetbv: false,
    descriptorTable: false,
    movDr: false,
    taskSwitch: false,
    tripleFault: false,
    externalInterrupt: false,
    nmi: false,
    interruptWindow: false,
    nmiWindow: false,
    cr: { read: 0, write: 0 },
    exceptions: 0,
    msr: () => false,
  };
}
