import { describe, expect, test } from 'vitest';
import type { InspectNode } from '../../src/devices/inspect.ts';
import type { ExitContext } from '../../src/hypervisor/exits/exit-context.ts';
import { journalLine } from '../../src/hypervisor/journal/ring-journal.ts';
import { GuestPartition } from '../../src/hypervisor/partition/guest-partition.ts';
import type { Machine, Platform } from '../../src/hypervisor/partition/platform.ts';
import type { RunStop } from '../../src/hypervisor/partition/run.ts';
import type { ExitDetail } from '../../src/processor/exit.ts';
import { PartitionMemory } from '../../src/processor/memory/partition-memory.ts';
import type { Processor } from '../../src/processor/processor.ts';
import { type Handler, inFrame, stage } from '../../src/stages/stage.ts';
import { FakeProcessor, type Step } from './fake-processor.ts';

const out = (port: number, value: number, size: 1 | 2 | 4 = 1): ExitDetail => ({
  reason: 'io',
  port,
  size,
  write: true,
  value,
  string: false,
  rep: false,
  immediate: false,
});

/** Serves I/O in two frames and everything else by doing what hardware does. */
class TestPlatform implements Platform {
  readonly name = 'test';
  constructor(private readonly machine: Machine) {}
  setUpVcpu(processor: Processor): void {
    processor.intercepts.hlt = true;
  }
  handle(context: ExitContext): Handler {
    return inFrame({ name: 'outer', component: 'test', servedBy: 'hypervisor' }, this.serve(context));
  }
  private *serve(context: ExitContext): Handler {
    const { exit, processor } = context;
    context.served('test outer', 'hypervisor');
    yield stage('test.decode', { reason: exit.reason });
    if (exit.reason === 'io') {
      yield* inFrame({ name: 'device', component: 'test', servedBy: 'device' }, this.device(context));
      processor.completeAccess(0n);
    } else processor.performNatively();
    yield stage('test.complete');
  }
  private *device(context: ExitContext): Handler {
    const { exit } = context;
    if (exit.reason !== 'io') return;
    yield stage('test.device', { port: exit.port });
    this.machine.devices.ports.write(exit.port, exit.size, exit.value);
    context.result('ok');
  }
  inspect(): InspectNode {
    return { name: 'platform', value: 'test' };
  }
}

function machine(...scripts: Step[][]) {
  const memory = new PartitionMemory([{ gpa: 0n, length: 0x10000 }], scripts.length);
  const processors = scripts.map((script, index) => new FakeProcessor(index, memory, script));
  const partition = new GuestPartition({
    id: 1,
    name: 'guest',
    vendor: 'intel',
    memory,
    processors,
    lowMemory: 0x10000n,
    highMemory: 0n,
    startSeconds: 0n,
    platform: (host) => new TestPlatform(host),
    load: () => memory.write(0n, Uint8Array.of(1, 2, 3)),
  });
  let text = '';
  partition.onConsole((_source, bytes) => {
    text += new TextDecoder().decode(bytes);
  });
  return { partition, processors, text: () => text };
}

const work = (count: number): Step => ({ do: 'work', count });
const exit = (detail: ExitDetail): Step => ({ do: 'exit', detail });
const LOOP: Step = { do: 'loop' };

function runToEnd(partition: GuestPartition, slice: number): RunStop {
  for (let round = 0; round < 3_000_000; round++) {
    const stop = partition.run({ instructions: slice });
    if (stop.kind !== 'budget') return stop;
  }
  throw new Error('the run has no end');
}

