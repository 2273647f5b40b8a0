import { GuestPartition } from '../../src/hypervisor/partition/guest-partition.ts';
import { KvmPlatform } from '../../src/platforms/kvm/kvm-platform.ts';
import type { ExitDetail } from '../../src/processor/exit.ts';
import { PartitionMemory } from '../../src/processor/memory/partition-memory.ts';
import { FakeProcessor, type Step } from '../hypervisor/fake-processor.ts';

/** What the wall clock shows at switch-on, in seconds since 1970. */
export const START = 1_767_225_600n;

/** A KVM virtual machine whose first vCPU leaves for the given exits, one an instruction, without a processor or a program. */
export function machine(vendor: 'intel' | 'amd', details: readonly ExitDetail[], vcpus = 1) {
  const memory = new PartitionMemory([{ gpa: 0n, length: 0x10000 }], vcpus);
  const script: Step[] = [...details.map((detail): Step => ({ do: 'exit', detail })), { do: 'loop' }];
  const processors = Array.from({ length: vcpus }, (_, index) => new FakeProcessor(index, memory, index === 0 ? script : []));
  let registers: Readonly<Record<number, bigint>> = {};
  const partition = new GuestPartition({
    id: 1,
    name: 'guest',
    vendor,
    memory,
    processors,
    lowMemory: 0x10000n,
    highMemory: 0n,
    startSeconds: START,
    platform: (host) => new KvmPlatform(host, vendor, START),
    load: () => {
      for (const [index, value] of Object.entries(registers)) processors[0]?.state.setGpr(Number(index), value);
    },
  });
  const [processor] = processors;
  const [vcpu] = partition.vcpus;
  if (!processor || !vcpu) throw new Error('no vCPU');
  return {
    partition,
    processor,
    processors,
    memory,
    /** Sets general registers for the first instruction. */
    withRegisters(values: Readonly<Record<number, bigint>>) {
      registers = values;
      partition.reset();
    },
    /** Frames at each stage of the next exit, innermost last. */
    frames(): string[] {
      const seen: string[] = [];
      const request = { instructions: 1, stopAtStage: true, stopAtEntry: true };
      for (let stop = partition.run(request); stop.kind === 'stage'; stop = partition.run(request)) {
        const chain = vcpu.activity?.frames.map(({ frame }) => `${frame.component}: ${frame.name}`).join(' | ') ?? '';
        if (chain !== seen.at(-1)) seen.push(chain);
      }
      return seen;
    },
  };
}
