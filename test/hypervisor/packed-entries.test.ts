import { describe, expect, test } from 'vitest';
import { hexOfSize } from '../../src/hypervisor/exits/describe.ts';
import { ExitEntry } from '../../src/hypervisor/journal/exit-entry.ts';
import { plainRecord } from '../../src/hypervisor/journal/exit-journal.ts';
import { PackedEntries } from '../../src/hypervisor/journal/packed-entries.ts';
import { reasonNumber } from '../../src/hypervisor/journal/reason-numbers.ts';
import { RingJournal } from '../../src/hypervisor/journal/ring-journal.ts';
import type { ExitDetail, ExitPlace } from '../../src/processor/exit.ts';

const TOP = 2n ** 64n - 1n;
const io = {
  reason: 'io',
  port: 0xffff,
  size: 4,
  write: true,
  value: 0xffff_ffff,
  string: true,
  rep: false,
  immediate: false,
} as const;
const access = { gpa: 0xf_fee0_0080n, gva: TOP, size: 8, write: true, value: TOP } as const;
const violation = {
  reason: 'second-level-violation',
  gpa: 0x5000n,
  gva: 0xffff_8000_0000_5000n,
  access: 'write',
  allowed: { read: true, write: false, execute: true },
  duringWalk: false,
} as const;

/** What rows of numbers have room for. */
const FREQUENT: readonly ExitDetail[] = [
  { reason: 'cpuid', leaf: 0xffff_ffff, subleaf: 7 },
  io,
  { ...io, size: 1, write: false, value: 0, string: false, rep: true, immediate: true },
  { ...io, size: 2 },
  { reason: 'mmio', ...access },
  { reason: 'mmio', ...access, size: 1, write: false, value: 0n, fetch: true },
  { reason: 'apic', ...access, size: 4 },
  { reason: 'apic', ...access, size: 2, write: false, value: 0n },
  { reason: 'msr-read', msr: 0xc000_0080 },
  { reason: 'msr-write', msr: 0xc000_0080, value: TOP },
  { reason: 'msr-write', msr: 0xc000_0080, value: TOP, trap: true },
  { reason: 'hypercall', instruction: 'vmcall' },
  { reason: 'hypercall', instruction: 'vmmcall' },
  violation,
  { ...violation, gva: undefined, access: 'read-write', allowed: { read: false, write: true, execute: false }, duringWalk: true },
  { ...violation, access: 'read' },
  { ...violation, access: 'execute' },
  { reason: 'rdtsc', rdtscp: false },
  { reason: 'rdtsc', rdtscp: true },
  { reason: 'hlt' },
  { reason: 'hlt', idle: true },
  { reason: 'pause' },
  { reason: 'interrupt-window' },
  { reason: 'monitor-trap' },
  { reason: 'preemption-timer' },
];
const RARE: readonly ExitDetail[] = [
  { reason: 'cr', register: 4, access: 'mov-to', gpr: 3, value: TOP },
  { reason: 'exception', vector: 14, errorCode: 2, payload: TOP, type: 3 },
  { reason: 'triple-fault', chain: [{ vector: 8, errorCode: 0 }] },
];

function entry(detail: ExitDetail, place: Partial<ExitPlace> = {}, vendor: 'intel' | 'amd' = 'intel'): ExitEntry {
  const exit = { rip: TOP, instructionLength: 15, icount: TOP, ...place, ...detail };
  const made = new ExitEntry(2 ** 40 + 1, 70_000, 65, vendor, exit, TOP, vendor === 'intel' ? 64 : 16);
  return Object.assign(made, { handler: 'kvm-intel handle', to: 'device', stage: 'kvm.stage', outcome: 'ok' });
}

/** The entry as it comes back from a row. */
function packed(before: ExitEntry): ExitEntry | undefined {
  const entries = new PackedEntries(10);
  return entries.put(0, before, reasonNumber(before.reason)) ? entries.get(0) : undefined;
}

describe.each(['intel', 'amd'] as const)('an entry of %s in a row of numbers', (vendor) => {
  test.each(FREQUENT.map((detail) => [detail.reason, detail] as const))('is the same: %s', (_, detail) => {
    const before = entry(detail, {}, vendor);
    expect(packed(before)).toEqual(before);
    const other = entry(detail, { rip: 0n, icount: 0n, instructionLength: 0 }, vendor);
    expect(packed(other)).toEqual(other);
  });
});

test('a row has the platform’s words and results that are made when they are read', () => {
  const before = entry({ reason: 'hypercall', instruction: 'vmcall' });
  before.asked = 'vmcall NAME';
  before.outcome = hexOfSize;
  before.first = 0x12n;
  before.second = 2n;
  const after = packed(before);
  expect(after).toEqual(before);
  expect([after?.request, after?.result]).toEqual(['vmcall NAME', '0x0012']);
});

test('a row has the numbers of an exit that isn’t as usual', () => {
  const before = entry({ reason: 'mmio', ...access }, { special: { vmx: 49, svm: 0x400, qualification: 0n } });
  expect(packed(before)).toEqual(before);
});

test.each<[string, ExitEntry]>([
  ...RARE.map((detail): [string, ExitEntry] => [detail.reason, entry(detail)]),
  ['an access while an event is delivered', entry({ reason: 'mmio', ...access }, { during: { vector: 8, type: 'exception' } })],
  ['a fault of IRET', entry({ reason: 'hlt' }, { unblockedNmis: true })],
  ['a refusal', Object.assign(entry(io), { refused: 'refused: not yours' })],
])('what a row has no room for is kept as it is: %s', (_, before) => {
  expect(packed(before)).toBeUndefined();
  const journal = new RingJournal(2);
  journal.enter(before);
  expect(journal.latest(1)[0]).toBe(before);
});

test('the ring gives entries of all kinds back in their order, however often it has gone round', () => {
  const journal = new RingJournal(100);
  const entered: string[] = [];
  const all = [...FREQUENT, ...RARE];
  for (let round = 0; round < 1000; round++) {
    const detail = all[(round * 7) % all.length];
    if (detail === undefined) break;
    const made = entry(detail, { rip: BigInt(round), icount: BigInt(round) });
    entered.push(JSON.stringify(plainRecord(made)));
    journal.enter(made);
    if (round % 90 === 0 || round === 999)
      expect(journal.latest(1000).map((record) => JSON.stringify(record))).toEqual(entered.slice(-100));
  }
  journal.clear();
  expect(journal.latest(1000)).toEqual([]);
});
