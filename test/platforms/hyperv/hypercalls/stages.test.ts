import { describe, expect, test } from 'vitest';
import { stagePosition } from '../../../../src/hypervisor/exits/stage-position.ts';
import { plainRecord } from '../../../../src/hypervisor/journal/exit-journal.ts';
import { bytesOf, Caller, control, INPUT, OUTPUT } from './caller.ts';

const SELF = 0xffff_ffff_ffff_ffffn;
const SELF_VP = 0xffff_fffe;
const head = [
  [SELF, 8],
  [SELF_VP, 4],
  [0, 4],
] as const;

type Row = readonly [name: string, word: bigint, ...input: (readonly [bigint | number, number])[]];

const ROWS: readonly Row[] = [
  ['no call', control(0x3ff)],
  ['a call that may not be made', control(0x40)],
  ['a call that is made wrongly', control(0x5d, { reps: 1 })],
  ['an address space', control(0x01), [0x1234, 8]],
  ['a flush', control(0x02), [0, 8], [1, 8], [0, 8]],
  ['a flush of ranges', control(0x03, { reps: 100 }), [0, 8], [1, 8], [0, 8]],
  ['a flush of a set', control(0x13, { variable: 1 }), [0, 8], [0, 8], [0, 8], [1, 8], [1, 8]],
  ['a spin', control(0x08), [7, 8]],
  ['an interrupt', control(0x0b), [0x40, 8], [1, 8]],
  ['registers', control(0x50, { reps: 2 }), ...head, [0x2_0010, 4], [0x9_0004, 4]],
  ['a register that is none', control(0x50, { reps: 1 }), ...head, [0x9999, 4]],
  ['a register to write', control(0x51, { reps: 1 }), ...head, [0x2_000f, 4], [0, 12], [5, 16]],
  ['a translation', control(0x52), ...head, [1, 8], [INPUT >> 12n, 8]],
  ['a read', control(0x53), [SELF, 8], [0, 4], [8, 4], [INPUT, 8], [0, 8]],
  ['a write', control(0x54), [SELF, 8], [0, 4], [8, 4], [OUTPUT, 8], [0, 8], [5, 16]],
  ['a message', control(0x5c), [1, 4], [0, 4], [1, 4], [0, 4]],
  ['an event', control(0x5d), [0x99, 8]],
  ['a character', control(0x71), [0x41, 8]],
  ['a vCPU that runs', control(0x99), ...head],
  ['APIC ids', control(0x9a, { reps: 2 }), [SELF, 8], [0, 8], [0, 4], [9, 4]],
  ['CPUID', control(0xf4, { reps: 1 }), ...head, [0, 8], [1, 24]],
  ['ports that leave', control(0xad), [SELF, 8], [SELF_VP, 4], [0, 2], [0x3f8, 2], [1, 8]],
  ['extended calls', control(0x8001)],
];

/** What one round of a call leaves behind. */
function outcome(caller: Caller, [, word, ...input]: Row, inStages: boolean) {
  caller.reset();
  caller.write(INPUT, bytesOf(...input));
  const stages: string[] = [];
  const frames: string[] = [];
  const { state } = caller.processor;
  [
    [1, word],
    [2, INPUT],
    [8, OUTPUT],
  ].forEach(([register, value]) => {
    state.setGpr(Number(register), BigInt(value ?? 0));
  });
  const request = { instructions: 1, stopAtStage: inStages, stopAtEntry: true };
  for (let stop = caller.partition.run(request); stop.kind === 'stage'; stop = caller.partition.run(request)) {
    const open = caller.partition.vcpus[0]?.activity?.frames ?? [];
    stages.push(open.at(-1)?.stage?.id ?? '');
    frames.push(open.map(({ frame }) => `${frame.component}: ${frame.name}`).join(' | '));
  }
  const [record] = caller.partition.journal.latest(1);
  return {
    record: record && { ...plainRecord(record), stage: record.stage },
    states: caller.processor.state.u64.slice(0, 0x400 / 8).join(),
    memory: Buffer.from(caller.processor.readMemory('gpa', INPUT, 0x3000)).toString('base64'),
    stages,
    frames,
  };
}

describe.each(['intel', 'amd'] as const)('on %s', (vendor) => {
  const caller = new Caller(vendor);

  test.each(ROWS.map((row) => [row[0], row] as const))('%s is served at once as in stages', (_, row) => {
    const { stages, frames, ...inStages } = outcome(caller, row, true);
    const { stages: none, frames: no, ...atOnce } = outcome(caller, row, false);
    expect([none, no]).toEqual([[], []]);
    expect(atOnce).toEqual(inStages);
    expect(stages.length).toBeGreaterThan(1);
    expect(atOnce.record?.stage).toBe(stages[0]);
    for (const id of stages) expect(stagePosition(id)?.path).toMatch(/^src\/platforms\/hyperv\/(\w+\/)?handlers\//);
  });
});

test('a call runs in frames of the hypervisor: the exit, the dispatcher, the call by its name', () => {
  const row = ROWS.find(([name]) => name === 'a flush');
  const { frames } = outcome(new Caller('intel'), row ?? ['', 0n], true);
  expect(frames.at(-2)).toBe('hvix64: VM exit | hvix64: hypercall | hvix64: HvCallFlushVirtualAddressSpace');
});
