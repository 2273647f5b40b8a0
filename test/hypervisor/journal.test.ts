import { describe, expect, test } from 'vitest';
import { svmExitInfo, vmxQualification } from '../../src/hypervisor/exits/qualification.ts';
import { FACETS, type FacetName } from '../../src/hypervisor/journal/exit-facets.ts';
import { parseExitFilter } from '../../src/hypervisor/journal/exit-filter.ts';
import type { ExitRecord } from '../../src/hypervisor/journal/exit-journal.ts';
import { DISTANCE_CLASSES, distanceClass, ExitStatistics, OTHERS } from '../../src/hypervisor/journal/exit-statistics.ts';
import { ioAccess, subjectOf } from '../../src/hypervisor/journal/exit-subject.ts';
import { exitTable } from '../../src/hypervisor/journal/exit-tables.ts';
import { RingJournal } from '../../src/hypervisor/journal/ring-journal.ts';

const record = (changes: Partial<ExitRecord>): ExitRecord => ({
  ...{
    seq: 1,
    partition: 1,
    vcpu: 0,
    icount: '0',
    rip: '0x100000',
    reason: 'hlt',
    vmx: 12,
    svm: 0x78,
    qualification: '0x0',
    request: 'hlt',
  },
  ...changes,
});
const OUT = record({
  reason: 'io',
  qualification: '0x3f80000',
  request: 'out 0x3f8, 0x48',
  handler: 'kvm-intel handle_io',
  to: 'device',
});
const MSR = record({ reason: 'msr-write', request: 'wrmsr 0xc0000082, 0x1000', rip: '0x1010' });
const MMIO = record({ reason: 'mmio', request: 'write 0xfee00300, 0x1', to: 'hypervisor' });

describe('what an exit is counted by', () => {
  const facets = (exit: ExitRecord) =>
    Object.fromEntries(
      FACETS.map(({ name, of }) => [name, of(exit)]).filter(([name, value]) => name !== 'subject' && value !== undefined),
    );
  const subject = (changes: Partial<ExitRecord>) => subjectOf(record(changes));

  test('is its port, MSR, page, hypercall or leaf, besides what all have', () => {
    const all = { partition: '1', vcpu: '1.0', rip: '0x100000' };
    expect(facets(OUT)).toEqual({ ...all, reason: 'io', port: '0x3f8', handler: 'kvm-intel handle_io', to: 'device' });
    expect(facets(MSR)).toEqual({ ...all, reason: 'msr-write', rip: '0x1010', msr: '0xc0000082 LSTAR' });
    expect(facets(MMIO)).toMatchObject({ gpa: '0xfee00000' });
    expect(facets(record({ reason: 'apic', request: 'apic write 0xb0, 0x0' }))).toMatchObject({ gpa: 'APIC 0xb0' });
    expect(facets(record({ reason: 'hypercall', request: 'vmmcall 0x5' }))).toMatchObject({ hypercall: '0x5' });
    expect(facets(record({ reason: 'cpuid', request: 'cpuid 0x40000000.0x0' }))).toMatchObject({ leaf: '0x40000000' });
  });

  test('is the port on AMD too, whose qualification has other bits below it', () => {
    expect(facets(record({ reason: 'io', qualification: '0x600211', request: 'in 0x60 (1 byte)' }))).toMatchObject({
      port: '0x60',
    });
  });

  test('is its control register or its vector', () => {
    const requests = ['mov cr3, 0x1000', 'mov from cr8', 'clts', 'lmsw'];
    expect(requests.map((request) => facets(record({ reason: 'cr', request })).cr)).toEqual(['cr3', 'cr8', 'cr0', 'cr0']);
    expect(facets(record({ reason: 'exception', request: '#PF(0x2)' })).vector).toBe('#PF');
    expect(facets(record({ reason: 'exception', request: 'vector 9' })).vector).toBe('vector 9');
    expect(facets(record({ reason: 'external-interrupt', request: 'external-interrupt 0x20' })).vector).toBe('0x20');
  });

  test.each<[Partial<ExitRecord>, string]>([
    [OUT, 'out 0x3f8 (1 byte)'],
    [{ reason: 'io', qualification: '0x3f80048', request: 'in 0x3f8 (1 byte)' }, 'in 0x3f8 (1 byte)'],
    [{ reason: 'io', qualification: '0x1f0003b', request: 'rep ins 0x1f0 (4 bytes)' }, 'in 0x1f0 (4 bytes)'],
    [MSR, 'wrmsr 0xc0000082 LSTAR'],
    [{ reason: 'msr-read', request: 'rdmsr 0x4b564d00' }, 'rdmsr 0x4b564d00'],
    [MMIO, 'write 0xfee00000'],
    [{ reason: 'apic', request: 'apic write 0xb0, 0x0' }, 'apic write 0xb0'],
    [{ reason: 'second-level-violation', request: 'execute 0x12345' }, 'execute 0x12000'],
    [{ reason: 'cpuid', request: 'cpuid 0x7.0x1' }, 'cpuid 0x7'],
    [{ reason: 'hypercall', request: 'vmcall 0x5' }, 'vmcall 0x5'],
    [{ reason: 'hypercall', request: 'vmmcall hypercall 999' }, 'vmmcall 0x3e7'],
    [{ reason: 'cr', request: 'mov cr3, 0x1000' }, 'mov to cr3'],
    [{ reason: 'cr', request: 'mov from cr3' }, 'mov from cr3'],
    [{ reason: 'exception', request: '#GP(0)' }, '#GP'],
    [{ reason: 'xsetbv', request: 'xsetbv 0, 0x7' }, 'xsetbv 0'],
    [{ reason: 'hlt', request: 'hlt' }, 'hlt'],
    [{ reason: 'vm-entry-failure', request: '' }, 'vm-entry-failure'],
  ])('%j is about %s, whatever the values', (exit, expected) => {
    expect(subject(exit)).toBe(expected);
  });

  test.each<[1 | 2 | 4, boolean]>([
    [1, true],
    [2, false],
    [4, true],
    [4, false],
  ])('has the port, size %i and direction of the qualification of both vendors', (size, write) => {
    const exit = { reason: 'io', port: 0xcfc, size, write, value: 0, string: false, rep: false, immediate: false } as const;
    const whole = { ...exit, rip: 0n, instructionLength: 1, icount: 0n };
    const access = { port: 0xcfc, size, write };
    expect(ioAccess(vmxQualification(whole))).toEqual(access);
    for (const addressSize of [16, 32, 64] as const)
      expect(ioAccess(svmExitInfo(whole, { addressSize, segment: 3 }).info1)).toEqual(access);
  });

  test('is no name of an MSR that nobody knows', () => {
    expect(facets(record({ reason: 'msr-read', request: 'rdmsr 0x4b564d00' }))).toMatchObject({ msr: '0x4b564d00' });
  });
});

