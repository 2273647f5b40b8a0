import { describe, expect, test } from 'vitest';
import type { PartitionProfile } from '../../src/adapter/requests/exit-profile.ts';
import {
  chart,
  coloredReasons,
  type ProfiledRun,
  profilePage,
  ratio,
  shortNumber,
} from '../../src/extension/views/exit-profile-html.ts';
import { Client } from '../adapter/client.ts';
import { atEntry } from '../adapter/guests.ts';

const partition = (reasons: PartitionProfile['reasons'], name = 'guest'): PartitionProfile => ({
  id: 1,
  name,
  platform: 'kvm',
  total: reasons.reduce((sum, { total }) => sum + total, 0),
  instructions: 4000,
  width: 1024,
  reasons,
});
const run = (id: number, title: string, ...partitions: PartitionProfile[]): ProfiledRun => ({
  id,
  title,
  state: 'ended',
  partitions,
});
const count = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].length;

const first = run(
  1,
  'first',
  partition([
    { reason: 'io', total: 6, counts: [1, 2, 3] },
    { reason: 'hlt', total: 2, counts: [2] },
  ]),
);
const second = run(
  2,
  'second',
  partition([
    { reason: 'io', total: 9, counts: [9] },
    { reason: 'cpuid', total: 1, counts: [1] },
  ]),
);

describe('a chart', () => {
  test('has one bar for each reason in each part of the run, over each other', () => {
    const [profile] = first.partitions;
    const svg = profile ? chart(profile, ['io', 'hlt']) : '';
    expect(count(svg, /<rect /g)).toBe(4);
    // 1 and 2 exits in the first part are as high as 3 in the last.
    expect(svg).toContain('y="80.00" width="159.00" height="40.00" fill="var(--vscode-charts-blue)"');
    expect(svg).toContain('y="0.00" width="159.00" height="80.00" fill="var(--vscode-charts-green)"');
    expect(svg).toContain('aria-label="Exits of guest over 4,000 instructions, at most 3 in one bar"');
  });

  test('has bars of several parts where there are many, and counts what has no colour together', () => {
    const reasons = Array.from({ length: 9 }, (_, index) => ({
      reason: `reason-${index}`,
      total: 128,
      counts: Array.from({ length: 128 }, () => 1),
    }));
    const colored = coloredReasons([run(1, 'many', partition(reasons))]);
    expect(colored).toHaveLength(6);
    const svg = chart(partition(reasons), colored);
    expect(count(svg, /<rect /g)).toBe(7 * 64);
    expect(svg).toContain('<title>others: 6 exits from instruction 0 on</title>');
  });
});

describe('a page', () => {
  test('compares runs reason by reason', () => {
    const page = profilePage([first, second])
      .replaceAll(/<[^>]+>/g, ' ')
      .replaceAll(/\s+/g, ' ');
    expect(page).toContain(
      'Runs side by side Reason first ended second ended io 6 9 ×1.50 hlt 2 0 gone cpuid 0 1 new all exits 8 10 ×1.25',
    );
  });

  test('has no comparison of one run, and a sentence for none', () => {
    expect(profilePage([first])).not.toContain('side by side');
    expect(profilePage([])).toContain('Start a guest with F5');
    expect(profilePage([run(1, 'idle', partition([]))])).toContain('No VM exit yet.');
  });

  test('shows names as they are, whatever is in them', () => {
    const page = profilePage([run(1, '<img src=x>', partition([{ reason: 'io', total: 1, counts: [1] }], '"&<'))]);
    expect(page).toContain('&lt;img src=x&gt;');
    expect(page).not.toContain('<img');
    expect(page).toContain('Exits of &quot;&amp;&lt; over');
  });
});

test.each([
  [12, '12'],
  [9999, '9,999'],
  [12_345, '12.3 k'],
  [4_560_000, '4.56 M'],
])('%i is written as %s', (value, text) => expect(shortNumber(value)).toBe(text));

test.each([
  [3, 3, '='],
  [3, 0, 'new'],
  [0, 3, 'gone'],
  [3, 2, '×1.50'],
  [1000, 2, '×500'],
])('%i beside %i is %s', (now, before, text) => expect(ratio(now, before)).toBe(text));

describe('the adapter', () => {
  const CPUIDS = 'bits 64\nmov esi, 5\nagain: cpuid\ndec esi\njnz again\nmov dx, 0x604\nmov ax, 0x2000\nout dx, ax\nhlt\n';

  test('counts from the first exit on, and has the last word when the run is over', () => {
    const { client } = atEntry(CPUIDS);
    expect(client.ask('hyperscope/exitProfile').partitions[0].total).toBe(0);
    client.move('continue');
    const told = client.events.filter(({ event }) => event === 'hyperscope/exitProfile');
    expect(told).toHaveLength(1);
    expect(told[0]?.body.partitions[0].reasons).toEqual([
      { reason: 'cpuid', total: 5, counts: [5] },
      { reason: 'io', total: 1, counts: [1] },
    ]);
    expect(client.events.at(-1)?.event).toBe('terminated');
  });

  test('tells of a run that is started anew', () => {
    const { client } = atEntry(CPUIDS);
    client.move('stepIn');
    client.ask('restart');
    expect(client.events.filter(({ event }) => event === 'hyperscope/exitProfile')).toHaveLength(1);
    expect(new Client().request('hyperscope/exitProfile').message).toContain('No guest is loaded');
  });
});
