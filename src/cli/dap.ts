import { createServer, type Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { FramingError, frame, MessageReader } from './dap-framing.ts';
import { parse } from './options.ts';
import { soon } from './real-time.ts';
import { UsageError } from './usage.ts';

/** The adapter's session as its transport sees it: messages in, messages out, and a call that does a slice of the work. */
export interface DapSession {
  /** Takes a message; a slice will handle it. */
  receive(message: unknown): void;
  onMessage(listener: (message: unknown) => void): void;
  /** Told when there is more to do than the last slice said. */
  onWork(listener: () => void): void;
  /** Handles one message or runs the guest for a few milliseconds; true when there is more to do. */
  slice(): boolean;
  /** Ends it, where the client hasn't. */
  terminate?(): void;
  /** There is more to do, but not in the next milliseconds. */
  readonly isWaiting: boolean;
}

/** `hyperscope dap`: resolves when the client has gone. */
export async function dapCommand(args: readonly string[], createSession: () => DapSession): Promise<number> {
  const { values, positionals } = parse(args, { port: { type: 'string' } }, 'dap');
  if (positionals.length > 0)
    throw new UsageError(`dap takes no "${positionals[0]}"; a client sends the program with its launch request.`);
  if (values.port === undefined) {
    await serve(process.stdin, process.stdout, createSession());
    // A client that keeps its end open learns from the end of the process that there is no session any more.
    process.stdin.destroy();
    return 0;
  }
  const port = Number(values.port);
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw new UsageError(`--port takes a TCP port from 0 to 65535, not "${values.port}".`);
  await listen(port, createSession);
  return 0;
}

function listen(port: number, createSession: () => DapSession): Promise<void> {
  return new Promise((_, reject) => {
    const server = createServer((socket: Socket) => {
      socket.setNoDelay(true);
      void serve(socket, socket, createSession()).then(() => socket.destroy());
    });
    server.on('error', (error) => reject(new UsageError(`Port ${port} can't be opened: ${error.message}.`)));
    server.listen(port, '127.0.0.1', () => {
      const address = server.address();
      const actual = typeof address === 'object' && address !== null ? address.port : port;
      process.stderr.write(`hyperscope: the debug adapter listens on 127.0.0.1:${actual}\n`);
    });
  });
}

/**
 * Moves messages between a client and a session, which handles them and runs the guest in slices, each from a fresh turn of
 * the event loop, so that what the client sends is always heard.
 */
export function serve(input: Readable, output: Writable, session: DapSession): Promise<void> {
  return new Promise((resolve) => {
    let scheduled = false;
    let closed = false;
    const close = () => {
      if (closed) return;
      closed = true;
      try {
        session.terminate?.();
      } catch (error) {
        process.stderr.write(`hyperscope: ${describeDefect(error)}\n`);
      }
      resolve();
    };
    /** A defect of the session ends it with a line on stderr; a server goes on with its other sessions. */
    const guarded = (work: () => void) => {
      try {
        work();
      } catch (error) {
        process.stderr.write(`hyperscope: ${error instanceof FramingError ? error.message : describeDefect(error)}\n`);
        close();
      }
    };
    const schedule = () => {
      if (scheduled || closed) return;
      scheduled = true;
      soon(session.isWaiting, () => {
        scheduled = false;
        if (!closed) guarded(() => session.slice() && schedule());
      });
    };
    session.onMessage((message) => {
      if (!closed) output.write(frame(message));
    });
    session.onWork(schedule);
    const reader = new MessageReader((text) => {
      session.receive(parseMessage(text));
      schedule();
    });
    input.on('data', (chunk: Buffer) => guarded(() => reader.push(chunk)));
    input.on('end', close);
    input.on('close', close);
    input.on('error', close);
    output.on('error', close);
  });
}

function describeDefect(error: unknown): string {
  return `the debug adapter failed: ${error instanceof Error ? (error.stack ?? error.message) : error}`;
}

/** The session answers what is no message at all, too; it only must not throw here. */
function parseMessage(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
