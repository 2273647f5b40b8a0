import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { type DapSession, serve } from '../../src/cli/dap.ts';
import { frame, MessageReader } from '../../src/cli/dap-framing.ts';

/** Answers each message, and runs a guest that never ends. */
class EchoSession implements DapSession {
  slices = 0;
  running = false;
  isWaiting = false;
  ends = 0;
  /** Something came from outside. */
  wake = () => {};
  private listener: (message: unknown) => void = () => {};

  receive(message: unknown): void {
    if (message === 'not json') this.listener({ error: 'not a message' });
    else if (typeof message === 'object' && message !== null && 'go' in message) this.running = message.go === true;
    this.listener({ echo: message, slices: this.slices });
  }
  onMessage(listener: (message: unknown) => void): void {
    this.listener = listener;
  }
  onWork(listener: () => void): void {
    this.wake = listener;
  }
  terminate(): void {
    this.ends++;
  }
  slice(): boolean {
    if (this.running) this.slices++;
    return this.running;
  }
}

function connect() {
  const input = new PassThrough();
  const output = new PassThrough();
  const session = new EchoSession();
  const done = serve(input, output, session);
  const answers: unknown[] = [];
  const reader = new MessageReader((text) => answers.push(JSON.parse(text)));
  output.on('data', (chunk: Buffer) => reader.push(chunk));
  return { input, output, session, done, answers };
}

const turns = async (count: number) => {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
};

test('messages are answered while the guest runs in slices, and the guest stops when it is told to', async () => {
  const { input, session, answers } = connect();
  input.write(frame({ go: true }));
  await turns(20);
  expect(session.slices).toBeGreaterThan(5);
  input.write(frame({ go: false }));
  await turns(5);
  expect(answers).toHaveLength(2);
  const stopped = session.slices;
  await turns(20);
  expect(session.slices).toBe(stopped);
});

test('a client that goes without a word ends its session, once', async () => {
  const { input, session, done } = connect();
  input.end();
  await done;
  await turns(5);
  expect(session.ends).toBe(1);
});

test('a session that had nothing to do is run again when something comes from outside', async () => {
  const { session } = connect();
  session.running = true;
  await turns(5);
  expect(session.slices).toBe(0);
  session.wake();
  await turns(5);
  expect(session.slices).toBeGreaterThan(1);
});

test('a session ends when its client goes, also while the guest runs', async () => {
  const { input, session, done } = connect();
  input.write(frame({ go: true }));
  await turns(5);
  input.end();
  await done;
  const ended = session.slices;
  await turns(10);
  expect(session.slices).toBe(ended);
});

test('a body that is no JSON reaches the session, which answers it', async () => {
  const { input, answers } = connect();
  input.write('Content-Length: 8\r\n\r\nnot json');
  await turns(5);
  expect(answers[0]).toEqual({ error: 'not a message' });
});

test('a client that does not speak the protocol is let go', async () => {
  const { input, done } = connect();
  input.write('GET / HTTP/1.1\r\n\r\n');
  await done;
});
