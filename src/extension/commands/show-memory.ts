import * as vscode from 'vscode';
import { hexDump } from '../hex-dump.ts';
import { Command, DEBUG_TYPE } from '../names.ts';

const SCHEME = 'hyperscope-memory';
const BYTES = 512;
/** A reference, or an address that says its space (docs/memory.md). */
const ADDRESS = /^(?:(?:gva|gpa):)?0x[0-9a-f]{1,22}$/i;

/** Shows guest memory as text in an editor beside the source, and brings it up to date at each stop. */
export function registerShowMemory(): vscode.Disposable {
  const changed = new vscode.EventEmitter<vscode.Uri>();
  const shown = new Set<string>();
  return vscode.Disposable.from(
    changed,
    vscode.workspace.registerTextDocumentContentProvider(SCHEME, {
      onDidChange: changed.event,
      provideTextDocumentContent: (uri) => dump(uri.path.slice(1)),
    }),
    vscode.workspace.onDidCloseTextDocument(({ uri }) => shown.delete(uri.toString())),
    vscode.debug.onDidChangeActiveStackItem(() => {
      for (const uri of shown) changed.fire(vscode.Uri.parse(uri));
    }),
    vscode.commands.registerCommand(Command.SHOW_MEMORY, async (from?: unknown) => {
      const reference = await memoryReference(from);
      if (reference === undefined) return;
      const uri = vscode.Uri.from({ scheme: SCHEME, path: `/${readable(reference)}` });
      shown.add(uri.toString());
      await vscode.window.showTextDocument(uri, { viewColumn: vscode.ViewColumn.Beside, preserveFocus: true, preview: false });
    }),
  );
}

/** Where to look: the variable that the command was chosen on, or what the user types: an address, or a register or symbol. */
async function memoryReference(from: unknown): Promise<string | undefined> {
  const session = activeSession();
  if (!session) {
    void vscode.window.showErrorMessage('No guest is being debugged; start one with F5, then look at its memory.');
    return undefined;
  }
  const given = typeof from === 'string' ? from : variableReference(from);
  const text =
    given ??
    (await vscode.window.showInputBox({
      title: 'Show Guest Memory',
      prompt: 'An address (0x7c00, gpa:0x1000), a register or a symbol',
      value: 'rsp',
    }));
  if (text === undefined || text.trim() === '') return undefined;
  if (ADDRESS.test(text.trim())) return text.trim();
  try {
    const item = vscode.debug.activeStackItem;
    const frameId = item && 'frameId' in item ? item.frameId : undefined;
    const answer: { readonly result: string; readonly memoryReference?: string } = await session.customRequest('evaluate', {
      expression: text,
      frameId,
      context: 'watch',
    });
    const reference = answer.memoryReference ?? /0x[0-9a-f]+/i.exec(answer.result)?.[0];
    if (reference !== undefined) return reference;
    void vscode.window.showErrorMessage(`"${text}" is ${answer.result}, which is no address.`);
  } catch (error) {
    void vscode.window.showErrorMessage(error instanceof Error ? error.message : String(error));
  }
  return undefined;
}

/** The argument of a command in the menu of a variable. */
function variableReference(from: unknown): string | undefined {
  if (typeof from !== 'object' || from === null || !('variable' in from)) return undefined;
  const { variable } = from;
  if (typeof variable !== 'object' || variable === null) return undefined;
  if ('memoryReference' in variable && typeof variable.memoryReference === 'string') return variable.memoryReference;
  return 'value' in variable && typeof variable.value === 'string' ? /0x[0-9a-f]+/i.exec(variable.value)?.[0] : undefined;
}

/** A reference as the title of an editor: physical addresses with their space in words. */
function readable(reference: string): string {
  const physical = /^0x0*1([0-9a-f]{16})$/i.exec(reference)?.[1];
  return physical === undefined ? reference : `gpa:0x${BigInt(`0x${physical}`).toString(16)}`;
}

function activeSession(): vscode.DebugSession | undefined {
  const session = vscode.debug.activeDebugSession;
  return session?.type === DEBUG_TYPE ? session : undefined;
}

async function dump(reference: string): Promise<string> {
  const session = activeSession();
  if (!session) return 'The guest has ended.\n';
  try {
    const answer: { readonly address: string; readonly data?: string; readonly unreadableBytes?: number } =
      await session.customRequest('readMemory', { memoryReference: reference, count: BYTES });
    const bytes = Buffer.from(answer.data ?? '', 'base64');
    const rest = bytes.length < BYTES ? `${reference}: the rest can't be read\n` : '';
    return `${hexDump(BigInt.asUintN(64, BigInt(answer.address)), bytes)}${rest}`;
  } catch (error) {
    return `${error instanceof Error ? error.message : String(error)}\n`;
  }
}
