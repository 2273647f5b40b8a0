import * as vscode from 'vscode';
import { Command, DEBUG_TYPE } from '../names.ts';

/**
 * Steps by one instruction wherever the focus is. VS Code itself asks for this granularity only while its Disassembly View
 * has the focus.
 */
export function registerStepInstruction(): vscode.Disposable {
  return vscode.Disposable.from(
    vscode.commands.registerCommand(Command.STEP_INSTRUCTION, () => step('stepIn')),
    vscode.commands.registerCommand(Command.STEP_OVER_INSTRUCTION, () => step('next')),
  );
}

async function step(request: 'stepIn' | 'next'): Promise<void> {
  const session = vscode.debug.activeDebugSession;
  if (session?.type !== DEBUG_TYPE) {
    void vscode.window.showErrorMessage('No guest is being debugged; start one with F5.');
    return;
  }
  const threadId = vscode.debug.activeStackItem?.threadId ?? (await firstThread(session));
  if (threadId === undefined) return;
  try {
    await session.customRequest(request, { threadId, granularity: 'instruction', announce: true });
  } catch (error) {
    void vscode.window.showErrorMessage(error instanceof Error ? error.message : String(error));
  }
}

async function firstThread(session: vscode.DebugSession): Promise<number | undefined> {
  const { threads }: { threads: readonly { readonly id: number }[] } = await session.customRequest('threads');
  return threads[0]?.id;
}
