import type { ExitContext } from '../../../hypervisor/exits/exit-context.ts';
import { CR0, CR2, CR3, CR4, EFER } from '../../../processor/state/layout.ts';
import { type Handler, inFrame, stage } from '../../../stages/stage.ts';
import { type ExitOf, kernelFrame } from '../kvm.ts';

const SLOTS = { 0: CR0, 2: CR2, 3: CR3, 4: CR4 } as const;

/** Names of bits whose change is worth a word. */
const CR0_BITS = { 0: 'PE', 1: 'MP', 2: 'EM', 3: 'TS', 16: 'WP', 29: 'NW', 30: 'CD', 31: 'PG' };
const CR4_BITS = {
  4: 'PSE',
  5: 'PAE',
  7: 'PGE',
  9: 'OSFXSR',
  11: 'UMIP',
  16: 'FSGSBASE',
  17: 'PCIDE',
  18: 'OSXSAVE',
  20: 'SMEP',
  21: 'SMAP',
};

/** Control register access (VMX reason 28, SVM 0x00 to 0x1F): the host owns bits of CR0 and CR4. */
export function* handleControlRegister(context: ExitContext<ExitOf<'cr'>>): Handler {
  const { register, access, value } = context.exit;
  yield stage('kvm-cr.exit', { register: `CR${register}`, access, value });
  yield* inFrame(kernelFrame(`kvm_set_cr${register}`), setRegister(context));
}

function* setRegister(context: ExitContext<ExitOf<'cr'>>): Handler {
  const { exit, processor } = context;
  const { state } = processor;
  const read = () => (exit.register === 8 ? BigInt(processor.virtualTpr) : state.get64(SLOTS[exit.register]));
  const old = read();
  const names: Readonly<Record<number, string>> = exit.register === 4 ? CR4_BITS : exit.register === 0 ? CR0_BITS : {};
  yield stage('kvm-cr.check', { old, new: exit.value, changed: changedBits(old ^ exit.value, exit.value, names) });
  const before = processor.icount;
  processor.performNatively();
  context.result(processor.icount === before ? '#GP(0)' : 'ok');
  yield stage('kvm-cr.complete', { value: read(), efer: state.get64(EFER), mode: processor.mode });
}

function changedBits(changed: bigint, value: bigint, names: Readonly<Record<number, string>>): string {
  const parts: string[] = [];
  for (let bit = 0; bit < 32; bit++)
    if ((changed >> BigInt(bit)) & 1n) parts.push(`${(value >> BigInt(bit)) & 1n ? '+' : '-'}${names[bit] ?? `bit ${bit}`}`);
  return parts.join(' ') || 'nothing';
}
