import type { VmExit } from '../../processor/exit.ts';

/** Reasons that mean the same to every hypervisor here. */
const PLAIN: ReadonlySet<string> = new Set([
  'dr',
  'rdpmc',
  'xsetbv',
  'wbinvd',
  'invlpg',
  'pause',
  'task-switch',
  'rdtsc',
  'descriptor-table',
  'monitor',
  'mwait',
  'monitor-trap',
  'vmx',
  'svm',
]);

/** Whether an exit is behind a write, which the guest has done already (SVM's traps of CR and EFER writes). */
export function isTrap(exit: VmExit): boolean {
  return (exit.reason === 'cr' || exit.reason === 'msr-write') && exit.trap === true;
}

/** A read of a control register: no hypervisor here keeps a shadow of one, and only SVM's guests leave for it. */
function readsControlRegister(exit: VmExit): boolean {
  return exit.reason === 'cr' && (exit.access === 'mov-from' || exit.access === 'smsw');
}

/** Whether `servePlain` (handlers/plain.ts) serves an exit: what is the guest's own affair, or nobody's, on every hypervisor. */
export function isPlain(exit: VmExit): boolean {
  return PLAIN.has(exit.reason) || readsControlRegister(exit);
}
