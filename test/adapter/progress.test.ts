import { expect, test } from 'vitest';
import { Client } from './client.ts';
import { assembly } from './guests.ts';

/** A call that computes for ever, or at least for longer than anybody waits. */
const PROGRAM = `bits 64
_start:
    call long
    hlt
long:
    mov rcx, 1 << 60
.next:
    dec rcx
    jnz .next
    ret
`;

function stepsOverLong(options: object) {
  const client = new Client();
  client.ask('initialize', { adapterID: 'hyperscope', ...options });
  client.ask('launch', { program: assembly(PROGRAM) });
  client.ask('configurationDone');
  client.run();
  client.ask('next', { threadId: 1 });
  for (let slice = 0; slice < 400; slice++) client.session.slice();
  return { client, named: (name: string) => client.events.filter(({ event }) => event === name).map(({ body }) => body) };
}

test('a step that takes long shows its progress; cancelling that pauses the guest', () => {
  const { client, named } = stepsOverLong({ supportsProgressReporting: true });
  const [start] = named('progressStart');
  expect(start).toMatchObject({ title: 'Step Over', cancellable: true });
  expect(named('progressUpdate').length).toBeGreaterThan(1);
  expect(named('progressUpdate')[0]).toMatchObject({ progressId: start.progressId, message: expect.stringMatching(/million/) });
  client.ask('cancel', { progressId: start.progressId });
  expect(client.run().body.reason).toBe('pause');
  expect(named('progressEnd')).toEqual([{ progressId: start.progressId }]);
});

test('loading a large program shows its progress, from before it is read to its end, also when it has errors', () => {
  const large = (code: string) => assembly(`bits 64\n_start: ${code}\n${'; a comment that takes its time\n'.repeat(10_000)}`);
  for (const [code, success] of [
    ['hlt', true],
    ['movv eax, 1', false],
  ] as const) {
    const client = new Client();
    client.ask('initialize', { adapterID: 'hyperscope', supportsProgressReporting: true });
    expect(client.request('launch', { program: large(code) }).success).toBe(success);
    const progress = client.events.filter(({ event }) => event.startsWith('progress'));
    expect(progress.map(({ event }) => event)).toEqual(['progressStart', 'progressEnd']);
    expect(progress[0]?.body).toMatchObject({ title: expect.stringMatching(/^Loading guest\d+\.asm$/), cancellable: false });
    expect(progress[1]?.body.progressId).toBe(progress[0]?.body.progressId);
  }
});

test('a client that shows no progress is told of none, and a short step tells of none', () => {
  const { named } = stepsOverLong({});
  expect(named('progressStart')).toEqual([]);
  const client = new Client();
  client.ask('initialize', { adapterID: 'hyperscope', supportsProgressReporting: true });
  client.ask('launch', { program: assembly(PROGRAM) });
  client.ask('configurationDone');
  client.run();
  client.move('stepIn');
  expect(client.events.filter(({ event }) => event.startsWith('progress'))).toEqual([]);
});

test('a request that waits for its turn can be cancelled; what was done already stays done', () => {
  const { client } = stepsOverLong({});
  const answers: { request_seq: number; command: string; success: boolean; message?: string }[] = [];
  client.session.onMessage((message) => {
    const answer = message as (typeof answers)[number] & { type: string };
    if (answer.type === 'response') answers.push(answer);
  });
  const send = (seq: number, command: string, parameters: object) =>
    client.session.receive({ seq, type: 'request', command, arguments: parameters });
  send(1001, 'readMemory', { memoryReference: '0x100000', count: 1_000_000 });
  send(1002, 'disassemble', { memoryReference: '0x100000', instructionCount: 5000 });
  send(1003, 'threads', {});
  send(1004, 'cancel', { requestId: 1002 });
  send(1005, 'cancel', { requestId: 7 });
  for (let slice = 0; slice < 5; slice++) client.session.slice();
  const told = answers.map(({ request_seq, success, message }) => [request_seq, success, message]);
  expect(told).toContainEqual([1002, false, 'cancelled']);
  expect(told).toContainEqual([1001, true, undefined]);
  expect(told).toContainEqual([1003, true, undefined]);
  expect(told.filter(([seq]) => seq === 1002)).toHaveLength(1);
});
