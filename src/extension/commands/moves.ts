import * as vscode from 'vscode';
import { Command, DEBUG_TYPE } from '../names.ts';

/** Who goes on and who stops together, and motions of one vCPU alone. */
export function registerMoves(): vscode.Disposable {
  return vscode.Disposable.from(
    vscode.commands.registerCommand(Command.CONTINUE_ALONE, (thread: unknown) => moveAlone('continue', thread)),
    vscode.commands.registerCommand(Command.STEP_ALONE, (thread: unknown) => moveAlone('next', thread)),
    vscode.commands.registerCommand(Command.CHOOSE_MOVES, choose),
  );
}

function guestSession(): vscode.DebugSession | undefined {
  const session = vscode.debug.activeDebugSession;
  if (session?.type === DEBUG_TYPE) return session;
  void vscode.window.showErrorMessage('No guest is being debugged; start one with F5.');
  return undefined;
}

/** `thread`: the id of the one whose context menu was used, in the call stack; the selected one without it. */
async function moveAlone(request: 'continue' | 'next', thread: unknown): Promise<void> {
  const session = guestSession();
  if (!session) return;
  const threadId = typeof thread === 'number' ? thread : vscode.debug.activeStackItem?.threadId;
  if (threadId === undefined) {
    void vscode.window.showErrorMessage('No vCPU is selected; choose one in the call stack.');
    return;
  }
  await ask(session, request, { threadId, singleThread: true, announce: true });
}

const CHOICES = [
  { label: 'All partitions', description: 'everything goes on and stops together', scope: 'all' },
  { label: 'One partition', description: 'the vCPUs of a partition go on and stop together', scope: 'partition' },
  { label: 'One vCPU', description: 'each vCPU goes on and stops alone', scope: 'vcpu' },
] as const;

async function choose(): Promise<void> {
  const session = guestSession();
  if (!session) return;
  const now: { readonly scope?: string } | undefined = await ask(session, 'hyperscope/moves', {});
  if (!now) return;
  const items = CHOICES.map((choice) => ({
    ...choice,
    picked: choice.scope === now.scope,
    iconPath: icon(choice.scope === now.scope),
  }));
  const choice = await vscode.window.showQuickPick(items, { title: 'Who moves when you continue, step or pause a vCPU?' });
  if (choice) await ask(session, 'hyperscope/moves', { scope: choice.scope });
}

const icon = (isNow: boolean) => (isNow ? new vscode.ThemeIcon('check') : undefined);

/** Undefined when it can't be done; the user has read why. */
async function ask<T>(session: vscode.DebugSession, request: string, parameters: object): Promise<T | undefined> {
  try {
    return await session.customRequest(request, parameters);
  } catch (error) {
    void vscode.window.showErrorMessage(error instanceof Error ? error.message : String(error));
    return undefined;
  }
}
