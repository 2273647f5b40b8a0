import type { Host } from '../../../src/hypervisor/host/host.ts';
import type { GuestPartition } from '../../../src/hypervisor/partition/guest-partition.ts';
import type { PartitionConfiguration } from '../../../src/platforms/configuration.ts';
import type { ExitDetail, ExitPlace } from '../../../src/processor/exit.ts';
import type { Processor } from '../../../src/processor/processor.ts';
import { guest as anyGuest } from '../../platforms/run-guest.ts';

/** A partition with little memory, so that its hash is quickly made. */
export function guest(source: string, configuration: Partial<PartitionConfiguration> = {}, host?: Host): GuestPartition {
  return anyGuest(source, { memory: 16 * 2 ** 20, ...configuration }, host);
}

/** Configurations that run everything interpreted, and that translate what is hot. */
export const TIERS = [
  ['interpreted', { translator: 0 }],
  ['translated', {}],
] as const;

export const ALL = { read: true, write: true, execute: true };
export const READ_ONLY = { read: true, write: false, execute: false };
export const NOTHING = { read: false, write: false, execute: false };

export function processorOf(partition: GuestPartition, vcpu = 0): Processor {
  const processor = partition.vcpus[vcpu]?.processor;
  if (!processor) throw new Error(`there is no vCPU ${vcpu}`);
  return processor;
}

/** Runs to the next exit of a reason, before its handler begins. */
export function stopAt<Reason extends ExitDetail['reason']>(
  partition: GuestPartition,
  reason: Reason,
): ExitPlace & Extract<ExitDetail, { readonly reason: Reason }> {
  partition.setDebugHooks({ stopAtExit: (_vcpu, exit) => exit.reason === reason });
  for (let slice = 0; slice < 100; slice++) {
    const stop = partition.run({ instructions: 1_000_000 });
    if (stop.kind === 'exit') {
      partition.setDebugHooks(undefined);
      return stop.exit as ExitPlace & Extract<ExitDetail, { readonly reason: Reason }>;
    }
    if (stop.kind === 'ended') throw new Error(`the guest ended: ${stop.end.message}`);
    if (stop.kind !== 'budget') throw new Error(`the guest stopped with ${stop.kind}`);
  }
  throw new Error(`no exit of reason ${reason} came`);
}
