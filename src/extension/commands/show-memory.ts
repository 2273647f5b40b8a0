import * as vscode from 'vscode';
import { hexDump } from '../hex-dump.ts';
import { activeGuest, LiveDocuments, selectedFrame } from '../live-documents.ts';
import { Command } from '../names.ts';

const SCHEME = 'hyperscope-memory';
const BYTES = 512;
/** A reference, or an address that says its space (docs/memory.md). */
const ADDRESS = /^(?:(?:gva|gpa):)?0x[0-9a-f]{1,22}$/i;

/** Shows guest memory as text in an editor beside the source, and brings it up to date at each stop. */
export function registerShowMemory(): vscode.Disposable {
  const documents = new LiveDocuments(SCHEME, dump);
  return vscode.Disposable.from(
    documents,
    vscode.commands.registerCommand(Command.SHOW_MEMORY, async (from?: unknown) => {
      const reference = await memoryReference(from);
      if (reference !== undefined) await documents.show(readable(reference));
    }),
  );
}

/** Where to look: the variable that the command was chosen on, or what the user types: an address, or a register or symbol. */
async function memoryReference(from: unknown): Promise<string | undefined> {
  const session = activeGuest('No guest is being debugged; start one with F5, then look at its memory.');
  if (!session) return undefined;
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
    const answer: { readonly result: string; readonly memoryReference?: string } = await session.customRequest('evaluate', {
      expression: text,
      frameId: selectedFrame(),
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

/** The argument of a command in the menu of a variable, or of a row of a view that has a reference. */
function variableReference(from: unknown): string | undefined {
  if (typeof from !== 'object' || from === null) return undefined;
  const variable = 'variable' in from ? from.variable : from;
  if (typeof variable !== 'object' || variable === null) return undefined;
  if ('memoryReference' in variable && typeof variable.memoryReference === 'string') return variable.memoryReference;
  return 'value' in variable && typeof variable.value === 'string' ? /0x[0-9a-f]+/i.exec(variable.value)?.[0] : undefined;
}

/** A reference as the title of an editor: physical addresses with their space in words. */
function readable(reference: string): string {
  const physical = /^0x0*1([0-9a-f]{16})$/i.exec(reference)?.[1];
  return physical === undefined ? reference : `gpa:0x${BigInt(`0x${physical}`).toString(16)}`;
}

async function dump(reference: string): Promise<string> {
  const session = activeGuest();
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
