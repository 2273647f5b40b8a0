import path from 'node:path';
import * as vscode from 'vscode';
import { launchConfiguration } from '../launch-configurations.ts';
import { Command } from '../names.ts';

/** The buttons in an editor's title: debug the file that it shows, or run it without stopping. */
export function registerDebugFile(): vscode.Disposable {
  const start = (noDebug: boolean) => async (uri?: vscode.Uri) => {
    const target = uri ?? vscode.window.activeTextEditor?.document.uri;
    if (!target) {
      void vscode.window.showErrorMessage('No file is open; open a guest program first.');
      return;
    }
    const name = path.basename(target.fsPath);
    const configuration = launchConfiguration(`${noDebug ? 'Run' : 'Debug'} ${name}`, target.fsPath);
    await vscode.debug.startDebugging(vscode.workspace.getWorkspaceFolder(target), configuration, { noDebug });
  };
  return vscode.Disposable.from(
    vscode.commands.registerCommand(Command.DEBUG_FILE, start(false)),
    vscode.commands.registerCommand(Command.RUN_FILE, start(true)),
  );
}
