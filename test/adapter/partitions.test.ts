import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { Client, lineOf, sample } from './client.ts';
import { assembly } from './guests.ts';

const POWER_OFF = `
    mov dx, 0x604
    mov ax, 0x2000
    out dx, ax
    hlt
`;
/** Prints a word, counts in memory for so many rounds, then switches itself off. */
const counter = (word: string, rounds: number) => `bits 64
_start:
    lea rsi, [rel text]
    mov ecx, ${word.length + 1}
    mov dx, 0x3f8
    rep outsb
    mov ecx, ${rounds}
count:
    inc qword [rel counted]
    call work
    dec ecx
    jnz count
done:
${POWER_OFF}
work:
    nop
    ret
text: db "${word}", 10
align 4096
counted: dq 0
`;
/** Starts its other vCPU, and both count for ever. */
const TWO = `bits 64
_start:
    mov dword [0x8000], 0x00fdeb40      ; inc ax, and back
    mov rbx, 0xfee00300
    mov dword [rbx + 0x10], 1 << 24
    mov dword [rbx], 0x00004500
    mov dword [rbx + 0x10], 1 << 24
    mov dword [rbx], 0x00004608
both:
    inc qword [rel own]
    jmp both
align 4096
own: dq 0
`;

function launched(partitions: readonly object[], more: object = {}): Client {
  const client = new Client();
  client.ask('initialize', { adapterID: 'hyperscope', supportsMemoryEvent: true });
  client.ask('launch', { partitions, ...more });
  return client;
}

function pair(rounds: readonly [number, number] = [3000, 3000], more: object = {}) {
  const files = [assembly(counter('front', rounds[0])), assembly(counter('back', rounds[1]))] as const;
  const client = launched(
    [
      { name: 'front', program: files[0] },
      { name: 'back', program: files[1], platform: 'bare', memory: '8M' },
    ],
    more,
  );
  return { client, files };
}

function started(client: Client): Client {
  client.ask('configurationDone');
  client.run();
  return client;
}

const counted = (client: Client, threadId: number) => {
  const [{ id: frameId }] = client.ask('stackTrace', { threadId }).stackFrames;
  return Number(client.ask('evaluate', { expression: 'qword [counted]', context: 'clipboard', frameId }).result);
};
const named = (client: Client) => client.ask('threads').threads.map(({ name }: { name: string }) => name);
const stops = (client: Client) =>
  client.events.filter(({ event }) => event === 'stopped').map(({ body }) => [body.threadId, body.reason]);
const consoleText = (client: Client, expression: string) => client.ask('evaluate', { expression, context: 'repl' }).result;