describe('statistics', () => {
  const of = (name: FacetName, ...records: ExitRecord[]) => {
    const statistics = new ExitStatistics();
    for (const exit of records) statistics.add(exit);
    return statistics.by(name);
  };

  test('count from the first to the last, the most frequent first', () => {
    const groups = of('reason', { ...MSR, icount: '3' }, { ...OUT, icount: '5' }, { ...OUT, icount: '9' });
    expect(groups.map(({ value, count, first, last }) => [value, count, first, last])).toEqual([
      ['io', 2, 5, 9],
      ['msr-write', 1, 3, 3],
    ]);
  });

  test('measure the guest between exits of one vCPU, whatever others do', () => {
    const groups = of('vcpu', { ...OUT, icount: '100' }, { ...OUT, vcpu: 1, icount: '7' }, { ...OUT, icount: '104' });
    expect(groups.map(({ value, instructions }) => [value, instructions])).toEqual([
      ['1.0', 104],
      ['1.1', 7],
    ]);
    expect([...(groups[0]?.distances ?? [])].flatMap((count, index) => (count > 0 ? [[index, count]] : []))).toEqual([
      [3, 1],
      [7, 1],
    ]);
  });

  test('measure to the exit before, also where a filter does not count that one', () => {
    const statistics = new ExitStatistics(undefined, parseExitFilter('reason=io'));
    for (const [exit, icount] of [
      [OUT, 10],
      [MSR, 90],
      [OUT, 93],
    ] as const)
      statistics.add({ ...exit, icount: `${icount}` });
    expect(statistics.total).toBe(2);
    expect(statistics.by('reason')).toMatchObject([{ value: 'io', count: 2, instructions: 13 }]);
  });

  test('measure from 0 again once the machine was reset', () => {
    const [group] = of('reason', { ...OUT, icount: '1000' }, { ...OUT, icount: '6' });
    expect(group).toMatchObject({ instructions: 1006, measured: 2 });
    expect(group?.distances[distanceClass(6)]).toBe(1);
  });

  test('sort distances by their bits', () => {
    expect([0, 1, 2, 3, 4, 1023, 1024, 2 ** 40].map(distanceClass)).toEqual([0, 1, 2, 2, 3, 10, 11, DISTANCE_CLASSES - 1]);
  });

  test('take bounded memory: values that come late are counted together', () => {
    const records = Array.from({ length: 10_050 }, (_, index) => record({ rip: `0x${index.toString(16)}` }));
    const groups = of('rip', ...records);
    expect(groups).toHaveLength(10_001);
    expect(groups[0]).toMatchObject({ value: OTHERS, count: 50 });
  });
});

