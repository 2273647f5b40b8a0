import { describe, expect, test } from 'vitest';
import type { ExitRecord } from '../../src/hypervisor/journal/exit-journal.ts';
import { Client, sample } from './client.ts';

/** A client whose journals are kept in memory, by their paths. */
function journaling() {
  const files = new Map<string, { records: ExitRecord[]; flushed: number; closed: boolean }>();
  const client = new Client((path) => {
    const file = { records: [] as ExitRecord[], flushed: 0, closed: false };
    files.set(path, file);
    return {
      write: (record) => file.records.push(record),
      flush: () => {
        file.flushed = file.records.length;
      },
      close: () => {
        file.closed = true;
      },
    };
  });
  return { client, file: (path: string) => files.get(path) };
}

describe('the exit journal of a debug session', () => {
  test('is written to the file that the configuration names, and is whole at each stop', () => {
    const { client, file } = journaling();
    client.launch(sample('hello/hello.asm'), { exits: '/tmp/exits.jsonl' });
    client.ask('setFunctionBreakpoints', { breakpoints: [{ name: 'exit:io', hitCondition: '5' }] });
    client.ask('configurationDone');
    client.move('continue');
    expect(file('/tmp/exits.jsonl')).toMatchObject({ flushed: 4, closed: false });
    client.ask('setFunctionBreakpoints', { breakpoints: [] });
    client.move('continue');
    expect(file('/tmp/exits.jsonl')).toMatchObject({ closed: true });
    expect(file('/tmp/exits.jsonl')?.records.map(({ reason }) => reason)).toContain('io');
  });

  test('has only the exits that a filter lets through', () => {
    const { client, file } = journaling();
    client.launch(sample('hello/hello.asm'), { exits: 'j', exitsFilter: '!reason=io', stopOnEntry: false });
    client.ask('configurationDone');
    client.run();
    expect(file('j')?.records.filter(({ reason }) => reason === 'io')).toEqual([]);
  });

  test('begins anew with a restart', () => {
    const { client, file } = journaling();
    client.launch(sample('hello/hello.asm'), { exits: 'j' });
    client.ask('configurationDone');
    client.run();
    const first = file('j');
    client.ask('restart');
    expect(first?.closed).toBe(true);
    expect(file('j')).toMatchObject({ records: [], closed: false });
  });

  test.each<[object, RegExp]>([
    [{ exitsFilter: 'prot=1' }, /^"exitsFilter" must be a filter such as/],
    [{ exitsKept: 0 }, /^"exitsKept" must be at least 1/],
    [{ exits: 'j' }, /^This debug adapter has no files to write: leave "exits" out\.$/],
  ])('%j is refused with a sentence', (options, sentence) => {
    const client = new Client();
    client.ask('initialize', { adapterID: 'hyperscope' });
    expect(client.request('launch', { program: sample('hello/hello.asm'), ...options }).message).toMatch(sentence);
  });

  test('keeps as many exits as it is told to', () => {
    const { client } = journaling();
    client.launch(sample('hello/hello.asm'), { exitsKept: 3 });
    client.ask('setFunctionBreakpoints', { breakpoints: [{ name: 'exit:io', hitCondition: '9' }] });
    client.ask('configurationDone');
    client.move('continue');
    const text = client.ask('evaluate', { expression: 'exits by reason', context: 'repl' }).result;
    expect(text).toMatch(/\nOf the last 3 exits of 8: the others came before they were counted\.$/);
  });
});
