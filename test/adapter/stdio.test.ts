import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DebugClient } from '@vscode/debugadapter-testsupport';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { lineOf, root, sample } from './client.ts';

const hypercalls = sample('kvm/hypercalls.asm');
const hello = sample('hello/hello.asm');
const cli = path.join(root, 'dist/cli.js');
let folder = '';
let starter = '';
let client: DebugClient;

/** The reference client has no place for arguments of the adapter, so a script of one line gives them. */
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'hyperscope-stdio-'));
  starter = path.join(folder, 'adapter.cjs');
  writeFileSync(starter, `process.argv = [process.argv[0], ${JSON.stringify(cli)}, 'dap'];\nrequire(process.argv[1]);\n`);
  if (existsSync(cli)) return;
  const built = spawnSync('node', ['tools/build.mjs'], { cwd: root, encoding: 'utf8' });
  if (built.status !== 0) throw new Error(`the bundle could not be built: ${built.stderr}`);
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

beforeEach(async () => {
  client = new DebugClient('node', starter, 'hyperscope');
  client.defaultTimeout = 20_000;
  await client.start();
});
afterEach(() => client.stop());

const names = async () => (await client.stackTraceRequest({ threadId: 1 })).body.stackFrames.map(({ name }) => name);
const stopped = (reason: string) => client.waitForEvent('stopped').then(({ body }) => expect(body.reason).toBe(reason));

describe('the reference client, over stdio', () => {
  test('launches a guest, stops at a breakpoint, and hears what the guest prints and how it ends', async () => {
    await client.hitBreakpoint({ program: hello, stopOnEntry: false }, { path: hello, line: lineOf(hello, 'out dx, al', 2) });
    await client.setBreakpointsRequest({ source: { path: hello }, breakpoints: [] });
    const output = client.assertOutput('stdout', 'Hello from a guest');
    const ended = Promise.all([client.waitForEvent('exited'), client.waitForEvent('terminated')]);
    await client.continueRequest({ threadId: 1 });
    await output;
    const [exited] = await ended;
    expect(exited.body.exitCode).toBe(0);
  });

  test('steps into a VM exit, sees the handler in its source, and steps out into the guest', async () => {
    await client.hitBreakpoint(
      { program: hypercalls, stopOnEntry: false },
      { path: hypercalls, line: lineOf(hypercalls, '    vmcall') },
    );
    await Promise.all([stopped('step'), client.stepInRequest({ threadId: 1 })]);
    const { stackFrames } = (await client.stackTraceRequest({ threadId: 1 })).body;
    expect(stackFrames.map(({ name }) => name)).toEqual([
      'kvm-intel: handle_vmcall',
      '── VM exit: VMCALL, reason 18 ──',
      '_start',
    ]);
    const [handler] = stackFrames;
    expect(readFileSync(handler?.source?.path ?? '', 'utf8').split('\n')[(handler?.line ?? 0) - 1]).toContain('stage(');
    await Promise.all([stopped('step'), client.stepOutRequest({ threadId: 1 })]);
    expect(await names()).toEqual(['_start']);
  });

  test('pauses a guest that runs, sets a register, goes elsewhere, and types to its console', async () => {
    const file = path.join(folder, 'spin.asm');
    writeFileSync(
      file,
      `bits 64
_start:
    nop
    jmp _start
elsewhere:
    mov dx, 0x3f8
    in al, dx
    out dx, al
    mov dx, 0x604
    mov ax, 0x2000
    out dx, ax
    hlt
`,
    );
    await Promise.all([client.configurationSequence(), client.launch({ program: file, stopOnEntry: false })]);
    await Promise.all([stopped('pause'), client.pauseRequest({ threadId: 1 })]);
    const set = await client.customRequest('setExpression', { expression: 'rbx', value: '0x1234' });
    expect(set.body.value).toMatch(/^0x1234/);
    const { targets } = (await client.gotoTargetsRequest({ source: { path: file }, line: lineOf(file, 'mov dx, 0x3f8') })).body;
    await Promise.all([stopped('goto'), client.gotoRequest({ threadId: 1, targetId: targets[0]?.id ?? 0 })]);
    await client.customRequest('hyperscope/input', { text: '!' });
    const output = client.assertOutput('stdout', '!');
    await Promise.all([client.waitForEvent('terminated'), client.continueRequest({ threadId: 1 })]);
    await output;
  });

  test('hears in one sentence why a launch is refused', async () => {
    const file = path.join(folder, 'wrong.asm');
    writeFileSync(file, 'bits 64\n_start:\n    mov rax, nowhere\n');
    await client.initializeRequest();
    await expect(client.launchRequest({ program: file } as object)).rejects.toThrow(/wrong\.asm:3:\d+: .*nowhere/);
  });

  test('sends what is no message of the protocol, and the session goes on', async () => {
    await client.initializeRequest();
    await expect(client.customRequest('frobnicate', { deep: [[[{}]]] })).rejects.toThrow(/no request "frobnicate"/);
    await expect(client.customRequest('stackTrace', 'not an object')).rejects.toThrow(/No guest is loaded/);
    expect((await client.threadsRequest()).body.threads).toEqual([]);
  });
});
