import path from 'node:path';
import * as vscode from 'vscode';
import { Command, DEBUG_TYPE } from '../names.ts';

const SAVE = 'Save Crash Report…';

/** The body of the adapter's event `hyperscope/crash`, which comes before the session ends. */
interface Crash {
  readonly kind: string;
  readonly title: string;
  readonly markdown: string;
}

/** Saves what the debugger knows of a crash as Markdown, and offers to when a guest crashes. */
export function registerCrashReport(): vscode.Disposable {
  /** Of the guest that ended last: its session can't be asked any more. */
  let last: string | undefined;
  const offer = async (title: string, markdown: () => Promise<string | undefined>) => {
    const text = markdown();
    if ((await vscode.window.showErrorMessage(title, SAVE)) === SAVE) await save(await text);
  };
  return vscode.Disposable.from(
    vscode.commands.registerCommand(Command.SAVE_CRASH_REPORT, async (target?: unknown) => {
      const session = vscode.debug.activeDebugSession;
      const text = session?.type === DEBUG_TYPE ? await ask(session, true) : last;
      if (text !== undefined) await save(text, target instanceof vscode.Uri ? target : undefined);
      else if (session?.type !== DEBUG_TYPE)
        void vscode.window.showErrorMessage('No guest has crashed; there is nothing to report.');
    }),
    vscode.debug.onDidReceiveDebugSessionCustomEvent(({ session, event, body }) => {
      if (session.type !== DEBUG_TYPE || event !== 'hyperscope/crash' || !isCrash(body)) return;
      const { kind, title, markdown } = body;
      last = markdown;
      // A halt is how many guests end; a fault that stopped the guest was offered there.
      if (kind === 'crash' || kind === 'internal-error') void offer(title, async () => markdown);
    }),
    vscode.debug.registerDebugAdapterTrackerFactory(DEBUG_TYPE, {
      createDebugAdapterTracker: (session) => ({
        onDidSendMessage: (message: unknown) => {
          const title = crashStop(message);
          if (title !== undefined) void offer(title, () => ask(session, false));
        },
      }),
    }),
  );
}

function isCrash(body: unknown): body is Crash {
  return (
    typeof body === 'object' &&
    body !== null &&
    'kind' in body &&
    'title' in body &&
    'markdown' in body &&
    typeof body.markdown === 'string'
  );
}

/** What a stop says that no guest goes on from; undefined for any other message. */
function crashStop(message: unknown): string | undefined {
  if (
    typeof message !== 'object' ||
    message === null ||
    !('event' in message) ||
    message.event !== 'stopped' ||
    !('body' in message)
  )
    return undefined;
  const { body } = message;
  if (typeof body !== 'object' || body === null || !('description' in body) || !('text' in body)) return undefined;
  const isEnd = body.description === 'VM exit: triple-fault' || body.description === 'Unhandled exception';
  return isEnd && typeof body.text === 'string' ? body.text : undefined;
}

/** The report of a session that stands at a crash. */
async function ask(session: vscode.DebugSession, complain: boolean): Promise<string | undefined> {
  try {
    const { markdown }: { readonly markdown: string } = await session.customRequest('hyperscope/crashReport');
    return markdown;
  } catch (error) {
    if (complain) void vscode.window.showErrorMessage(error instanceof Error ? error.message : String(error));
    return undefined;
  }
}

/** Writes a report where the user says, and shows it. */
async function save(text: string | undefined, given?: vscode.Uri): Promise<void> {
  if (text === undefined) return;
  const folder = vscode.workspace.workspaceFolders?.[0]?.uri.fsPath;
  const target =
    given ??
    (await vscode.window.showSaveDialog({
      title: 'Save Crash Report',
      defaultUri: folder === undefined ? undefined : vscode.Uri.file(path.join(folder, 'crash.md')),
      filters: { Markdown: ['md'] },
    }));
  if (!target) return;
  try {
    await vscode.workspace.fs.writeFile(target, new TextEncoder().encode(text));
    await vscode.window.showTextDocument(target);
  } catch (error) {
    void vscode.window.showErrorMessage(
      `The crash report could not be saved: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}
