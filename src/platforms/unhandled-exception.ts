import { describeFault } from '../hypervisor/exits/describe.ts';
import type { PartitionEnd } from '../hypervisor/partition/run.ts';
import { pushesErrorCode, Vector } from '../processor/faults/guest-fault.ts';
import type { Processor } from '../processor/processor.ts';
import { CR2, IDTR_BASE } from '../processor/state/layout.ts';
import { LowPages } from '../programs/boot/low-pages.ts';
import { hex } from '../x86/address.ts';
import { foreignAccess } from './foreign-access.ts';

const STUB_SIZE = 16n;
const STUBS = 256n;

/**
 * A 64-bit guest starts with an IDT whose handlers halt. When one of them has halted the guest, the end is not the guest's
 * own: this says which exception it met, where, and whether another platform would have served the instruction. Undefined for any other
 * halt.
 */
export function unhandledException(processors: readonly Processor[], platform: string): PartitionEnd | undefined {
  for (const processor of processors) {
    const { state } = processor;
    const offset = state.rip - LowPages.EXCEPTION_STUBS;
    if (processor.mode !== 64 || state.get64(IDTR_BASE) !== LowPages.IDT || offset < 0n || offset >= STUBS * STUB_SIZE) continue;
    const vector = Number(offset / STUB_SIZE);
    const hasErrorCode = pushesErrorCode(vector);
    const frame = processor.readMemory('gva', state.gpr(4), 16);
    const words = frame.length === 16 ? new BigUint64Array(frame.slice().buffer) : new BigUint64Array(2);
    const errorCode = hasErrorCode ? Number(BigInt.asUintN(32, words[0] ?? 0n)) : undefined;
    const rip = words[hasErrorCode ? 1 : 0] ?? 0n;
    const address = vector === Vector.PF ? `, address ${hex(state.get64(CR2))},` : '';
    // The handlers leave the registers alone.
    const strange = vector === Vector.GP || vector === Vector.UD ? foreignAccess(processor, rip, platform) : undefined;
    const message = `The guest met ${describeFault(vector, errorCode)} at RIP ${hex(rip)}${address} and has no handler for it.`;
    return { kind: 'crash', status: 126, message: strange === undefined ? message : `${message} ${strange}` };
  }
  return undefined;
}
