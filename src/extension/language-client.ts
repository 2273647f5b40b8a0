import * as vscode from 'vscode';
import { LanguageClient, TransportKind } from 'vscode-languageclient/node';
import { LANGUAGE } from './names.ts';

/** Starts the language server as a process of its own, and stops it with the extension. */
export async function startLanguageClient(context: vscode.ExtensionContext): Promise<void> {
  const module = vscode.Uri.joinPath(context.extensionUri, 'dist', 'language-server.js').fsPath;
  const client = new LanguageClient(
    'hyperscope',
    'Hyperscope Language Server',
    { module, transport: TransportKind.ipc },
    { documentSelector: [{ language: LANGUAGE }] },
  );
  context.subscriptions.push({ dispose: () => void client.stop().catch(() => undefined) });
  await client.start();
}