describe('a filter', () => {
  const passes = (text: string) => [OUT, MSR, MMIO].map(parseExitFilter(text));

  test.each<[string, boolean[]]>([
    ['', [true, true, true]],
    ['reason=io', [true, false, false]],
    ['reason=io,mmio', [true, false, true]],
    ['!reason=io', [false, true, true]],
    ['port=0x3f8', [true, false, false]],
    ['port=1016', [true, false, false]],
    ['msr=lstar', [false, true, false]],
    ['msr=0xC0000082', [false, true, false]],
    ['gpa=0xfee00000..0xfeefffff', [false, false, true]],
    ['rip=0x1000..0x1fff', [false, true, false]],
    ['handler~handle_', [true, false, false]],
    ['request~0x48 to=device', [true, false, false]],
    ['to=device reason=mmio', [false, false, false]],
    ['subject~"out 0x3f8"', [true, false, false]],
    ['handler="kvm-intel handle_io"', [true, false, false]],
    ['subject="write 0xfee00000" !to=device', [false, false, true]],
    ['gpa=0xfee00300', [false, false, true]],
    ['gpa=0xfee00300..0xfee00310', [false, false, true]],
    ['gpa=0xfee01300', [false, false, false]],
  ])('%s lets through what it says', (text, expected) => {
    expect(passes(text)).toEqual(expected);
  });

  test('takes hypercalls by name, with and without what all names begin with', () => {
    const exit = record({ reason: 'hypercall', request: 'vmcall KVM_HC_KICK_CPU' });
    const pass = ['hypercall=KVM_HC_KICK_CPU', 'hypercall=kick_cpu', 'hypercall=send_ipi'].map((text) =>
      parseExitFilter(text)(exit),
    );
    expect(pass).toEqual([true, true, false]);
  });

  test.each<[string, RegExp]>([
    ['reason=ioo', /^"reason" is never "ioo"\. It is one of cpuid, io, /],
    ['reason=msr', /^"reason" is never "msr"; did you mean msr-read\? It is one of /],
    ['to=devcie', /^"to" is never "devcie"; did you mean device\? It is one of hypervisor, device, /],
    ['port=com1', /^A port is a number, not "com1"; write port=0x10, or a range as 0x10\.\.0x1f\.$/],
    ['handler~"x', /^"handler~x" has a quotation mark too few; write handler~"TEXT"\.$/],
    ['"', /has a quotation mark too few/],
    ['prot=1', /^"prot=1" names no field of an exit; did you mean port\? A filter has reason, subject, port, /],
    ['colour=red', /^"colour=red" names no field of an exit\. A filter has /],
    ['reason', /^"reason" is no term of a filter; write reason=VALUE or reason~TEXT\.$/],
    ['port=5..1', /^"5\.\.1" is no range of port; write it as 0x1000\.\.0x1fff\.$/],
    ['rip=a..b', /is no range of rip/],
  ])('%s is refused with a sentence', (text, sentence) => {
    expect(() => parseExitFilter(text)).toThrow(sentence);
  });
});

describe('the journal in memory', () => {
  const filled = (capacity: number, count: number): RingJournal => {
    const journal = new RingJournal(capacity);
    for (let seq = 1; seq <= count; seq++) journal.enter(seq % 2 === 0 ? { ...OUT, seq } : { ...MSR, seq });
    return journal;
  };

  test('gives the newest that pass a filter, oldest first', () => {
    const journal = filled(10, 25);
    expect(journal.latest(3).map(({ seq }) => seq)).toEqual([23, 24, 25]);
    expect(journal.latest(3, parseExitFilter('reason=io')).map(({ seq }) => seq)).toEqual([20, 22, 24]);
    expect(journal.latest(100).map(({ seq }) => seq)).toEqual([16, 17, 18, 19, 20, 21, 22, 23, 24, 25]);
  });

  test('counts all exits once somebody has asked, from the oldest that it keeps', () => {
    const journal = filled(10, 6);
    expect(journal.statistics.total).toBe(6);
    for (let seq = 7; seq <= 40; seq++) journal.enter({ ...OUT, seq });
    expect(journal.statistics.total).toBe(40);
    expect(journal.statistics.by('reason')[0]).toMatchObject({ value: 'io', count: 37 });
    expect(filled(10, 25).statistics.total).toBe(10);
    journal.clear();
    expect(journal.statistics.total).toBe(0);
  });

  test('does not measure from an exit that it no longer has', () => {
    const statistics = (kept: number) => {
      const journal = new RingJournal(kept);
      for (const icount of ['1000', '2000', '2007']) journal.enter({ ...OUT, icount });
      return [journal.statistics, journal.statisticsOf(parseExitFilter('reason=io'))];
    };
    for (const counts of statistics(2)) {
      expect(counts.by('reason')).toMatchObject([{ count: 2, measured: 1, instructions: 7 }]);
      expect(exitTable(counts, 'reason', 9)).toMatch(/^io +2 +100\.0% +7 /m);
    }
    for (const counts of statistics(3))
      expect(counts.by('reason')).toMatchObject([{ count: 3, measured: 3, instructions: 2007 }]);
  });
});