describe('several partitions in one session', () => {
  test('have their vCPUs in one list of threads, by the names of the partitions', () => {
    const file = assembly(TWO);
    const client = started(
      launched([{ name: 'front', program: assembly(counter('front', 3)) }, { name: 'smp' }], { program: file, vcpus: 2 }),
    );
    expect(named(client)).toEqual([
      'front: vCPU 0',
      'front: vCPU 1 (waiting for a start-up IPI)',
      'smp: vCPU 0',
      'smp: vCPU 1 (waiting for a start-up IPI)',
    ]);
    const [frame] = client.ask('stackTrace', { threadId: 3 }).stackFrames;
    expect(frame.source.path).toBe(file);
    expect(client.request('stackTrace', { threadId: 5 }).message).toBe('There is no vCPU with thread id 5.');
    expect(client.ask('modules').modules.map(({ name }: { name: string }) => name.split(':')[0])).toEqual([
      'front',
      'smp',
      'kvm',
    ]);
  });

  test('run to their ends, each with its output under its name, and end the session with the last one', () => {
    const { client } = pair();
    started(client);
    client.ask('continue', { threadId: 1 });
    expect(client.run().event).toBe('terminated');
    expect(client.output).toContain('front: front\n');
    expect(client.output).toContain('back: back\n');
    expect(client.events.filter(({ event }) => event === 'exited')).toHaveLength(1);
    const said = client.events.filter(({ body }) => body.category === 'console').map(({ body }) => body.output);
    expect(said).toEqual(['front: The guest powered off.\n', 'back: The guest powered off.\n']);
  });

  test('share a name only when none is given, and then not for long', () => {
    const program = assembly(counter('x', 3));
    const client = started(launched([{}, {}], { program }));
    const file = program.split('/').at(-1);
    expect(named(client)).toEqual([`${file}: vCPU 0`, `${file}-2: vCPU 0`]);
  });

  test('that have no name get none that another one has, wherever that is', () => {
    const program = assembly(counter('x', 3));
    const file = program.split('/').at(-1);
    const names = (partitions: readonly object[]) => named(started(launched(partitions, { program })));
    expect(names([{}, { name: `${file}-3` }, {}])).toEqual([file, `${file}-3`, `${file}-4`].map((name) => `${name}: vCPU 0`));
    expect(names([{}, { name: file }])).toEqual([`${file}-1`, file].map((name) => `${name}: vCPU 0`));
  });

  test.each([
    [[{ name: 'a' }], '"partitions[0]" names no "program", nor does the configuration for all'],
    [
      [
        { name: 'a', program: assembly('hlt') },
        { name: 'b', memory: '9G', program: assembly('hlt') },
      ],
      'Partition "b" can\'t be made: A partition can have 1M to 3584M of memory; 9216M was asked for.',
    ],
    [[{ name: 'a', program: 'x', vcpu: 2 }], '"partitions[0].vcpu" is not an attribute of a partition; did you mean "vcpus"?'],
    [[{ name: 'a', program: 'x', stopOnEntry: true }], '"partitions[0].stopOnEntry" is not an attribute of a partition'],
    [[{ name: 'a b', program: 'x' }], '"partitions[0].name" must be a name of letters, digits, ".", "_" and "-", not "a b".'],
    [[], '"partitions" must have at least one partition, not [].'],
    [
      [
        { name: 'a', program: 'x' },
        { name: 'a', program: 'y' },
      ],
      'Two partitions have the name "a"; give each one of its own.',
    ],
    ['a', '"partitions" must be a list of objects, not "a".'],
    [['a'], '"partitions" must be a list of objects, not ["a"].'],
  ])('that are written wrongly are told of: %j', (partitions, message) => {
    const client = new Client();
    client.ask('initialize');
    expect(client.request('launch', { partitions }).message).toContain(message);
  });
});

