import { describe, expect, test } from 'vitest';
import { LaunchError } from '../../src/debugger/configuration/launch-configuration.ts';
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

  test('stays as it is when the guest is to be started anew with a file that can’t be written', () => {
    let closed = 0;
    const records: ExitRecord[] = [];
    const client = new Client((path) => {
      if (path === 'nowhere') throw new LaunchError('nowhere can’t be written.');
      return { write: (record) => records.push(record), flush: () => {}, close: () => closed++ };
    });
    const program = sample('hello/hello.asm');
    client.launch(program, { exits: 'j' });
    client.ask('configurationDone');
    expect(client.request('restart', { arguments: { program, exits: 'nowhere' } }).message).toBe('nowhere can’t be written.');
    expect(closed).toBe(0);
    client.move('continue');
    expect(records.length).toBeGreaterThan(10);
    expect(closed).toBe(1);
    client.ask('restart');
    expect(client.run().body.reason).toBe('entry');
  });

  test.each(['write', 'flush', 'close'] as const)('that can’t go on at %s is told of once, and the guest goes on', (method) => {
    let closed = 0;
    const full = (when: string) => {
      if (when === method) throw new Error('j can’t be written: the disk is full.');
    };
    const sink = {
      write: () => full('write'),
      flush: () => full('flush'),
      close: () => {
        closed++;
        full('close');
      },
    };
    const client = new Client(() => sink);
    client.launch(sample('hello/hello.asm'), { exits: 'j' });
    client.ask('setFunctionBreakpoints', { breakpoints: [{ name: 'exit:io', hitCondition: '5' }] });
    client.ask('configurationDone');
    client.move('continue');
    client.ask('setFunctionBreakpoints', { breakpoints: [] });
    expect(client.move('continue').event).toBe('terminated');
    const told = client.events.filter(
      ({ body }) => body.output === 'j can’t be written: the disk is full. The guests go on without it.\n',
    );
    expect(told).toHaveLength(1);
    expect(closed).toBe(1);
    expect(client.output).toContain('Hello from a guest');
  });

  test.each<[object, RegExp]>([
    [{ exitsFilter: 'prot=1' }, /^"exitsFilter" is no filter: "prot=1" names no field of an exit; did you mean port\?/],
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
