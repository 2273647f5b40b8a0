import { describe, expect, test } from 'vitest';
import { summarize } from '../../src/cli/exits.ts';
import { FACET_NAMES, type FacetName } from '../../src/hypervisor/journal/exit-facets.ts';
import { ExitStatistics } from '../../src/hypervisor/journal/exit-statistics.ts';
import { journalRecords } from '../../src/hypervisor/journal/read-journal.ts';

const common = { partition: 1, vcpu: 0, qualification: '0x3f80000' };
const LINES = [
  { ...common, seq: 1, icount: '10', rip: '0x10', reason: 'io', handler: 'kvm-intel handle_io', request: 'out 0x3f8, 0x48' },
  { ...common, seq: 2, icount: '13', rip: '0x10', reason: 'io', handler: 'kvm-intel handle_io', request: 'out 0x3f8, 0x49' },
  { ...common, seq: 3, icount: '99', rip: '0x20', reason: 'cpuid', handler: 'kvm-intel handle_cpuid', request: 'cpuid 0x0.0x0' },
];
const TEXT = `${LINES.map((line) => JSON.stringify(line)).join('\n')}\n`;

function read(text: string, pieces = 1): { statistics: ExitStatistics; problems: string[] } {
  const statistics = new ExitStatistics();
  const problems: string[] = [];
  const size = Math.ceil(text.length / pieces);
  const parts = Array.from({ length: pieces }, (_, index) => text.slice(index * size, (index + 1) * size));
  for (const record of journalRecords(parts, 'j.jsonl', (problem) => problems.push(problem))) statistics.add(record);
  return { statistics, problems };
}
const summary = (names: readonly FacetName[], top = 20) => summarize(read(TEXT).statistics, names, top);

describe('the summary of a journal', () => {
  test('counts by a field, with the instructions before each exit', () => {
    expect(summary(['reason'])).toBe(
      [
        'reason      exits   share  instructions  spread    for example',
        'io              2   66.7%             6    ▄ ▄     out 0x3f8, 0x48',
        'cpuid           1   33.3%            86         █  cpuid 0x0.0x0',
        'all             3',
        '',
      ].join('\n'),
    );
  });

  test('leaves out tables that would be empty, unless one is asked for', () => {
    expect(summary(FACET_NAMES)).not.toContain('hypercall');
    expect(summary(['hypercall'])).toMatch(/^hypercall .*\nall +0\n$/);
  });

  test('names the places of a program, but not what stands for all that are too many', () => {
    const lines = Array.from({ length: 20_050 }, (_, index) => {
      const rip = `0x${(index % 10_050).toString(16)}`;
      return JSON.stringify({ ...common, seq: index + 1, icount: '1', rip, reason: 'hlt', request: 'hlt' });
    });
    const { statistics } = read(lines.join('\n'));
    const table = summarize(statistics, ['rip'], 2, (rip) => `${rip} is ${BigInt(rip)}`);
    expect(table).toContain('others');
    expect(table).toContain('0x0 is 0');
  });

  test('limits rows, and says when there is nothing', () => {
    expect(summary(['rip'], 1)).toContain('… 1 more');
    expect(summarize(new ExitStatistics(), ['rip'], 1)).toContain('empty');
  });
});

describe('a journal file', () => {
  test('is read wherever its pieces end', () => {
    for (const pieces of [1, 2, 3, 7, 50]) expect(read(TEXT, pieces).statistics.total).toBe(3);
  });

  test('keeps what can be read when lines are broken, and says so once', () => {
    const { statistics, problems } = read(`${TEXT}{"what": 1}\n${TEXT}garbage\n${TEXT.slice(0, -30)}`);
    expect(statistics.total).toBe(8);
    expect(problems).toEqual([
      'j.jsonl:4 is not a record of an exit journal; write one with `run --exits FILE`. It and 2 other lines were left out.',
    ]);
  });

  test('may have a line without end: it is broken like others, and is not gathered', () => {
    function* pieces() {
      yield TEXT;
      const garbage = '{'.repeat(1 << 14);
      for (let piece = 0; piece < 40_000; piece++) yield garbage;
      yield `\n${TEXT}`;
    }
    const problems: string[] = [];
    const records = [...journalRecords(pieces(), 'j.jsonl', (problem) => problems.push(problem))];
    expect(records.map(({ seq }) => seq)).toEqual([1, 2, 3, 1, 2, 3]);
    expect(problems).toEqual([expect.stringMatching(/^j\.jsonl:4 is not a record .* It was left out\.$/)]);
  });

  test('that has no record at all is refused', () => {
    expect(() => read('garbage')).toThrow('j.jsonl:1 is not a record of an exit journal; write one with `run --exits FILE`.');
  });

  test.each([
    '"icount":"ten"',
    '"icount":7',
    `"icount":"${'9'.repeat(400)}"`,
    '"qualification":"zero"',
    '"rip":"here"',
    `"rip":"0x${'1'.repeat(17)}"`,
    `"icount":"${'9'.repeat(400)}"`,
    '"partition":"1"',
    '"handler":5',
    '"request":null',
  ])('has no record with %s', (field) => {
    const [name = ''] = field.split(':');
    const line = JSON.stringify(LINES[0]).replace(new RegExp(`${name}:[^,}]*`), field);
    expect(line).toContain(field);
    expect(() => read(line)).toThrow('j.jsonl:1');
  });
});