describe('a motion', () => {
  test('of one partition takes the others along', () => {
    const { client, files } = pair();
    client.ask('setBreakpoints', { source: { path: files[1] }, breakpoints: [{ line: lineOf(files[1], 'done:') + 2 }] });
    started(client);
    client.ask('continue', { threadId: 1 });
    // The other one arrives a few instructions before.
    expect(client.run().body).toMatchObject({ reason: 'breakpoint', threadId: 2, allThreadsStopped: true });
    expect(counted(client, 2)).toBe(3000);
    expect(counted(client, 1)).toBeGreaterThan(100);
  });

  test('by single steps keeps the others within a turn', () => {
    const { client } = pair([40_000, 40_000]);
    started(client);
    for (let step = 0; step < 12; step++) {
      client.ask('next', { threadId: 1 });
      expect(client.run().body).toMatchObject({ reason: 'step', threadId: 1 });
    }
    expect(counted(client, 1)).toBeGreaterThan(0);
    client.ask('continue', { threadId: 2 });
    expect(client.run().event).toBe('terminated');
  });

  test('of one partition alone leaves the others where they are', () => {
    const { client } = pair([3000, 3000], { moves: 'partition' });
    started(client);
    client.ask('continue', { threadId: 2 });
    for (let slice = 0; slice < 1000; slice++) if (!client.session.slice()) break;
    // The first one can be looked at all the time; the second has ended.
    expect(counted(client, 1)).toBe(0);
    expect(named(client)).toEqual(['front: vCPU 0', 'back: vCPU 0 (ended)']);
    expect(client.request('next', { threadId: 2 }).message).toBe('back has ended; restart the session to run it again.');
    expect(client.ask('continue', { threadId: 1 })).toEqual({ allThreadsContinued: false });
    expect(client.run().event).toBe('terminated');
  });

  test('may go on while another partition is stepped', () => {
    const { client } = pair([3_000_000, 3_000_000], { moves: 'partition' });
    started(client);
    client.ask('continue', { threadId: 2 });
    for (let slice = 0; slice < 20; slice++) client.session.slice();
    client.ask('next', { threadId: 1 });
    for (let slice = 0; slice < 20; slice++) client.session.slice();
    expect(stops(client)).toEqual([
      [1, 'entry'],
      [1, 'step'],
    ]);
    expect(client.events.filter(({ event }) => event === 'stopped').at(-1)?.body.allThreadsStopped).toBe(false);
    expect(client.request('stackTrace', { threadId: 2 }).message).toBe('The guest is running; pause it first.');
    client.ask('pause', { threadId: 2 });
    expect(client.run(30).body).toMatchObject({ reason: 'pause', threadId: 2, allThreadsStopped: true });
    expect(counted(client, 2)).toBeGreaterThan(1000);
    expect(counted(client, 1)).toBe(0);
  });

  test('is of one vCPU when the client says so, and the others of its partition stand still', () => {
    const client = started(launched([{ name: 'smp', program: assembly(TWO), vcpus: 2 }]));
    client.ask('continue', { threadId: 1 });
    for (let slice = 0; slice < 10; slice++) client.session.slice();
    client.ask('pause', { threadId: 1 });
    client.run();
    const at = (threadId: number) => client.ask('stackTrace', { threadId }).stackFrames[0].instructionPointerReference;
    const own = () => Number(client.ask('evaluate', { expression: 'qword [own]', context: 'clipboard' }).result);
    const [second, before] = [at(2), own()];
    expect(client.ask('continue', { threadId: 1, singleThread: true })).toEqual({ allThreadsContinued: false });
    for (let slice = 0; slice < 10; slice++) client.session.slice();
    expect(at(2)).toBe(second);
    expect(client.request('stackTrace', { threadId: 1 }).message).toBe('The guest is running; pause it first.');
    client.ask('pause', { threadId: 1 });
    expect(client.run(30).body).toMatchObject({ reason: 'pause', threadId: 1, allThreadsStopped: true });
    expect(own()).toBeGreaterThan(before + 1000);
    expect(at(2)).toBe(second);
  });

  test('of a vCPU alone is paused alone, while the others go on', () => {
    const client = launched([{ name: 'smp', program: assembly(TWO), vcpus: 2 }], { moves: 'vcpu', stopOnEntry: false });
    client.ask('configurationDone');
    for (let slice = 0; slice < 10; slice++) client.session.slice();
    client.ask('pause', { threadId: 2 });
    client.session.slice();
    expect(client.events.at(-1)?.body).toMatchObject({ reason: 'pause', threadId: 2, allThreadsStopped: false });
    const [{ id: frameId }] = client.ask('stackTrace', { threadId: 2 }).stackFrames;
    const ax = () => client.ask('evaluate', { expression: 'ax', context: 'clipboard', frameId }).result;
    const before = ax();
    for (let slice = 0; slice < 10; slice++) client.session.slice();
    expect(ax()).toBe(before);
    expect(client.request('stackTrace', { threadId: 1 }).message).toBe('The guest is running; pause it first.');
    client.ask('next', { threadId: 2, granularity: 'instruction' });
    for (let slice = 0; slice < 5; slice++) client.session.slice();
    expect(stops(client)).toEqual([
      [2, 'pause'],
      [2, 'step'],
    ]);
  });

  test('takes along what the console says', () => {
    const { client } = pair();
    started(client);
    expect(consoleText(client, 'moves')).toBe('all: all partitions go on and stop together.');
    expect(consoleText(client, 'moves vcpu')).toBe('vcpu: each vCPU goes on and stops alone.');
    expect(client.ask('hyperscope/moves', {})).toEqual({ scope: 'vcpu' });
    expect(client.request('hyperscope/moves', { scope: 'me' }).message).toContain('all, partition, vcpu');
    client.ask('continue', { threadId: 2 });
    expect(client.ask('threads').threads).toHaveLength(2);
    expect(consoleText(client, 'partitions').split('\n')).toEqual([
      expect.stringMatching(/^ {2}1 {2}front {2}kvm {3}1 vCPU {2}64M {2}0 ns .* stands still$/),
      expect.stringMatching(/^\* 2 {2}back {3}bare {2}1 vCPU {2}8M .* runs$/),
    ]);
  });
});

