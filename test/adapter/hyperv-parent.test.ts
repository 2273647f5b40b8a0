import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { Client, lineOf, sample } from './client.ts';
import { assembly } from './guests.ts';

const FILE = sample('hyperv/parent.asm');
/** The child's first thread: behind the parent's only one. */
const CHILD = 2;

/** Stands at a line of the sample, the first time that either partition comes there. */
function atLine(text: string, file = FILE): Client {
  const client = new Client();
  client.ask('initialize', { adapterID: 'hyperscope' });
  client.ask('launch', {
    program: file,
    platform: 'hyperv',
    memory: '4M',
    privileges: ['usual', 'create-partitions'],
    stopOnEntry: false,
  });
  client.ask('setBreakpoints', { source: { path: file }, breakpoints: [{ line: lineOf(file, text) }] });
  client.ask('configurationDone');
  expect(client.run()).toMatchObject({ event: 'stopped', body: { reason: 'breakpoint' } });
  return client;
}

const CPUID = 'cpuid                               ; who';

function move(client: Client, threadId: number, command: string, granularity = 'line') {
  client.ask(command, { threadId, granularity });
  return client.run(20_000).body;
}
function top(client: Client, threadId: number) {
  const [frame] = client.ask('stackTrace', { threadId }).stackFrames;
  return { line: frame.line as number, name: frame.name as string, path: frame.source?.path as string };
}
const named = (client: Client) => client.ask('threads').threads.map(({ name }: { name: string }) => name);

describe('a partition that a guest makes', () => {
  test('stops at a breakpoint in its code, with the source of its parent, as a thread of its own', () => {
    const client = atLine(CPUID);
    expect(client.events.at(-1)?.body.threadId ?? CHILD).toBe(CHILD);
    expect(named(client)).toEqual(['parent.asm: vCPU 0 (halted)', 'partition 2: vCPU 0']);
    expect(top(client, CHILD)).toMatchObject({ line: lineOf(FILE, CPUID), path: FILE });
    expect(client.events.filter(({ event }) => event === 'thread').map(({ body }) => [body.reason, body.threadId])).toEqual([
      ['started', 1],
      ['started', CHILD],
    ]);
  });

  test('is stepped into: through the hypervisor to the first instruction of the parent’s handler', () => {
    const client = atLine(CPUID);
    const names = new Set<string>();
    let stop = move(client, CHILD, 'stepIn');
    for (let steps = 0; stop.threadId === CHILD && steps < 20; steps++) {
      names.add(top(client, CHILD).name);
      stop = move(client, CHILD, 'stepIn');
    }
    expect([...names].join('\n')).toMatch(/CPUID intercept[\s\S]*post to partition 1/);
    expect(stop).toMatchObject({ threadId: 1, reason: 'step' });
    expect(top(client, 1)).toMatchObject({ line: lineOf(FILE, 'intercepted:') + 1, path: FILE });
    expect(named(client)[1]).toBe('partition 2: vCPU 0 (suspended)');
  });

  test('is stepped over: its parent answers meanwhile', () => {
    const client = atLine(CPUID);
    expect(move(client, CHILD, 'next')).toMatchObject({ threadId: CHILD, reason: 'step' });
    expect(top(client, CHILD).line).toBe(lineOf(FILE, CPUID) + 1);
    // Also memory that is mapped on its way.
    for (let steps = 0; steps < 60 && top(client, CHILD).line !== lineOf(FILE, 'mov eax, [DEVICE_PAGE << 12]'); steps++)
      move(client, CHILD, 'next');
    expect(top(client, CHILD).line).toBe(lineOf(FILE, 'mov eax, [DEVICE_PAGE << 12]'));
  });

  test('rings a doorbell that is stepped into: to the port of its parent, which hears of it while the child goes on', () => {
    const ring = 'mov [DOORBELL], eax';
    const client = atLine(ring);
    const names = new Set<string>();
    move(client, CHILD, 'stepIn');
    for (let steps = 0; top(client, CHILD).path !== FILE && steps < 20; steps++) {
      names.add(top(client, CHILD).name);
      move(client, CHILD, 'stepIn');
    }
    expect([...names].join('\n')).toMatch(/ring doorbell[\s\S]*doorbell port 7 of partition 1/);
    expect(top(client, CHILD).line).toBe(lineOf(FILE, ring) + 1);
    client.ask('setBreakpoints', { source: { path: FILE }, breakpoints: [{ line: lineOf(FILE, 'say "the child rings') }] });
    expect(move(client, CHILD, 'continue')).toMatchObject({ threadId: 1, reason: 'breakpoint' });
    expect(client.ask('evaluate', { expression: 'ebx', context: 'repl' }).result).toContain('7');
  });

  test('is among the partitions that the Debug Console and the Partitions view show', () => {
    const client = atLine(CPUID);
    const partitions = () => client.ask('evaluate', { expression: 'partitions', context: 'repl' }).result as string;
    expect(partitions()).toMatch(/partition 2 +hyperv/);
    const { body } = client.request('hyperscope/partitions');
    expect(JSON.stringify(body)).toContain('partition 2');
    client.ask('setBreakpoints', { source: { path: FILE }, breakpoints: [{ line: lineOf(FILE, 'the child is gone') }] });
    move(client, CHILD, 'continue');
    expect(partitions()).toMatch(/partition 2 .*ended: Partition 2 was destroyed/);
    expect(client.request('hyperscope/partitions').success).toBe(true);
  });

  test('is gone once its parent has ended it, while a client looks at it', () => {
    const client = atLine(CPUID);
    client.ask('setBreakpoints', { source: { path: FILE }, breakpoints: [{ line: lineOf(FILE, 'the child is gone') }] });
    expect(move(client, CHILD, 'continue')).toMatchObject({ threadId: 1, reason: 'breakpoint' });
    expect(named(client)).toEqual(['parent.asm: vCPU 0']);
    expect(client.request('stackTrace', { threadId: CHILD }).success).toBe(false);
    expect(client.output).toContain('Hello, child!');
    expect(client.events.filter(({ event, body }) => event === 'thread' && body.reason === 'exited')).toHaveLength(1);
    client.ask('continue', { threadId: 1 });
    expect(client.run(20_000).event).toBe('terminated');
    expect(client.events.find(({ event }) => event === 'exited')?.body.exitCode).toBe(0);
  });

  test('may be ended while its exit is stepped through', () => {
    const text = readFileSync(FILE, 'utf8')
      .replaceAll('"hyperv.inc"', `"${sample('hyperv/hyperv.inc')}"`)
      .replace(/\.wait:\n[\s\S]*?jmp \.wait\n/, '    mov ecx, 200000\n.wait:\n    dec ecx\n    jnz .wait\n');
    const file = assembly(text);
    const client = atLine(CPUID, file);
    expect(move(client, CHILD, 'stepIn')).toMatchObject({ threadId: CHILD, reason: 'step' });
    expect(top(client, CHILD).path).not.toBe(file);
    client.ask('setBreakpoints', { source: { path: file }, breakpoints: [{ line: lineOf(file, 'the child is gone') }] });
    client.ask('continue', { threadId: 1, singleThread: true });
    expect(client.run(20_000).body).toMatchObject({ threadId: 1, reason: 'breakpoint' });
    expect(named(client)).toHaveLength(1);
    client.ask('continue', { threadId: 1 });
    expect(client.run(20_000).event).toBe('terminated');
  });
});
