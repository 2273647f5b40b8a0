// A debug adapter on stdio, and a client that asks it as an editor does.
import { spawn } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

/** Starts the built adapter. `request` resolves with the whole response, `event` with the next event of a name. */
export function startAdapter() {
  const adapter = spawn(process.execPath, [path.join(root, 'dist/cli.js'), 'dap'], { stdio: ['pipe', 'pipe', 'inherit'] });
  const waiting = new Map();
  const listeners = [];
  let seq = 1;
  let received = Buffer.alloc(0);
  adapter.stdout.on('data', (chunk) => {
    received = Buffer.concat([received, chunk]);
    for (;;) {
      const end = received.indexOf('\r\n\r\n');
      const length = end < 0 ? undefined : Number(/Content-Length: (\d+)/.exec(received.subarray(0, end).toString())?.[1]);
      if (length === undefined || received.length < end + 4 + length) return;
      const message = JSON.parse(received.subarray(end + 4, end + 4 + length).toString());
      received = received.subarray(end + 4 + length);
      if (message.type === 'response') waiting.get(message.request_seq)?.(message);
      else for (const listener of listeners.splice(0)) if (!listener(message)) listeners.push(listener);
    }
  });
  return {
    pid: adapter.pid,
    request(command, parameters = {}) {
      const body = JSON.stringify({ seq, type: 'request', command, arguments: parameters });
      adapter.stdin.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
      return new Promise((resolve) => waiting.set(seq++, resolve));
    },
    event: (name) =>
      new Promise((resolve) => {
        listeners.push((message) => {
          if (message.event !== name) return false;
          resolve(message);
          return true;
        });
      }),
    stop: () => adapter.kill(),
  };
}
