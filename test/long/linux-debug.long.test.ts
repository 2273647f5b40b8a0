import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { Client, lineOf } from '../adapter/client.ts';
import { debugGuest, MODULES, INIT_SOURCE as SOURCE } from '../linux/debug-guest.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'hyperscope-linux-debug-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Frames that have no caller: of the idle task, of threads of the kernel, of programs. */
const OUTERMOST = ['secondary_startup_64_no_verify', 'ret_from_fork', '_start'];
const FORMS = [
  { form: 'path', what: 'an ELF file' },
  { form: 'image', what: 'an installed image that moves' },
] as const;

const names = (client: Client) => client.frames().map(({ name }) => name as string);

for (const { form, what } of FORMS)
  test(`a kernel as ${what} is debugged by what it carries: breakpoints, stacks, modules, processes, its panic`, (context) => {
    const guest = debugGuest(folder, form);
    if ('reason' in guest) {
      console.log(`skipped: ${guest.reason}`);
      return context.skip(guest.reason);
    }
    const client = new Client();
    client.launch(guest.program, guest.options);
    const asked = ['start_kernel', 'virtblk_probe'].map((name) => ({ name }));
    const { breakpoints } = client.ask('setFunctionBreakpoints', { breakpoints: asked });
    const isMoved = form === 'image';
    const later = isMoved
      ? '"virtblk_probe" will be looked for when the guest\'s kernel runs.'
      : 'The kernel has no function "virtblk_probe" yet; it may come with a module or a program.';
    expect(breakpoints).toMatchObject([{ verified: !isMoved }, { verified: false, message: later }]);
    client.ask('setExceptionBreakpoints', { filters: ['guest-panic'] });
    client.ask('configurationDone');

    // Before the kernel has page tables of its own.
    expect(client.run(1_000_000).body).toMatchObject({ reason: 'breakpoint', hitBreakpointIds: [breakpoints[0].id] });
    expect(names(client)[0]).toBe('start_kernel');
    expect(client.evaluate('_text').startsWith('0xffffffff81000000')).toBe(!isMoved);

    // In a module that is loaded on the way, down to the system call of the process that loads it.
    client.ask('continue', { threadId: 1 });
    expect(client.run(1_000_000).body).toMatchObject({ reason: 'breakpoint', hitBreakpointIds: [breakpoints[1].id] });
    const stack = names(client);
    expect(stack.slice(0, stack.indexOf('main') + 1)).toEqual([
      'virtblk_probe',
      'virtio_dev_probe',
      'really_probe',
      '__driver_probe_device',
      'driver_probe_device',
      '__driver_attach',
      'bus_for_each_dev',
      'bus_add_driver',
      'driver_register',
      'init_module',
      'do_one_initcall',
      'do_init_module',
      '__do_sys_finit_module',
      'do_syscall_64',
      'entry_SYSCALL_64_after_hwframe',
      'syscall',
      'load',
      'main',
    ]);
    const told = client.events.filter(({ event }) => event === 'breakpoint').map(({ body }) => body.breakpoint);
    expect(told.at(-1)).toMatchObject({ id: breakpoints[1].id, verified: true });
    const loaded = client.events
      .filter(({ event }) => event === 'module')
      .map(({ body }) => `${body.reason} ${body.module.name}`);
    expect(loaded).toEqual(['new Linux', expect.stringMatching(/^new .*, pid 1$/), ...MODULES.map((name) => `new ${name}.ko`)]);
    const modules = client.ask('modules').modules.slice(-2);
    expect(modules).toMatchObject([{ name: 'virtio_blk.ko', id: '0:linux:virtio_blk' }, { id: '0:process:1' }]);
    expect(client.evaluate('rip')).toMatch(/<virtblk_probe>$/);
    expect(client.evaluate('jiffies')).toMatch(/^0xffffffff.*<jiffies(_64)?>$/);
    const { targets } = client.ask('completions', { text: 'virtblk_pro', column: 12 });
    expect(targets[0]).toMatchObject({ label: 'virtblk_probe' });
    expect(client.ask('threads').threads).toMatchObject([{ name: 'vCPU 0 (init, pid 1)' }]);
    const processes = client.evaluate('processes', 'repl').split('\n');
    expect(processes[0]).toMatch(/^ {4}1 {2}R {2}init +cr3 0x[0-9a-f]+ +on vCPU 0$/);
    expect(processes[1]).toMatch(/^ {4}2 {2}S {2}\[kthreadd\]/);

    // In an interrupt, down to what it interrupted and who called that.
    client.ask('setFunctionBreakpoints', { breakpoints: [{ name: 'virtblk_done' }] });
    client.ask('continue', { threadId: 1 });
    expect(client.run(1_000_000).body).toMatchObject({ reason: 'breakpoint' });
    const interrupted = names(client);
    expect(interrupted.slice(0, 2)).toEqual(['virtblk_done', 'vring_interrupt']);
    expect(interrupted.slice(interrupted.indexOf('common_interrupt')).length).toBeGreaterThan(3);
    expect(OUTERMOST).toContain(interrupted.at(-1));

    // In the program of the process, by its source, while the kernel runs below it.
    client.ask('setFunctionBreakpoints', { breakpoints: [{ name: 'triangle' }] });
    client.ask('continue', { threadId: 1 });
    expect(client.run(1_000_000).body).toMatchObject({ reason: 'breakpoint', description: 'Breakpoint' });
    expect(names(client).slice(0, 2)).toEqual(['triangle', 'main']);
    expect(client.frames()[1]).toMatchObject({ source: { path: SOURCE }, line: lineOf(SOURCE, 'printf("triangle') });
    expect(client.scope('Arguments')).toEqual({ count: '100' });
    const lines = Array.from({ length: 4 }, () => {
      client.move('next');
      const [{ name, line }] = client.frames();
      return `${name}:${line}`;
    });
    expect(lines).toContain(`triangle:${lineOf(SOURCE, 'sum += i')}`);
    client.move('stepOut');
    expect(names(client)[0]).toBe('main');
    for (let steps = 0; steps < 3 && client.frames()[0].line < lineOf(SOURCE, 'return 7'); steps++) client.move('next');
    expect(client.frames()[0]).toMatchObject({ name: 'main', line: lineOf(SOURCE, 'return 7') });
    expect(client.output).toContain('triangle of 100: 5050');
    expect(client.ask('threads').threads).toMatchObject([{ name: 'vCPU 0 (init, pid 1)' }]);

    client.ask('setFunctionBreakpoints', { breakpoints: [] });
    client.ask('continue', { threadId: 1 });
    const text = 'Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000700';
    expect(client.run(1_000_000).body).toMatchObject({ reason: 'exception', description: 'Kernel panic', text });
    expect(client.output).toContain('triangle of 100: 5050');
    expect(names(client).slice(0, 6)).toEqual([
      'panic',
      'do_exit.cold',
      'do_group_exit',
      '__x64_sys_exit_group',
      'do_syscall_64',
      'entry_SYSCALL_64_after_hwframe',
    ]);
    expect(client.ask('hyperscope/crashReport').markdown).toContain(text);
  });