describe('a partition', () => {
  test('retires exactly the instructions that were asked for', () => {
    const { partition } = machine([LOOP]);
    expect(partition.run({ instructions: 1234 })).toEqual({ kind: 'budget' });
    expect(partition.icount).toBe(1234n);
    expect(partition.now()).toBe(1234n);
  });

  test('counts an instruction that exits as one', () => {
    const { partition, text } = machine([exit(out(0x3f8, 0x41)), exit(out(0x3f8, 0x42)), LOOP]);
    partition.run({ instructions: 1 });
    expect([partition.icount, text()]).toEqual([1n, 'A']);
    partition.run({ instructions: 1 });
    expect([partition.icount, text()]).toEqual([2n, 'AB']);
  });

  test('records exits with numbers, request, result and who served them', () => {
    const { partition } = machine([work(5), exit(out(0x3f8, 0x48)), LOOP]);
    const heard: string[] = [];
    partition.journal.onRecord((record) => heard.push(record.request));
    partition.run({ instructions: 10 });
    expect(partition.journal.latest(5).map((record) => JSON.parse(journalLine(record)))).toEqual([
      {
        seq: 1,
        partition: 1,
        vcpu: 0,
        icount: '5',
        rip: '0x1',
        reason: 'io',
        vmx: 30,
        svm: 0x7b,
        qualification: '0x3f80000',
        request: 'out 0x3f8, 0x48',
        handler: 'test outer',
        to: 'hypervisor',
        result: 'ok',
      },
    ]);
    expect(partition.journal.countByReason.get('io')).toBe(1);
    expect(heard).toEqual(['out 0x3f8, 0x48']);
  });

  test('stops at the stages of a handler, with frames and values, and at VM entry', () => {
    const { partition, text } = machine([work(3), exit(out(0x3f8, 0x48)), LOOP]);
    const [vcpu] = partition.vcpus;
    const places: string[] = [];
    const request = { instructions: 100, stopAtStage: true, stopAtEntry: true };
    for (let stop = partition.run(request); stop.kind === 'stage'; stop = partition.run(request)) {
      const frames = vcpu?.activity?.frames ?? [];
      places.push(frames.map(({ frame, stage: at }) => `${frame.name}@${at?.id}`).join(' > '));
    }
    expect(places).toEqual(['outer@test.decode', 'outer@test.decode > device@test.device', 'outer@test.complete']);
    expect(vcpu?.activity).toBeUndefined();
    expect([partition.icount, text()]).toEqual([3n, 'H']);
    expect(partition.run({ instructions: 1 })).toEqual({ kind: 'budget' });
    expect(partition.icount).toBe(4n);
  });

  test('finishes a handler that it was stopped in when it goes on', () => {
    const { partition, text } = machine([exit(out(0x3f8, 0x48)), LOOP]);
    partition.run({ instructions: 10, stopAtStage: true });
    expect(text()).toBe('');
    expect(partition.run({ instructions: 10 })).toEqual({ kind: 'budget' });
    expect(text()).toBe('H');
  });

  test('asks the debugger about each exit before its handler begins', () => {
    const { partition, text } = machine([exit(out(0x3f8, 0x48)), exit(out(0x80, 1)), LOOP]);
    partition.setDebugHooks({
      stopAtExit: (_vcpu, { reason, ...rest }) => reason === 'io' && 'port' in rest && rest.port === 0x80,
    });
    expect(partition.run({ instructions: 10 })).toMatchObject({ kind: 'exit', vcpu: 0, exit: { port: 0x80 } });
    expect(text()).toBe('H');
    expect(partition.vcpus[0]?.activity?.frames).toEqual([]);
    expect(partition.run({ instructions: 1 })).toEqual({ kind: 'budget' });
  });

  test('ends by power-off, debug exit, reset and halting for good', () => {
    const ends = (step: Step) => {
      const stop = machine([step]).partition.run({ instructions: 10 });
      return stop.kind === 'ended' ? [stop.end.kind, stop.end.status] : stop.kind;
    };
    expect(ends(exit(out(0x604, 0x2000, 2)))).toEqual(['power-off', 0]);
    expect(ends(exit(out(0xf4, 3)))).toEqual(['debug-exit', 7]);
    expect(ends(exit(out(0x64, 0xfe)))).toEqual(['reset', 0]);
    expect(ends({ do: 'halt' })).toEqual(['halted', 0]);
  });

  test('stays ended, and starts over after a reset', () => {
    const { partition, text } = machine([exit(out(0x3f8, 0x41)), exit(out(0xf4, 0))]);
    const first = partition.run({ instructions: 10 });
    expect(first.kind).toBe('ended');
    expect(partition.run({ instructions: 10 })).toEqual(first);
    partition.memory.write(0n, Uint8Array.of(9));
    partition.reset();
    expect(partition.memory.read(0n, 3)).toEqual(Uint8Array.of(1, 2, 3));
    expect([partition.end, partition.icount, partition.journal.total]).toEqual([undefined, 0n, 0]);
    expect(partition.run({ instructions: 10 })).toEqual(first);
    expect(text()).toBe('AA');
  });

  test('turns a failure of a handler into an end, not a crash', () => {
    const { partition } = machine([exit(out(0x3f8, 1))]);
    partition.devices.ports.write = () => {
      throw new Error('the model broke');
    };
    expect(partition.run({ instructions: 5 })).toMatchObject({
      kind: 'ended',
      end: { kind: 'internal-error', message: 'The hypervisor failed while it served a VM exit: the model broke' },
    });
  });
});

/** PIT channel 0 in mode 2 with a count, IRQ 0 at vector 0x20 with automatic end of interrupt. */
const timerSteps = (count: number): Step[] =>
  [
    out(0x20, 0x11),
    out(0x21, 0x20),
    out(0x21, 4),
    out(0x21, 3),
    out(0x21, 0xfe),
    out(0x43, 0x34),
    out(0x40, count & 0xff),
    out(0x40, count >> 8),
  ].map(exit);

