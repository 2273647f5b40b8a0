import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import path from 'node:path';

export const root = path.resolve(import.meta.dirname, '../..');
export const cli = path.join(root, 'dist/cli.js');

/** The first of some programs that isn't installed here. */
export function missingTool(...tools: readonly string[]): string | undefined {
  return tools.find((tool) => spawnSync(tool, ['--version'], { stdio: 'ignore' }).status !== 0);
}

/** What says in a test's name why it is skipped. */
export const skipped = (missing: string | undefined) => (missing ? ` (skipped: ${missing} is not installed)` : '');

/** `hyperscope gdbserver` with a guest. */
export interface Served {
  readonly port: string;
  /** What the guest printed, and with which status the server ended. */
  readonly ended: Promise<{ output: string; status: number | null }>;
  /** Resolves when the guest has printed a text. */
  printed(text: string): Promise<void>;
}

const servers = new Set<ChildProcess>();

/** Ends the servers that a test has left behind. */
export function endServers(): void {
  for (const server of servers) server.kill();
  servers.clear();
}

/** Starts `gdbserver` on a free port. */
export async function serve(...args: string[]): Promise<Served> {
  const child = spawn(process.execPath, [cli, 'gdbserver', ...args, '--port', '0'], { stdio: ['ignore', 'pipe', 'pipe'] });
  servers.add(child);
  let output = '';
  const waiting = new Map<string, () => void>();
  child.stdout.on('data', (chunk) => {
    output += chunk;
    for (const [text, resolve] of waiting) if (output.includes(text)) resolve();
  });
  const ended = new Promise<{ output: string; status: number | null }>((resolve) =>
    child.on('exit', (status) => resolve({ output, status })),
  );
  const port = await new Promise<string>((resolve, reject) => {
    let text = '';
    child.stderr.on('data', (chunk) => {
      text += chunk;
      const found = /127\.0\.0\.1:(\d+)/.exec(text)?.[1];
      if (found) resolve(found);
    });
    child.on('exit', () => reject(new Error(text)));
  });
  const printed = (text: string) =>
    new Promise<void>((resolve) => {
      if (output.includes(text)) resolve();
      else waiting.set(text, resolve);
    });
  return { port, ended, printed };
}

/** Runs a debugger to its end; gives what it prints. It is interrupted, as by Ctrl+C, when `interrupt` resolves. */
async function debuggerOutput(command: string, args: readonly string[], interrupt?: Promise<void>): Promise<string> {
  const child = spawn(command, args, { env: { ...process.env, LC_ALL: 'C' }, stdio: ['ignore', 'pipe', 'pipe'] });
  void interrupt?.then(() => child.kill('SIGINT'));
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk) => {
      text += chunk;
    });
  await new Promise((resolve) => child.on('exit', resolve));
  return text;
}

/** Runs gdb's commands; gives what it prints. */
export function gdbCommands(
  program: string | undefined,
  commands: readonly string[],
  interrupt?: Promise<void>,
): Promise<string> {
  const all = ['set pagination off', 'set confirm off', ...commands];
  const args = ['-nx', '-batch', ...all.flatMap((command) => ['-ex', command]), ...(program === undefined ? [] : [program])];
  return debuggerOutput('gdb', args, interrupt);
}

/** Runs gdb's commands against a server. */
export function gdb(
  port: string,
  program: string | undefined,
  commands: readonly string[],
  interrupt?: Promise<void>,
): Promise<string> {
  return gdbCommands(program, [`target remote 127.0.0.1:${port}`, ...commands], interrupt);
}

/** Runs lldb's commands against a server. */
export function lldb(port: string, program: string, commands: readonly string[]): Promise<string> {
  const all = ['settings set use-color false', `gdb-remote 127.0.0.1:${port}`, ...commands];
  return debuggerOutput('lldb', ['--no-lldbinit', '--batch', ...all.flatMap((command) => ['-o', command]), program]);
}