describe('a breakpoint', () => {
  const common = () => {
    const program = assembly(counter('x', 5));
    return { program, line: lineOf(program, 'call work') };
  };

  test('in a source that several partitions run stops in each', () => {
    const { program, line } = common();
    const client = launched([{ name: 'a' }, { name: 'b' }], { program });
    const { breakpoints } = client.ask('setBreakpoints', { source: { path: program }, breakpoints: [{ line }] });
    expect(breakpoints[0]).toMatchObject({ verified: true, line });
    started(client);
    // All of it is in the first turn of each.
    for (const threadId of [1, 1, 1, 1, 1, 2, 2, 2, 2, 2]) {
      client.ask('continue', { threadId: 1 });
      expect(client.run().body).toMatchObject({ reason: 'breakpoint', threadId });
    }
  });

  test.each([
    ['by its condition', '@b', [2, 2, 2, 2, 2]],
    ['by its condition, with one of its own', '@b rcx == 3', [2]],
    ['by an expression', 'partition == 1', [1, 1, 1, 1, 1]],
  ])('is bound to a partition %s', (_how, condition, threads) => {
    const { program, line } = common();
    const client = launched([{ name: 'a' }, { name: 'b' }], { program });
    client.ask('setBreakpoints', { source: { path: program }, breakpoints: [{ line, condition }] });
    started(client);
    const seen: number[] = [];
    for (;;) {
      client.ask('continue', { threadId: 1 });
      const { event, body } = client.run();
      if (event === 'terminated') break;
      seen.push(body.threadId);
    }
    expect(seen).toEqual(threads);
  });

  test('on a function is bound to a partition by its name', () => {
    const { program } = common();
    const client = launched([{ name: 'a' }, { name: 'b' }], { program });
    const { breakpoints } = client.ask('setFunctionBreakpoints', { breakpoints: [{ name: 'b!work' }, { name: 'c!work' }] });
    expect(breakpoints[0].verified).toBe(true);
    expect(breakpoints[1]).toMatchObject({ verified: false, message: 'There is no partition "c"; there is a, b.' });
    started(client);
    client.ask('continue', { threadId: 1 });
    expect(client.run().body).toMatchObject({ reason: 'breakpoint', threadId: 2 });
  });

  test('on an instruction or on data is of the partition whose address it has', () => {
    const { program } = common();
    const client = started(launched([{ name: 'a' }, { name: 'b' }], { program }));
    const [frame] = client.ask('stackTrace', { threadId: 2 }).stackFrames;
    const reference: string = frame.instructionPointerReference;
    expect(BigInt(reference) >> 72n).toBe(1n);
    const { instructions } = client.ask('disassemble', { memoryReference: reference, instructionCount: 12 });
    expect(instructions[0].address).toBe(reference);
    const { address } = instructions.find(({ instruction }: { instruction: string }) => instruction.startsWith('call'));
    client.ask('setInstructionBreakpoints', { breakpoints: [{ instructionReference: address }] });
    client.ask('continue', { threadId: 1 });
    expect(client.run().body).toMatchObject({ reason: 'breakpoint', threadId: 2 });
    const [{ id: frameId }] = client.ask('stackTrace', { threadId: 2 }).stackFrames;
    const { dataId } = client.ask('dataBreakpointInfo', { name: 'counted', frameId });
    client.ask('setInstructionBreakpoints', { breakpoints: [] });
    client.ask('setDataBreakpoints', { breakpoints: [{ dataId, accessType: 'write' }] });
    client.ask('continue', { threadId: 1 });
    expect(client.run().body).toMatchObject({ reason: 'data breakpoint', threadId: 2 });
  });
});

