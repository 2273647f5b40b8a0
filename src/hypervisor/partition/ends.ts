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
