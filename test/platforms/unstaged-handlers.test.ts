import { describe, expect, test } from 'vitest';
import { stagePosition } from '../../src/hypervisor/exits/stage-position.ts';
import { plainRecord } from '../../src/hypervisor/journal/exit-journal.ts';
import type { ExitDetail } from '../../src/processor/exit.ts';
// @ts-expect-error: a build script without types
import { unstaged } from '../../tools/generate/unstaged-handlers.mjs';
import { machine } from './kvm-machine.ts';

const io = { reason: 'io', port: 0x3f8, size: 1, write: true, value: 0x41, string: false, rep: false, immediate: false } as const;
const mmio = { reason: 'mmio', gpa: 0xfec0_0000n, gva: 0xfec0_0000n, size: 4, write: true, value: 0x10n } as const;
const cr = { reason: 'cr', register: 0, access: 'mov-to', gpr: 0, value: 0x31n } as const;
const violation = {
  reason: 'second-level-violation',
  gpa: 0x5000n,
  gva: 0x5000n,
  access: 'write',
  allowed: { read: true, write: true, execute: true },
  duringWalk: false,
} as const;

/** A row: what it is, the exit, and RAX, RBX, RCX, RDX and RSI. */
type Row = readonly [name: string, detail: ExitDetail, ...registers: bigint[]];
const call = (name: string, ...registers: bigint[]): Row => [name, { reason: 'hypercall', instruction: 'vmcall' }, ...registers];

const ROWS: readonly Row[] = [
  ['a CPUID leaf of the processor', { reason: 'cpuid', leaf: 1, subleaf: 0 }],
  ['a CPUID leaf of KVM', { reason: 'cpuid', leaf: 0x4000_0000, subleaf: 0 }],
  ['a write to a port of the VMM', io],
  ['a read of a port of the VMM', { ...io, write: false, port: 0x3fd }],
  ['a write to a port of the kernel', { ...io, port: 0x21 }],
  ['a write to a port that nobody has', { ...io, port: 0x9999 }],
  ['a read of a port that nobody has', { ...io, write: false, port: 0x9999 }],
  ['a write to device memory', mmio],
  ['a read of device memory', { ...mmio, write: false, value: 0n }],
  ['a write to where nothing is', { ...mmio, gpa: 0xd000_0000n }],
  ['a fetch from where nothing is', { ...mmio, gpa: 0xd000_0000n, write: false, fetch: true }],
  ['a write to the local APIC', { ...mmio, gpa: 0xfee0_0080n }],
  ['a read of the local APIC', { ...mmio, gpa: 0xfee0_0030n, write: false }],
  ['a read of an MSR of the processor', { reason: 'msr-read', msr: 0x1a0 }],
  ['a read of an MSR of KVM', { reason: 'msr-read', msr: 0x4b56_4d05 }],
  ['a read of an MSR that KVM does not offer', { reason: 'msr-read', msr: 0x4b56_4d06 }],
  ['a write to an MSR of KVM', { reason: 'msr-write', msr: 0x4b56_4d05, value: 0n }],
  ['a write to an MSR that KVM refuses', { reason: 'msr-write', msr: 0x4b56_4d05, value: 4n }],
  ['a write of the clock’s place', { reason: 'msr-write', msr: 0x4b56_4d01, value: 0x2001n }],
  ['a write to the TSC', { reason: 'msr-write', msr: 0x10, value: 5n }],
  ['a write to an MSR of the local APIC', { reason: 'msr-write', msr: 0x808, value: 0x20n }],
  call('a hypercall without a purpose', 1n),
  call('a hypercall that wakes', 5n, 0n, 1n),
  call('a hypercall that wakes nobody', 5n, 0n, 77n),
  call('a hypercall for the time', 9n, 0x2000n, 0n),
  call('a hypercall for the time of a bad clock', 9n, 0x2000n, 5n),
  call('a hypercall that sends interrupts', 10n, 2n, 0n, 0n, 0x40n),
  call('a hypercall that yields', 11n, 1n),
  call('a hypercall that is none', 99n),
  ['a hypercall by the other vendor’s instruction', { reason: 'hypercall', instruction: 'vmmcall' }, 1n],
  ['a halt', { reason: 'hlt' }],
  ['an interrupt window', { reason: 'interrupt-window' }],
  ['a write to a control register', cr],
  ['a read of a control register', { ...cr, access: 'mov-from' }],
  ['a debug register', { reason: 'dr', register: 7, write: true, gpr: 0 }],
  ['PAUSE', { reason: 'pause' }],
  ['RDTSC', { reason: 'rdtsc', rdtscp: false }],
  ['MWAIT', { reason: 'mwait' }],
  ['VMX', { reason: 'vmx', instruction: 'vmxon' }],
  ['a triple fault', { reason: 'triple-fault', chain: [{ vector: 8, errorCode: 0 }] }],
  ['a violation that is none any more', violation],
  ['a violation that can’t be mended', { ...violation, gpa: 0x9_0000_0000n }],
  ['a misconfiguration', { ...violation, reason: 'second-level-misconfiguration' }],
  ['a full log of dirty pages', { reason: 'dirty-log', gpa: 0x5000n }],
  ['an entry that failed', { reason: 'vm-entry-failure', cause: 'guest-state', problem: 'RFLAGS is odd' }],
  ['an exit that KVM did not ask for', { reason: 'preemption-timer' }],
];

