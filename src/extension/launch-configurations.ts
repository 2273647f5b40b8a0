import path from 'node:path';
import * as vscode from 'vscode';
import { ASSEMBLY_FILE, ASSEMBLY_GLOB, Command, DEBUG_TYPE, LANGUAGE } from './names.ts';

const MAX_DYNAMIC = 50;
const NOT_GUESTS = '**/{node_modules,dist,build,out}/**';

/** A configuration for a program. `program` may have variables such as `${file}`. */
export function launchConfiguration(name: string, program: string, more: object = {}): vscode.DebugConfiguration {
  return { type: DEBUG_TYPE, request: 'launch', name, program, ...more };
}

export function registerLaunchConfigurations(): vscode.Disposable {
  const { Initial, Dynamic } = vscode.DebugConfigurationProviderTriggerKind;
  return vscode.Disposable.from(
    vscode.debug.registerDebugConfigurationProvider(DEBUG_TYPE, { provideDebugConfigurations: initial }, Initial),
    vscode.debug.registerDebugConfigurationProvider(DEBUG_TYPE, { provideDebugConfigurations: dynamic }, Dynamic),
    vscode.debug.registerDebugConfigurationProvider(DEBUG_TYPE, { resolveDebugConfiguration: resolve }),
  );
}

/** What a new launch.json begins with. */
function initial(): vscode.DebugConfiguration[] {
  return [launchConfiguration('Debug the open guest program', `\${file}`)];
}

/** One configuration for each guest program of the workspace, for "Run and Debug" → "Hyperscope…". */
async function dynamic(folder: vscode.WorkspaceFolder | undefined): Promise<vscode.DebugConfiguration[]> {
  if (!folder) return initial();
  const pattern = new vscode.RelativePattern(folder, ASSEMBLY_GLOB);
  const files = await vscode.workspace.findFiles(pattern, NOT_GUESTS, MAX_DYNAMIC);
  const names = files.map(({ fsPath }) => path.relative(folder.uri.fsPath, fsPath)).sort();
  return names.map((name) => launchConfiguration(name, `\${workspaceFolder}/${name.split(path.sep).join('/')}`));
}

/** Fills in what F5 without a launch.json leaves open. Undefined: nothing is started, and the user has read why. */
async function resolve(
  _folder: vscode.WorkspaceFolder | undefined,
  configuration: vscode.DebugConfiguration,
): Promise<vscode.DebugConfiguration | undefined> {
  const isEmpty = !configuration.type && !configuration.request && !configuration.name;
  // "Run Without Debugging" stops nowhere, the entry included.
  if (!isEmpty) return { console: 'auto', ...configuration, ...(configuration.noDebug ? { stopOnEntry: false } : {}) };
  const document = vscode.window.activeTextEditor?.document;
  if (!document || !isGuestProgram(document)) {
    const what = document ? `${path.basename(document.fileName)} is not a guest program` : 'No guest program is open';
    void offerSample(`${what}. Open an .asm file, or name a program in launch.json.`);
    return undefined;
  }
  if (document.isUntitled) {
    void vscode.window.showErrorMessage('Save this file first; a guest program is read from disk.');
    return undefined;
  }
  if (document.isDirty && !(await document.save())) {
    void vscode.window.showErrorMessage(`${path.basename(document.fileName)} could not be saved; mend that, then start again.`);
    return undefined;
  }
  const more = { console: 'auto', ...(configuration.noDebug ? { noDebug: true, stopOnEntry: false } : {}) };
  return launchConfiguration(`Debug ${path.basename(document.fileName)}`, document.uri.fsPath, more);
}

export function isGuestProgram(document: vscode.TextDocument): boolean {
  if (document.isUntitled) return document.languageId === LANGUAGE;
  return ASSEMBLY_FILE.test(document.fileName) || (document.languageId === LANGUAGE && !document.fileName.endsWith('.S'));
}

async function offerSample(sentence: string): Promise<void> {
  const open = 'Open a Sample';
  if ((await vscode.window.showErrorMessage(sentence, open)) === open) await vscode.commands.executeCommand(Command.OPEN_SAMPLE);
}
