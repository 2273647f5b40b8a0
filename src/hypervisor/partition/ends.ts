import type { ExitDetail, VmExit } from '../../processor/exit.ts';
import type { Processor } from '../../processor/processor.ts';
import { hex } from '../../x86/address.ts';
import { describeFault } from '../exits/describe.ts';
import type { PartitionEnd } from './run.ts';

/** A fault of a chain that led to a triple fault. */
interface ChainFault {
  readonly vector: number;
  readonly errorCode?: number;
}

/** The guest wrote to the debug exit port: the status is that of QEMU's isa-debug-exit. */
export function debugExitEnd(value: number): PartitionEnd {
  const status = ((value << 1) | 1) & 0xff;
  return { kind: 'debug-exit', status, message: `The guest ended the run with ${hex(value >>> 0)} at port 0xF4.` };
}

/** The guest may not do what it wanted to, and nothing can be done about it. */
export function forbiddenAccessEnd(vcpu: number, exit: VmExit & SecondLevelRefusal): PartitionEnd {
  const { rip, gpa, gva, access, duringWalk } = exit;
  const linear = gva === undefined ? '' : `, linear address ${hex(gva)}`;
  const tried = duringWalk ? 'walked through page tables' : `tried to ${access}`;
  const place = `at guest physical address ${hex(gpa)}${linear}`;
  const why =
    exit.reason === 'second-level-misconfiguration'
      ? 'its second-level entry there is misconfigured'
      : `its second-level map allows ${rightsText(exit.allowed)} there`;
  return { kind: 'crash', status: 126, message: `vCPU ${vcpu} at RIP ${hex(rip)} ${tried} ${place}, but ${why}.` };
}

type SecondLevelRefusal = Extract<ExitDetail, { readonly reason: 'second-level-violation' | 'second-level-misconfiguration' }>;

function rightsText({
  read,
  write,
  execute,
}: {
  readonly read: boolean;
  readonly write: boolean;
  readonly execute: boolean;
}): string {
  const rights = [read && 'reading', write && 'writing', execute && 'execution'].filter((right) => right !== false);
  return rights.length === 0 ? 'no access' : `only ${rights.join(' and ')}`;
}

export function tripleFaultEnd(vcpu: number, chain: readonly ChainFault[], rip?: bigint): PartitionEnd {
  const faults = chain.map((fault) => describeFault(fault.vector, fault.errorCode)).join(', then ');
  const where = rip === undefined ? '' : ` at RIP ${hex(rip)}`;
  const why = faults === '' ? '' : `: ${faults}, and no handler could take it`;
  return { kind: 'triple-fault', status: 125, message: `vCPU ${vcpu} met a triple fault${where}${why}.` };
}

export function haltedEnd(processors: readonly Processor[]): PartitionEnd {
  const place = processors[0] ? ` at RIP ${hex(processors[0].state.rip)}` : '';
  return { kind: 'halted', status: 0, message: `The guest halted for good${place}: nothing can wake it any more.` };
}

/** A defect of ours: the guest can't be the reason. */
export function internalErrorEnd(error: unknown): PartitionEnd {
  const text = error instanceof Error ? error.message : String(error);
  return { kind: 'internal-error', status: 126, message: `The hypervisor failed while it served a VM exit: ${text}` };
}
