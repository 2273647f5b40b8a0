import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Client, lineOf, root } from './client.ts';

export const SOURCE = path.join(import.meta.dirname, 'fixtures', 'stepping.c');
const WITHOUT_LINES = path.join(import.meta.dirname, 'fixtures', 'without-lines.S');
const SAMPLE = path.join(root, 'samples/c');

const FLAGS = ['-std=gnu11', '-ffreestanding', '-fno-pic', '-fno-stack-protector', '-mno-red-zone', '-mgeneral-regs-only', '-g'];
const LINK = ['-static', '-nostdlib', '-Wl,--build-id=none', '-Wl,-z,noexecstack', '-T', path.join(SAMPLE, 'guest.ld')];

export const hasCompiler = (name: string): boolean => spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0;

let folder: string | undefined;
const built = new Map<string, string>();

/** Builds the guest with a compiler and its options, once; gives the path of the program. */
export function buildGuest(compiler: string, options: readonly string[]): string {
  const key = [compiler, ...options].join(' ');
  const known = built.get(key);
  if (known !== undefined) return known;
  folder ??= mkdtempSync(path.join(tmpdir(), 'hyperscope-c-'));
  const base = path.join(folder, `guest${built.size}`);
  const run = (args: readonly string[]) => execFileSync(compiler, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  run([...FLAGS, ...options, '-c', '-o', `${base}.main.o`, SOURCE]);
  run(['-c', '-o', `${base}.plain.o`, WITHOUT_LINES]);
  run(['-c', '-o', `${base}.start.o`, path.join(SAMPLE, 'start.S')]);
  run([...LINK, '-o', `${base}.elf`, `${base}.start.o`, `${base}.main.o`, `${base}.plain.o`]);
  built.set(key, `${base}.elf`);
  return `${base}.elf`;
}

/** Line of the guest's source that has a comment. */
export const at = (comment: string, occurrence = 1): number => lineOf(SOURCE, `/* ${comment} */`, occurrence);

/** A guest that stands at the line with a comment. */
export function stoppedAt(program: string, comment: string, condition?: string): Client {
  const client = new Client();
  client.launch(program, { stopOnEntry: false });
  client.ask('setBreakpoints', { source: { path: SOURCE }, breakpoints: [{ line: at(comment), condition }] });
  client.ask('configurationDone');
  client.run();
  return client;
}

/** Where the guest stands: function and line of the newest frame. */
export function where(client: Client): [string, number] {
  const [frame] = client.frames();
  return [frame.name, frame.line];
}