describe('memory', () => {
  test('is the partition’s whose reference it is, also when it is written', () => {
    const { client } = pair();
    started(client);
    const place = (threadId: number) => {
      const [{ id: frameId }] = client.ask('stackTrace', { threadId }).stackFrames;
      return client.ask('evaluate', { expression: 'counted', context: 'watch', frameId }).memoryReference as string;
    };
    const [first, second] = [place(1), place(2)];
    client.ask('writeMemory', { memoryReference: second, data: 'KgAAAAAAAAA=' });
    expect(client.events.at(-1)?.body.memoryReference ?? second).toBe(second);
    expect(client.ask('readMemory', { memoryReference: second, count: 1 })).toMatchObject({ address: second, data: 'Kg==' });
    expect(client.ask('readMemory', { memoryReference: first, count: 1 }).data).toBe('AA==');
    expect(counted(client, 2)).toBe(42);
    expect(counted(client, 1)).toBe(0);
    const elsewhere = `0x${((5n << 72n) | 0x1000n).toString(16)}`;
    expect(client.request('readMemory', { memoryReference: elsewhere, count: 1 }).message).toBe(
      'There is no partition with index 5 in this session.',
    );
  });
});

test('a session of several partitions gives the same states however it is sliced', () => {
  const hashes = (slices: number) => {
    const { client } = pair([300_000, 90_000]);
    started(client);
    client.ask('continue', { threadId: 1 });
    for (let slice = 0; slice < slices; slice++) client.session.slice();
    client.ask('pause', { threadId: 1 });
    client.run();
    client.ask('continue', { threadId: 1 });
    client.run();
    return client.session.launched.guests.map(({ partition }) => partition.stateHash());
  };
  expect(hashes(3)).toEqual(hashes(7));
});

test('restart begins all partitions anew, from their programs as they are now', () => {
  const { client } = pair();
  started(client);
  client.ask('continue', { threadId: 1 });
  expect(client.run().event).toBe('terminated');
  client.ask('restart');
  expect(client.run().body).toMatchObject({ reason: 'entry', threadId: 1 });
  expect([counted(client, 1), counted(client, 2)]).toEqual([0, 0]);
});

test.each([
  ['Two partitions (KVM)', ['clock: ', 'calls: ']],
  ['Hyper-V: two partitions at a switch', ['asks: 10.0.2.2 is at 52:54:00:12:34:57\n', 'answers: asked by 52:54:00:12:34:56\n']],
])('the samples’ configuration "%s" runs to the end of both', (wanted, printed) => {
  const file = sample('.vscode/launch.json');
  const text = readFileSync(file, 'utf8').replaceAll(`\${workspaceFolder}`, sample('.'));
  const { configurations } = JSON.parse(text);
  const { partitions, platform, net } = configurations.find(({ name }: { name: string }) => name === wanted);
  const client = started(launched(partitions, { platform, net }));
  client.ask('continue', { threadId: 1 });
  expect(client.run(100_000).event).toBe('terminated');
  for (const line of printed) expect(client.output).toContain(line);
});
