import { GuestPartition } from '../hypervisor/partition/guest-partition.ts';
import type { HostedPartition } from '../hypervisor/partition/partition.ts';
import { HypervPlatform } from '../platforms/hyperv/hyperv-platform.ts';
import { DebugSession } from './debug-session.ts';
import { interruptTargets } from './inspection/interrupt-table.ts';
import type { Guest } from './launch-guest.ts';
import { MappedSymbols } from './mapped-symbols.ts';

/** The interrupt source that intercepts of children arrive at, on the first virtual processor: HV_X64_MSR_SINT0. */
const INTERCEPT_SINT = 0x4000_0090;
const MASKED = 1n << 16n;
const VECTOR = 0xffn;

/** What a partition that a guest has made is to its debugger: a guest with the symbols of its maker, whose pages its code is in. */
export function madeGuest(partition: HostedPartition, maker: Guest, index: number): Guest | undefined {
  if (!(partition instanceof GuestPartition) || !(partition.server instanceof HypervPlatform)) return undefined;
  const { parent } = partition.server;
  if (!parent) return undefined;
  const session = new DebugSession(partition, new MappedSymbols(maker.session.symbols, partition, parent.child.pages));
  session.interruptsWhileStepping = maker.session.interruptsWhileStepping;
  const configuration = { ...maker.configuration, name: partition.name };
  return { index, configuration, program: maker.program, partition, session, disks: [], maker };
}

/** Linear addresses where a parent takes intercepts of its children; none where no interrupt tells it of them. */
export function interceptHandler({ server, processors }: GuestPartition): readonly bigint[] {
  const [processor] = processors;
  if (!(server instanceof HypervPlatform) || !processor) return [];
  const sint = server.msrs.read(processor, INTERCEPT_SINT) ?? MASKED;
  return (sint & MASKED) === 0n ? interruptTargets(processor, [Number(sint & VECTOR)]) : [];
}
