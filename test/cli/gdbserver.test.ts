import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';

const root = path.resolve(import.meta.dirname, '../..');
const cli = path.join(root, 'dist/cli.js');
const has = (tool: string) => spawnSync(tool, ['--version'], { stdio: 'ignore' }).status === 0;
const missing = ['gdb', 'gcc', 'make'].find((tool) => !has(tool));

let server: ChildProcess | undefined;
afterEach(() => {
  server?.kill();
  server = undefined;
});

interface Served {
  readonly port: string;
  /** What the guest printed, and with which status the server ended. */
  readonly ended: Promise<{ output: string; status: number | null }>;
}

/** Starts `gdbserver` on a free port. */
async function serve(...args: string[]): Promise<Served> {
  const child = spawn(process.execPath, [cli, 'gdbserver', ...args, '--port', '0'], { stdio: ['ignore', 'pipe', 'pipe'] });
  server = child;
  let output = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
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
  return { port, ended };
}

/** Runs gdb's commands against a server; gives what it prints. */
async function gdb(port: string, program: string | undefined, commands: readonly string[]): Promise<string> {
  const all = ['set pagination off', 'set confirm off', `target remote 127.0.0.1:${port}`, ...commands];
  const args = ['-nx', '-batch', ...all.flatMap((command) => ['-ex', command]), ...(program === undefined ? [] : [program])];
  const child = spawn('gdb', args, { env: { ...process.env, LC_ALL: 'C' }, stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk) => {
      text += chunk;
    });
  await new Promise((resolve) => child.on('exit', resolve));
  return text;
}

describe.skipIf(missing)(`the real gdb debugs a guest${missing ? ` (skipped: ${missing} is not installed)` : ''}`, () => {
  test('in C: breakpoints with conditions, the call stack, watchpoints, steps, registers, memory, to the guest’s end', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'hyperscope-gdbserver-'));
    cpSync(path.join(root, 'samples/c'), folder, { recursive: true });
    execFileSync('make', ['-s', '-C', folder]);
    const program = path.join(folder, 'guest.elf');
    const { port, ended } = await serve(program);
    const said = await gdb(port, program, [
      'info registers rip',
      'break fibonacci if n == 7',
      'continue',
      'backtrace',
      'watch calls',
      'continue',
      'delete 2',
      'stepi',
      'x/1i $pc',
      'print $cr0 & 1',
      'monitor walk 0x100000',
      'delete',
      'finish',
      'set var calls = 1000',
      'print calls',
      'continue',
    ]);
    expect(said).toMatch(/rip\s+0x100000/);
    expect(said).toMatch(/Breakpoint 1, fibonacci \(n=7\) at main\.c/);
    expect(said).toMatch(/#0\s+fibonacci \(n=7\)[\s\S]*#3\s+\S+ in fibonacci \(n=10\)[\s\S]*#4\s+\S+ in main \(\)/);
    expect(said).toMatch(/Old value = 3\s+New value = 4/);
    expect(said).toMatch(/=> 0x[0-9a-f]+ <fibonacci\+\d+>/);
    expect(said).toMatch(/\$1 = 1\b/);
    expect(said).toMatch(/PML4\s+entry at gpa/);
    expect(said).toMatch(/Value returned is \$2 = 13/);
    expect(said).toMatch(/\$3 = 1000/);
    expect(said).toMatch(/exited normally/);
    const { output, status } = await ended;
    expect(output).toMatch(/hypervisor: KVMKVMKVM[\s\S]*fibonacci\(10\) = 55 in 1\d{3} calls/);
    expect(status).toBe(0);
  }, 60_000);

  test('in guest assembly of 16 and 64 bits, by addresses and by symbols of the assembled program', async () => {
    const boot = await serve(path.join(root, 'samples/bare/boot-sector.asm'), '--platform', 'bare');
    const said = await gdb(boot.port, undefined, [
      'x/2i $pc',
      'break *0x7c08',
      'continue',
      'stepi',
      'info registers al eip',
      'kill',
    ]);
    expect(said).toMatch(/=> 0x7c00:\s+xor\s+%ax,%ax\s+0x7c02:\s+mov\s+%e?ax,%ds/);
    expect(said).toMatch(/Breakpoint 1, 0x00007c08/);
    expect((await boot.ended).status).toBe(0);

    const folder = mkdtempSync(path.join(tmpdir(), 'hyperscope-gdbserver-'));
    const program = path.join(folder, 'hypercalls.elf');
    const source = path.join(root, 'samples/kvm/hypercalls.asm');
    execFileSync(process.execPath, [cli, 'asm', source, '-o', program]);
    const { port, ended } = await serve(program);
    const stepped = await gdb(port, program, ['break print_result', 'continue', 'info line *$pc', 'print $rax', 'kill']);
    expect(stepped).toMatch(/Breakpoint 1, print_result/);
    expect(stepped).toMatch(/hypercalls\.asm/);
    expect(stepped).toMatch(/\$1 = 0\b/);
    expect((await ended).status).toBe(0);
  }, 60_000);

  test('detaches, and the guest goes on to its end', async () => {
    const { port, ended } = await serve(path.join(root, 'samples/hello/hello.asm'));
    await gdb(port, undefined, ['stepi', 'detach']);
    expect(await ended).toEqual({ output: 'Hello from a guest\n', status: 0 });
  }, 60_000);

  test('that may do only what its options say', async () => {
    const limits = ['--privileges=-hypercalls', '--ports', '0x3f8..0x3ff,0x604..0x605'];
    const { port, ended } = await serve(path.join(root, 'samples/kvm/hypercalls.asm'), ...limits);
    await gdb(port, undefined, ['detach']);
    const { output, status } = await ended;
    expect(output).toContain('KVM_HC_SCHED_YIELD: -1');
    expect(status).toBe(0);
  }, 60_000);
});

test('a command line that can’t be served is refused in a sentence', () => {
  for (const [args, message] of [
    [['--port', 'x', 'a.elf'], /--port takes a TCP port/],
    [[], /gdbserver needs the path of a program/],
    [['/nowhere/guest.elf'], /can't be read/],
  ] as const) {
    const { status, stderr } = spawnSync(process.execPath, [cli, 'gdbserver', ...args], { encoding: 'utf8' });
    expect([status, stderr.split('\n').length]).toEqual([2, 2]);
    expect(stderr).toMatch(message);
  }
});
