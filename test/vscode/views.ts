import assert from 'node:assert/strict';
import * as vscode from 'vscode';
import { Adapter, eventually, sample, stopDebugging } from './support.ts';

const FOREVER = `bits 64
_start:
    xor eax, eax
    cpuid
    inc qword [counted]
    jmp _start
counted: dq 0
`;
const QUESTIONS = ['hyperscope/partitions', 'hyperscope/exits'] as const;
const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

describe('views', () => {
  const program = sample('forever.asm');
  const asked: string[] = [];
  const numberOf = (command: (typeof QUESTIONS)[number]) => asked.filter((one) => one === command).length;
  let adapter: Adapter;
  let tracking: vscode.Disposable;
  beforeEach(async () => {
    adapter = new Adapter();
    asked.length = 0;
    tracking = vscode.debug.registerDebugAdapterTrackerFactory('hyperscope', {
      createDebugAdapterTracker: () => ({ onWillReceiveMessage: ({ command }) => asked.push(command) }),
    });
    await vscode.workspace.fs.writeFile(program, new TextEncoder().encode(FOREVER));
    await vscode.debug.startDebugging(undefined, {
      type: 'hyperscope',
      request: 'launch',
      name: 'forever',
      program: program.fsPath,
    });
    await adapter.nextStop();
  });
  afterEach(async () => {
    await stopDebugging();
    tracking.dispose();
    adapter.dispose();
    await vscode.workspace.fs.delete(program);
  });

  for (const [view, question, hide] of [
    ['hyperscope.partitions', 'hyperscope/partitions', 'workbench.view.explorer'],
    ['hyperscope.exits', 'hyperscope/exits', 'workbench.action.closePanel'],
  ] as const)
    it(`${view} asks again and again while the guest runs, once at a stop, and nothing while it is hidden`, async () => {
      await vscode.commands.executeCommand(hide);
      await vscode.commands.executeCommand('workbench.action.debug.continue');
      await pause(1200);
      assert.equal(numberOf(question), 0, 'asked while hidden');
      await vscode.commands.executeCommand(`${view}.focus`);
      await eventually('three questions', () => numberOf(question) >= 3 || undefined);
      await vscode.commands.executeCommand('workbench.action.debug.pause');
      await adapter.nextStop();
      await pause(1000);
      const atStop = numberOf(question);
      await pause(1500);
      assert.equal(numberOf(question), atStop, 'asked while the guest stood still');
      await vscode.commands.executeCommand(hide);
      await vscode.commands.executeCommand('workbench.action.debug.continue');
      await pause(1000);
      const hidden = numberOf(question);
      await pause(1500);
      assert.equal(numberOf(question), hidden, 'asked while hidden again');
    });

  it('set a breakpoint on exits like one, once', async () => {
    await vscode.commands.executeCommand('workbench.action.debug.stepOver');
    await adapter.nextStop();
    await vscode.commands.executeCommand('workbench.action.debug.stepOver');
    await adapter.nextStop();
    await vscode.commands.executeCommand('hyperscope.exits.focus');
    // As the context menu calls it, once the table knows of the exit.
    const breakOn = (exit: number) => vscode.commands.executeCommand('hyperscope.exits.breakOnLikeThis', { exit });
    await eventually('a breakpoint', async () => {
      await breakOn(1);
      return vscode.debug.breakpoints.length > 0 || undefined;
    });
    await breakOn(1);
    await breakOn(99);
    await vscode.commands.executeCommand('workbench.action.closePanel');
    const names = vscode.debug.breakpoints.map(
      (one) => one instanceof vscode.FunctionBreakpoint && [one.functionName, one.condition],
    );
    assert.deepEqual(names, [['exit:cpuid', 'leaf == 0x0']]);
    await vscode.commands.executeCommand('workbench.action.debug.continue');
    assert.equal((await adapter.nextStop()).reason, 'breakpoint');
  });
});