const REGISTERS = [0, 3, 1, 2, 6] as const;

/** What one exit leaves behind, served by `serve`. */
function outcome(vendor: 'intel' | 'amd', [, detail, ...registers]: Row, serve: (guest: ReturnType<typeof machine>) => void) {
  const guest = machine(vendor, [detail], 2);
  guest.withRegisters(Object.fromEntries(registers.map((value, index) => [REGISTERS[index] ?? 0, value])));
  const { partition, processors, memory } = guest;
  serve(guest);
  // What ends a guest is said behind the exit.
  const stop = partition.run({ instructions: 1 });
  return {
    records: partition.journal.latest(10).map((record) => ({ ...plainRecord(record), stage: record.stage })),
    logs: processors.map(({ log }) => log),
    states: processors.map(({ state }) => state.u64.join()),
    memory: Buffer.from(memory.read(0n, 0x10000)).toString('base64'),
    stop,
  };
}

describe.each(['intel', 'amd'] as const)('on %s', (vendor) => {
  test.each(ROWS.map((row) => [row[0], row] as const))('%s is served at once as in stages', (_, row) => {
    const stages: string[] = [];
    const inStages = outcome(vendor, row, ({ partition }) => {
      const request = { instructions: 1, stopAtStage: true, stopAtEntry: true };
      for (let stop = partition.run(request); stop.kind === 'stage'; stop = partition.run(request))
        stages.push(partition.vcpus[0]?.activity?.frames.at(-1)?.stage?.id ?? '');
    });
    const atOnce = outcome(vendor, row, ({ partition }) => partition.run({ instructions: 1, stopAtEntry: true }));
    expect(atOnce).toEqual(inStages);
    expect(stages.length).toBeGreaterThan(0);
    expect(atOnce.records[0]?.stage).toBe(stages[0]);
    expect(stages.every((id) => /^src\/platforms\/(kvm|exits)\/handlers\//.test(stagePosition(id)?.path ?? ''))).toBe(true);
  });
});

describe('handlers without stages', () => {
  const handler = (body: string, parameters = 'context: ExitContext') =>
    unstaged(
      `export function* handle(${parameters}): Handler {\n${body}}\n\nfunction* inner(): Handler<bigint> {\n  return 1n;\n}\n`,
      'x.ts',
    );

  test('say what they would begin with, and do the rest', () => {
    const body = "  yield stage('x.first', { text: ')', nested: [1, (2)] });\n  return yield* inFrame(frame('a, b'), inner());\n";
    expect(handler(body)).toBe(
      "export function handle(context: ExitContext): void {\n  context.record.stage = 'x.first';\n" +
        '  return inner();\n}\n\nfunction inner(): bigint {\n  return 1n;\n}\n',
    );
  });

  test('call the twins of methods that have stages', () => {
    const body = "  yield stage('x.a');\n  yield* bus.devices.writeInStages(1, 2);\n";
    expect(handler(body)).toContain('\n  bus.devices.write(1, 2);\n');
  });

  test('are refused where they are written in a way that can’t be taken apart', () => {
    expect(() => handler("  const x = yield stage('x.a');\n")).toThrow(/^x.ts: this can't be said without stages: .*const x = /);
    expect(() => handler("  yield stage('x.a'), f();\n")).toThrow('x.ts: a stage is no statement of its own: yield stage(.');
    expect(() => handler('  f();\n')).toThrow('x.ts: handle has no stage.');
    expect(() => handler("  yield stage('x.a');\n", 'exit: VmExit')).toThrow("x.ts: handle has no parameter 'context'.");
  });
});
