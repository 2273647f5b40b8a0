import type { VmExit } from '../../../processor/exit.ts';
import { CreationFlag } from '../abi/intercepts.ts';
import type { GuestParent } from '../hyperv.ts';

/**
 * Whether an exit of a partition that a guest has made is for that guest: what it has asked to be told of, and what nobody else could
 * serve. The hypervisor serves the others as those of any partition.
 */
export function concernsParent({ child: { intercepts, flags } }: GuestParent, exit: VmExit): boolean {
  switch (exit.reason) {
    case 'io':
    case 'mmio':
    case 'second-level-violation':
    case 'second-level-misconfiguration':
    case 'cpuid':
    case 'exception':
    case 'triple-fault':
      return true;
    case 'msr-read':
    case 'msr-write':
      return exit.reason === 'msr-read'
        ? intercepts.ofMsr(exit.msr, false)
        : exit.trap !== true && intercepts.ofMsr(exit.msr, true);
    case 'vm-entry-failure':
      return exit.cause === 'guest-state';
    case 'hypercall':
      return intercepts.ofHypercalls;
    case 'hlt':
      return (flags & CreationFlag.EXO) !== 0n;
    default:
      return false;
  }
}
