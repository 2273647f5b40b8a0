import { execFileSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { hex } from '../../src/x86/address.ts';
import { functionAt, PROGRAM, TEXT, toyKernel } from '../linux/toy-kernel.ts';
import { hasTool } from '../symbols/gdb.ts';
import { Client, lineOf } from './client.ts';

const SOURCE = path.resolve(import.meta.dirname, '../linux/toy-kernel.c');
/** Where a kernel is linked to that runs at TEXT. */
const LINKED = 0xffff_ffff_8100_0000n;
const linkedAt = (name: Parameters<typeof functionAt>[0]) => LINKED + BigInt(functionAt(name));

/** A toy kernel that goes to its first stop. */
function run(names: readonly string[], packed = false, filters: readonly string[] = ['guest-panic'], more: object = {}): Client {
  const { program, options } = toyKernel(packed);
  const client = new Client();
  client.launch(program, { ...options, ...more });
  client.ask('setFunctionBreakpoints', { breakpoints: names.map((name) => ({ name })) });
  client.ask('setExceptionBreakpoints', { filters });
  client.ask('configurationDone');
  client.run();
  return client;
}

function goOn(client: Client) {
  client.ask('continue', { threadId: 1 });
  return client.run();
}

const lastStop = (client: Client) => client.events.filter(({ event }) => event === 'stopped').at(-1)?.body;
const stack = (client: Client) => client.frames().map(({ name }) => name);

describe('a guest that is a Linux kernel', () => {
  for (const packed of [false, true])
    test(`has names ${packed ? 'once it has unpacked itself' : 'before it runs'}`, () => {
      const client = run(['do_one_initcall', 'toy_probe'], packed);
      expect(lastStop(client)).toMatchObject({ reason: 'breakpoint', hitBreakpointIds: [1] });
      expect(stack(client)).toEqual(['do_one_initcall', 'do_init_module', 'start_kernel']);
      expect(client.evaluate('rip')).toMatch(/<do_one_initcall>$/);
      expect(client.evaluate('a_task')).toContain((TEXT + 0xb800n).toString(16));
    });

  test('has breakpoints that bind when their module comes, before it is initialized', () => {
    const client = run(['toy_probe']);
    expect(lastStop(client)).toMatchObject({ reason: 'breakpoint', hitBreakpointIds: [1] });
    expect(stack(client)).toEqual(['toy_probe', 'init_module', 'do_one_initcall', 'do_init_module', 'start_kernel']);
    const told = client.events.filter(({ event }) => event === 'breakpoint').map(({ body }) => body.breakpoint);
    expect(told).toMatchObject([{ id: 1, verified: true }]);
    const modules = client.events.filter(({ event }) => event === 'module').map(({ body }) => [body.reason, body.module.name]);
    expect(modules).toEqual([
      ['new', 'Linux'],
      ['new', 'toy_blk.ko'],
    ]);
    expect(client.ask('modules').modules.slice(-2)).toMatchObject([
      { version: 'Linux version 6.1.0-toy' },
      { name: 'toy_blk.ko' },
    ]);
    expect(client.ask('completions', { text: 'toy_', column: 5 }).targets).toMatchObject([{ label: 'toy_probe' }]);
  });

  test('has modules that go again', () => {
    const client = run(['toy_probe']);
    const head = client.evaluate('modules').split(' ')[0] ?? '';
    const empty = new Uint8Array(new BigUint64Array([BigInt(head)]).buffer);
    client.ask('writeMemory', { memoryReference: head, data: Buffer.from(empty).toString('base64') });
    client.move('stepIn', 'instruction');
    expect(client.events.filter(({ event }) => event === 'module').at(-1)?.body).toMatchObject({
      reason: 'removed',
      module: { name: 'toy_blk.ko' },
    });
    expect(client.events.filter(({ event }) => event === 'breakpoint').at(-1)?.body.breakpoint).toMatchObject({
      verified: false,
    });
    expect(client.evaluate('rip')).not.toContain('toy_probe');
  });

  test('says why a breakpoint waits', () => {
    const answers = [false, true].map((packed) => {
      const { program, options } = toyKernel(packed);
      const client = new Client();
      client.launch(program, options);
      return client.ask('setFunctionBreakpoints', { breakpoints: [{ name: 'toy_probe' }] }).breakpoints[0].message;
    });
    expect(answers).toEqual([
      'The kernel has no function "toy_probe" yet; it may come with a module or a program.',
      '"toy_probe" will be looked for when the guest\'s kernel runs.',
    ]);
  });

  test('stops with its message when it panics', () => {
    const client = run([]);
    const text = 'Kernel panic - not syncing: no toys left (0x700)';
    expect(lastStop(client)).toMatchObject({ reason: 'exception', description: 'Kernel panic', text });
    expect(stack(client)).toEqual(['panic', 'start_kernel']);
    expect(client.ask('exceptionInfo', { threadId: 1 })).toMatchObject({ exceptionId: 'Kernel panic', description: text });
    expect(client.ask('hyperscope/crashReport').markdown).toContain(text);
    expect(goOn(client).event).toBe('terminated');
  });

  test('stops with what an oops is about', () => {
    const client = run(['do_init_module']);
    // As the kernel calls `__die(text, registers, error)`. A jump to a place runs past its stops, so that one returns to it.
    const text = TEXT + 0xd100n;
    const place = client.evaluate('do_one_initcall').split(' ')[0];
    const registers = TEXT + 0xe800n;
    for (const assignment of [
      `qword [${registers + 128n}] = ${place} + 4`,
      `rdi = ${text}`,
      `rsi = ${registers}`,
      'rdx = 2',
      'qword [rsp] = __die',
      'rip = __die',
    ])
      client.evaluate(assignment, 'repl');
    goOn(client);
    const message = 'toys left: error code 0x2 at do_one_initcall+0x4';
    expect(lastStop(client)).toMatchObject({ reason: 'exception', description: 'Kernel oops', text: message });
  });

  test.skipIf(!hasTool('gcc'))('has the source of a vmlinux, moved to where the kernel runs', () => {
    const vmlinux = path.join(mkdtempSync(path.join(tmpdir(), 'hyperscope-vmlinux-')), 'vmlinux');
    const sections = [
      ['start', 'start_kernel'],
      ['panic', 'panic'],
    ] as const;
    const places = sections.map(([section, name]) => `-Wl,--section-start=.toy.${section}=0x${linkedAt(name).toString(16)}`);
    const text = `-Wl,--defsym=_text=0x${LINKED.toString(16)}`;
    const options = [
      '-g',
      '-O1',
      '-fno-builtin',
      '-mcmodel=kernel',
      '-fno-pie',
      '-no-pie',
      '-static',
      '-nostdlib',
      '-Wl,-e,start_kernel',
      text,
      ...places,
    ];
    execFileSync('gcc', [...options, '-o', vmlinux, SOURCE]);
    const client = run([], false, ['guest-panic'], { symbols: [vmlinux] });
    const [frame] = client.frames();
    expect(frame).toMatchObject({ name: 'panic', source: { path: SOURCE } });
    expect(frame.line).toBeGreaterThanOrEqual(lineOf(SOURCE, 'panic(const'));
    expect(client.scope('Arguments').code).toBe('1792');
    const breakpoint = { source: { path: SOURCE }, breakpoints: [{ line: lineOf(SOURCE, 'panic(const') }] };
    expect(client.ask('setBreakpoints', breakpoint).breakpoints).toMatchObject([
      { verified: true, instructionReference: `0x${(TEXT + linkedAt('panic') - LINKED).toString(16)}` },
    ]);
  });

  test('panics by itself when nobody wants to know', () => {
    const client = run([], false, []);
    expect(client.events.some(({ event }) => event === 'stopped')).toBe(false);
    expect(client.events.at(-1)?.event).toBe('terminated');
  });

  test('has symbols that are looked for by parts of their names', () => {
    const client = run(['toy_probe']);
    const lines = client.evaluate('symbols init', 'repl').split('\n');
    expect(lines.map((line) => line.split(/ +/))).toEqual([
      [hex(TEXT + 0x180n), '0x80', 'do_init_module'],
      [hex(TEXT + 0x200n), '0x80', 'do_one_initcall'],
      [hex(TEXT + 0x1000n), '0x7000', 'init_top_pgt'],
      [hex(TEXT + 0xb000n), '0x800', 'init_task'],
      [hex(TEXT + 0x20_0000n), '0x40', 'init_module'],
    ]);
    expect(client.evaluate('symbols no_such', 'repl')).toBe('No function has no_such in its name, and no data begins with it.');
    expect(client.evaluate('symbols /^toy_/', 'repl')).toBe(`${hex(TEXT + 0x20_0040n)}  0x40  toy_probe`);
    expect(client.evaluate('&modules')).toContain('<modules>');
    expect(() => client.evaluate('&rax')).toThrow('"&" needs the name of a symbol behind it.');
  });

  test('has processes', () => {
    const client = run(['do_init_module']);
    expect(client.ask('threads').threads).toMatchObject([{ name: 'vCPU 0 (toyd, pid 7)' }]);
    expect(client.evaluate('processes', 'repl').split('\n')).toEqual([
      '    7  R  toyd   cr3 0x1001000  on vCPU 0',
      '    8  R  other  cr3 0x1002000',
    ]);
  });

  test.skipIf(!hasTool('gcc'))('has breakpoints in a program that stop in its process alone', () => {
    const program = path.join(mkdtempSync(path.join(tmpdir(), 'hyperscope-toy-')), 'toyd');
    const options = ['-static', '-nostdlib', '-no-pie', `-Wl,-Ttext=0x${PROGRAM.toString(16)}`];
    execFileSync('gcc', [...options, '-o', program, path.resolve(import.meta.dirname, '../linux/toy-program.s')]);
    const client = run(['work'], true, ['guest-panic'], { symbols: [program] });
    expect(lastStop(client)).toMatchObject({ reason: 'breakpoint', hitBreakpointIds: [1] });
    expect(stack(client)).toEqual(['work', '_start']);
    expect(client.ask('modules').modules.at(-1)).toMatchObject({ name: 'toyd, pid 7', symbolFilePath: program });
    // The other process runs the same code, which has no name there.
    const address = hex(PROGRAM + 0x45n);
    client.ask('setInstructionBreakpoints', { breakpoints: [{ instructionReference: address }] });
    goOn(client);
    expect(stack(client)[0]).toBe('work');
    goOn(client);
    expect(client.ask('threads').threads).toMatchObject([{ name: 'vCPU 0 (other, pid 8)' }]);
    expect(stack(client)[0]).toBe(address);
    goOn(client);
    expect(lastStop(client)).toMatchObject({ description: 'Kernel panic' });
  });

  test('is looked for anew when it is started again', () => {
    const client = run(['toy_probe'], true);
    client.ask('restart');
    client.run();
    expect(lastStop(client)).toMatchObject({ reason: 'breakpoint', hitBreakpointIds: [1] });
    expect(stack(client)[0]).toBe('toy_probe');
  });
});

test('processes of a guest that is no Linux are asked for in vain', () => {
  const client = new Client();
  client.launch(toyKernel(true).program, { ...toyKernel(true).options, stopOnEntry: true });
  client.ask('configurationDone');
  client.run();
  expect(() => client.evaluate('processes', 'repl')).toThrow(
    'No Linux kernel runs in the guest yet; ask again once it has begun to.',
  );
});
