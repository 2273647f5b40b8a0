import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { cli, endServers, gdb, gdbCommands, lldb, missingTool, root, serve, skipped } from './real-gdb.ts';

const missing = missingTool('gdb', 'gcc', 'make');
const withoutLldb = missingTool('lldb', 'gcc', 'make');

afterEach(endServers);

/** The sample in C, compiled into a folder of its own. */
function sampleInC(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'hyperscope-gdbserver-'));
  cpSync(path.join(root, 'samples/c'), folder, { recursive: true });
  execFileSync('make', ['-s', '-C', folder]);
  return path.join(folder, 'guest.elf');
}

describe.skipIf(missing)(`the real gdb debugs a guest${skipped(missing)}`, () => {
  test('in C: breakpoints with conditions, the call stack, watchpoints, steps, registers, memory, to the guest’s end', async () => {
    const program = sampleInC();
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

  test('detaches from a guest that runs on, and attaches again', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'hyperscope-gdbserver-'));
    const program = path.join(folder, 'spin.asm');
    writeFileSync(program, 'bits 64\n_start: inc rbx\n mov rcx, [done]\n jrcxz _start\n mov dx, 0xf4\n out dx, al\ndone dq 0\n');
    const { port, ended } = await serve(program);
    await gdb(port, undefined, ['print $rbx', 'break *$pc', 'detach']);
    const again = await gdb(port, undefined, ['print $rbx > 0', 'stepi', 'print $rcx', 'disconnect']);
    expect(again).toMatch(/\$1 = 1\b[\s\S]*\$2 = 0\b/);
    // One that was left without a word waits.
    const last = await gdb(port, undefined, ['set $rcx = 1', 'set {long}$rip = 0', 'monitor regs', 'kill']);
    expect(last).toMatch(/rcx\s+0x0*1\b/);
    expect((await ended).status).toBe(0);
  }, 60_000);

  test('runs it anew in the extended protocol, also when it has ended', async () => {
    const { port } = await serve(path.join(root, 'samples/hello/hello.asm'));
    const said = await gdbCommands(undefined, [
      `target extended-remote 127.0.0.1:${port}`,
      'set $start = $pc',
      'stepi 3',
      'set $third = $pc',
      'starti',
      'print $pc == $start',
      'continue',
      'info threads',
      'run',
      'tbreak *$third',
      'run',
      'print $pc == $third',
      'kill',
    ]);
    expect(said.match(/exited normally/g)).toHaveLength(2);
    expect(said).toMatch(/\$1 = 1\b[\s\S]*exited normally[\s\S]*No threads\.[\s\S]*exited normally[\s\S]*\$2 = 1\b[\s\S]*killed/);
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

describe.skipIf(withoutLldb)(`the real lldb debugs a guest${skipped(withoutLldb)}`, () => {
  test('with breakpoints, the call stack, variables, steps, watchpoints, registers and memory', async () => {
    const program = sampleInC();
    const { port, ended } = await serve(program);
    const said = await lldb(port, program, [
      'breakpoint set --name fibonacci --condition "n == 7"',
      'continue',
      'bt',
      'frame variable n',
      'register read rip',
      'watchpoint set variable calls',
      'continue',
      'memory read --size 4 --count 1 --format d &calls',
      'stepi',
      'kill',
    ]);
    expect(said).toMatch(/stop reason = breakpoint 1\.1/);
    expect(said).toMatch(/\(n=7\) at main\.c[\s\S]*\(n=10\) at main\.c[\s\S]*main/);
    expect(said).toMatch(/n = 7\b/);
    expect(said).toMatch(/rip = 0x[0-9a-f]+ +guest\.elf`fibonacci/);
    expect(said).toMatch(/Watchpoint 1 hit:\s+old value: 3\s+new value: 4/);
    expect(said).toMatch(/0x[0-9a-f]+: 4\b/);
    expect(said).toMatch(/stop reason = instruction step/);
    expect((await ended).status).toBe(0);
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
