import { type Handler, stage } from '../../../../stages/stage.ts';
import { hex } from '../../../../x86/address.ts';
import { HvStatus } from '../../abi/status.ts';
import type { Hyperv } from '../../hyperv.ts';
import type { HypercallCall } from '../call.ts';
import { allProcessors, type ProcessorSet, processorsOfMask, processorsOfSet } from '../processor-set.ts';

const Flags = { ALL_PROCESSORS: 1n, ALL_SPACES: 2n, NON_GLOBAL_ONLY: 4n, EXTENDED_RANGES: 8n, ALL: 15n } as const;

/** A range of the extended format: bit 11 says that its pages are large ones. */
const LARGE = 0x800n;

/**
 * HvCallFlushVirtualAddressSpace and -List, and the forms of both that take a set of vCPUs (TLFS). What a vCPU knows of translations is
 * always what the tables say (processor/memory/table-registry.ts): a flush has nothing to do but to be counted.
 */
export function* flushVirtualAddressSpace(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const flags = call.value('flags');
  const problem = problemOfFlags(call, flags);
  yield stage('hyperv-call-flush.check', { addressSpace: call.value('addressSpace'), flags, problem: problem ?? 'none' });
  if (problem !== undefined) return call.fail(HvStatus.INVALID_PARAMETER, problem);
  const set = processors(hyperv, call, flags);
  if (typeof set === 'number') return set;
  if (call.row.isRep) return yield* flushRanges(call, set, (flags & Flags.EXTENDED_RANGES) !== 0n);
  yield stage('hyperv-call-flush.space', { vps: set.text, spaces: flags & Flags.ALL_SPACES ? 'all' : 'one' });
  return HvStatus.SUCCESS;
}

function problemOfFlags({ row }: HypercallCall, flags: bigint): string | undefined {
  if (flags & ~Flags.ALL) return `flags ${hex(flags & ~Flags.ALL)} mean nothing`;
  if (row.isRep && flags & Flags.NON_GLOBAL_ONLY) return 'ranges are flushed whether they are global or not';
  return undefined;
}

function processors(hyperv: Hyperv, call: HypercallCall, flags: bigint): ProcessorSet | number {
  if (flags & Flags.ALL_PROCESSORS) return allProcessors(hyperv);
  if (!call.row.isVariable) return processorsOfMask(hyperv, call, call.value('processorMask'));
  return processorsOfSet(hyperv, call, call.value('setFormat'), call.value('validBanks'), call.variable);
}

/** A range is an address with its number of further pages in its low bits. */
function* flushRanges(call: HypercallCall, set: ProcessorSet, isExtended: boolean): Handler<number> {
  for (let index = call.repStart; index < call.repEnd; index++) {
    const range = call.elementValue(index, 'gvaRange');
    const isLarge = isExtended && (range & LARGE) !== 0n;
    const pages = (range & (isExtended ? LARGE - 1n : 0xfffn)) + 1n;
    yield stage('hyperv-call-flush.range', { gva: range & ~0xfffn, pages, size: isLarge ? '2 MiB' : '4 KiB', vps: set.text });
    call.repsCompleted++;
  }
  return HvStatus.SUCCESS;
}