describe('guest time', () => {
  test('stops at the instruction at which a timer is due', () => {
    const { partition, processors } = machine([...timerSteps(1193), LOOP]);
    partition.run({ instructions: 3_500_000 });
    const log = processors[0]?.log.filter((line) => line.startsWith('interrupt')) ?? [];
    expect(log.slice(0, 3)).toEqual(['interrupt 32 at 999855', 'interrupt 32 at 1999702', 'interrupt 32 at 2999550']);
  });

  test('skips what nobody runs in', () => {
    const { partition, processors } = machine([...timerSteps(11932), { do: 'halt' }, { do: 'halt' }, exit(out(0xf4, 0))]);
    expect(partition.run({ instructions: 100 }).kind).toBe('ended');
    expect(processors[0]?.icount).toBe(10n);
    expect(partition.now()).toBeGreaterThan(19_900_000n);
  });

  test('is idle while only input can wake the guest', () => {
    const { partition, processors } = machine([
      exit(out(0x21, 0xff)),
      exit(out(0x20, 0x11)),
      exit(out(0x21, 0x20)),
      exit(out(0x21, 4)),
      exit(out(0x21, 3)),
      exit(out(0x21, 0)),
      exit(out(0x3fc, 8)),
      exit(out(0x3f9, 1)),
      { do: 'halt' },
      LOOP,
    ]);
    expect(partition.run({ instructions: 100 })).toEqual({ kind: 'idle' });
    partition.sendConsole(new TextEncoder().encode('x'));
    expect(partition.run({ instructions: 5 })).toEqual({ kind: 'budget' });
    expect(processors[0]?.log.filter((line) => line.startsWith('interrupt'))).toEqual(['interrupt 36 at 9']);
    expect(partition.input.log).toEqual([{ icount: 9n, ticks: 9n, bytes: Uint8Array.of(0x78) }]);
  });

  test('brings replayed input at the instruction at which it came', () => {
    const script = [...timerSteps(1193), exit(out(0x3fc, 8)), exit(out(0x21, 0xee)), exit(out(0x3f9, 1)), LOOP];
    const first = machine(script);
    first.partition.run({ instructions: 1000 });
    first.partition.sendConsole(Uint8Array.of(0x41));
    first.partition.run({ instructions: 1000 });
    const second = machine(script);
    second.partition.input.replay(first.partition.input.log);
    second.partition.run({ instructions: 2000 });
    const interrupts = (log: readonly string[] | undefined) => log?.filter((line) => line.startsWith('interrupt'));
    expect(interrupts(second.processors[0]?.log)).toEqual(interrupts(first.processors[0]?.log));
    expect(interrupts(first.processors[0]?.log)).toEqual(['interrupt 36 at 1000']);
  });
});

describe('several vCPUs', () => {
  const scripts = (): Step[][] => [
    [...timerSteps(1193), work(25_000), exit(out(0x3f8, 0x41)), { do: 'halt' }, work(40_000), exit(out(0xf4, 0))],
    [work(12_345), exit(out(0x3f8, 0x42)), work(30_000), exit(out(0x3f8, 0x43)), { do: 'halt' }, LOOP],
    [exit(out(0x3f8, 0x44)), work(50_000), exit(out(0x3f8, 0x45)), LOOP],
  ];

  test.each([1, 7, 1000, 33_333])('run alike when stopped every %d instructions', (slice) => {
    const whole = machine(...scripts());
    const pieces = machine(...scripts());
    expect(runToEnd(whole.partition, 10_000_000).kind).toBe('ended');
    expect(runToEnd(pieces.partition, slice).kind).toBe('ended');
    expect(pieces.text()).toBe(whole.text());
    expect(pieces.partition.now()).toBe(whole.partition.now());
    expect(pieces.partition.journal.latest(100)).toEqual(whole.partition.journal.latest(100));
    expect(pieces.partition.stateHash()).toBe(whole.partition.stateHash());
  });

  test('run one alone when asked', () => {
    const { partition, processors } = machine([LOOP], [LOOP]);
    partition.run({ instructions: 50_000, onlyVcpu: 1 });
    expect(processors.map((processor) => processor.icount)).toEqual([0n, 50_000n]);
  });

  test('share one line of time', () => {
    const { partition, processors } = machine([LOOP], [LOOP]);
    partition.run({ instructions: 100_000 });
    expect(processors.map((processor) => processor.icount)).toEqual([50_000n, 50_000n]);
    expect(partition.now()).toBe(100_000n);
    expect(partition.stolenTicks(0)).toBe(40_000n);
  });
});

test('the state hash tells states apart and is the same for the same state', () => {
  const first = machine([LOOP]).partition;
  const second = machine([LOOP]).partition;
  expect(first.stateHash()).toMatch(/^[0-9a-f]{16}$/);
  expect(second.stateHash()).toBe(first.stateHash());
  second.memory.write(0xfffen, Uint8Array.of(1));
  expect(second.stateHash()).not.toBe(first.stateHash());
  const fewer = first.stateHash();
  first.run({ instructions: 1 });
  expect(first.stateHash()).not.toBe(fewer);
});

test('no half of the state hash follows from the other', () => {
  const { partition } = machine([LOOP]);
  const differences = Array.from({ length: 64 }, (_, value) => {
    partition.memory.write(0xfffen, Uint8Array.of(value));
    const hash = partition.stateHash();
    return Number.parseInt(hash.slice(0, 8), 16) ^ Number.parseInt(hash.slice(8), 16);
  });
  const ones = differences.reduce((all, difference) => all | difference, 0);
  const zeros = differences.reduce((all, difference) => all | ~difference, 0);
  expect([ones, zeros]).toEqual([-1, -1]);
});
