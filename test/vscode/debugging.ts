import assert from 'node:assert/strict';
import * as vscode from 'vscode';
import { Adapter, eventually, lineOf, open, sample, stopDebugging } from './support.ts';

const hello = sample('hello/hello.asm');
const hypercalls = sample('kvm/hypercalls.asm');

/** F5 as a user presses it, with no launch.json. */
const pressF5 = () => vscode.commands.executeCommand('workbench.action.debug.start');

function breakAt(uri: vscode.Uri, line: number): void {
  vscode.debug.addBreakpoints([new vscode.SourceBreakpoint(new vscode.Location(uri, new vscode.Position(line - 1, 0)))]);
}

describe('debugging', () => {
  let adapter: Adapter;
  beforeEach(() => {
    adapter = new Adapter();
  });
  afterEach(async () => {
    await stopDebugging();
    adapter.dispose();
  });

  it('F5 without launch.json stops at the first instruction', async () => {
    await open(hello);
    const started = Date.now();
    await pressF5();
    const { reason } = await adapter.nextStop();
    // A number to watch, not to fail on: the machine may be busy with other tests.
    console.log(`      F5 to first stop: ${Date.now() - started} ms`);
    assert.equal(reason, 'entry');
    const frame = await adapter.topFrame();
    assert.equal(frame.line, lineOf(hello, /mov rsi, message/));
  });

  it('F5 saves the program first, and runs what was typed', async () => {
    const editor = await open(hello);
    const line = lineOf(hello, /mov rsi, message/) - 1;
    await editor.edit((edit) => edit.insert(new vscode.Position(line, 0), '    mov ebx, 0x1234\n'));
    await pressF5();
    await adapter.nextStop();
    assert.equal(editor.document.isDirty, false);
    await vscode.commands.executeCommand('hyperscope.stepInstruction');
    await adapter.nextStop();
    assert.match(await adapter.evaluate('rbx'), /1234/);
    await stopDebugging();
    await editor.edit((edit) => edit.delete(editor.document.lineAt(line).rangeIncludingLineBreak));
    await editor.document.save();
  });

  it('reaches a breakpoint, and shows the registers', async () => {
    await open(hypercalls);
    const line = lineOf(hypercalls, /^\s+vmcall/);
    breakAt(hypercalls, line);
    await pressF5();
    await adapter.nextStop();
    await vscode.commands.executeCommand('workbench.action.debug.continue');
    assert.equal((await adapter.nextStop()).reason, 'breakpoint');
    const frame = await adapter.topFrame();
    assert.equal(frame.line, line);
    const { scopes } = await adapter.request<{
      scopes: readonly { name: string; variablesReference: number; expensive: boolean }[];
    }>('scopes', { frameId: frame.id });
    const [first] = scopes;
    assert(first && !first.expensive);
    const { variables } = await adapter.request<{ variables: readonly { name: string; value: string }[] }>('variables', {
      variablesReference: first.variablesReference,
    });
    assert(
      variables.some(({ name, value }) => /^rax$/i.test(name) && /0*b$/i.test(value)),
      JSON.stringify(variables.slice(0, 4)),
    );
  });

  it('steps into the VM exit of vmcall, through the handler, and out into the guest', async () => {
    await open(hypercalls);
    const line = lineOf(hypercalls, /^\s+vmcall/);
    breakAt(hypercalls, line);
    await pressF5();
    await adapter.nextStop();
    await vscode.commands.executeCommand('workbench.action.debug.continue');
    await adapter.nextStop();
    await vscode.commands.executeCommand('workbench.action.debug.stepInto');
    await adapter.nextStop();
    const frames = await adapter.frames();
    assert.match(frames[0]?.source?.path ?? '', /\.ts$/, JSON.stringify(frames));
    assert(
      frames.some(({ name }) => /VM exit/.test(name)),
      JSON.stringify(frames),
    );
    assert(
      frames.some(({ source }) => source?.path?.endsWith('hypercalls.asm')),
      JSON.stringify(frames),
    );
    await vscode.commands.executeCommand('workbench.action.debug.stepOut');
    await adapter.nextStop();
    const back = await adapter.topFrame();
    assert.match(back.source?.path ?? '', /hypercalls\.asm$/);
    assert.equal(back.line, line + 1);
  });

  it('steps by the instruction, and over a call as one', async () => {
    await open(hello);
    await pressF5();
    await adapter.nextStop();
    const call = lineOf(hello, /^\s+call print/);
    while ((await adapter.topFrame()).line < call) {
      await vscode.commands.executeCommand('hyperscope.stepInstruction');
      await adapter.nextStop();
    }
    await vscode.commands.executeCommand('hyperscope.stepOverInstruction');
    await adapter.nextStop();
    assert.equal((await adapter.topFrame()).line, call + 1);
    assert.match(adapter.output.join(''), /Hello from a guest/);
  });

  it('runs without debugging to the end, past breakpoints', async () => {
    await open(hello);
    breakAt(hello, lineOf(hello, /^\s+call print/));
    await vscode.commands.executeCommand('hyperscope.runFile', hello);
    await eventually('the end of the guest', () => (adapter.terminated ? true : undefined));
    assert.match(adapter.output.join(''), /Hello from a guest/);
  });

  it('gives each partition a terminal where that is wished, and uses it again in the next run', async () => {
    const configuration: vscode.DebugConfiguration = {
      type: 'hyperscope',
      request: 'launch',
      name: 'Two guests',
      program: hello.fsPath,
      partitions: [{ name: 'one' }, { name: 'two' }],
      console: 'terminal',
    };
    const names = () => vscode.window.terminals.map(({ name }) => name).filter((name) => name.startsWith('Guest: '));
    for (let run = 0; run < 2; run++) {
      await vscode.debug.startDebugging(undefined, configuration);
      await adapter.nextStop();
      assert.deepEqual(names(), ['Guest: one', 'Guest: two']);
      assert.doesNotMatch(adapter.output.join(''), /Hello/);
      await stopDebugging();
    }
    for (const terminal of vscode.window.terminals) terminal.dispose();
    await eventually('the end of the terminals', () => (names().length === 0 ? true : undefined));
  });

  it('shows guest memory beside the source', async () => {
    await open(hello);
    await pressF5();
    await adapter.nextStop();
    await eventually('a frame', () => vscode.debug.activeStackItem);
    await vscode.commands.executeCommand('hyperscope.showMemory', '_start');
    const document = await eventually('the memory', () =>
      vscode.workspace.textDocuments.find(({ uri, getText }) => uri.scheme === 'hyperscope-memory' && getText().length > 0),
    );
    assert.match(document.getText(), /^0*100000 {2}48 /);
    await vscode.commands.executeCommand('workbench.action.closeAllEditors');
  });
});
