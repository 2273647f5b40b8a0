import path from 'node:path';
import * as vscode from 'vscode';
import { Command } from '../names.ts';

/** One file for each sample: what is to be debugged, or of a sample with a Makefile the file to read first. */
const SAMPLE_FILE = /(\.asm|^main\.c)$/;
const COPIES = 'hyperscope-samples';

interface SampleItem extends vscode.QuickPickItem {
  readonly uri: vscode.Uri;
}

/** Lets the user choose a sample, and opens a copy of it in the workspace, or the original where no folder is open. */
export function registerOpenSample({ extensionUri }: vscode.ExtensionContext): vscode.Disposable {
  const samples = vscode.Uri.joinPath(extensionUri, 'samples');
  return vscode.commands.registerCommand(Command.OPEN_SAMPLE, async (name?: string) => {
    const items = await listSamples(samples);
    const chosen =
      typeof name === 'string'
        ? items.find(({ label }) => label === name)
        : await vscode.window.showQuickPick(items, { title: 'Open a Hyperscope Sample', matchOnDetail: true });
    if (!chosen) return;
    try {
      await vscode.window.showTextDocument(await placeInWorkspace(samples, chosen.uri));
    } catch (error) {
      void vscode.window.showErrorMessage(
        `The sample ${chosen.label} could not be opened: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  });
}

/** One item a program, with what the comment on its top begins with. */
async function listSamples(samples: vscode.Uri): Promise<SampleItem[]> {
  const items: SampleItem[] = [];
  for (const [group, type] of await vscode.workspace.fs.readDirectory(samples)) {
    if (type !== vscode.FileType.Directory) continue;
    const folder = vscode.Uri.joinPath(samples, group);
    for (const [file] of await vscode.workspace.fs.readDirectory(folder)) {
      if (!SAMPLE_FILE.test(file)) continue;
      const uri = vscode.Uri.joinPath(folder, file);
      items.push({ label: `${group}/${file}`, detail: await firstComment(uri), uri });
    }
  }
  return items.sort((a, b) => a.label.localeCompare(b.label));
}

async function firstComment(uri: vscode.Uri): Promise<string> {
  const text = new TextDecoder().decode(await vscode.workspace.fs.readFile(uri));
  const lines = text.split('\n').map((line) => line.replace(/^\s*(?:;+|\/\*+|\*+|\/\/+)\s*/, '').replace(/\s*\*\/\s*$/, ''));
  return lines.find((line) => line.trim() !== '') ?? '';
}

/**
 * A sample's whole folder is copied, since a sample may include files beside it. A copy that is there already stays: the
 * user may have changed it.
 */
async function placeInWorkspace(samples: vscode.Uri, sample: vscode.Uri): Promise<vscode.Uri> {
  const folder = vscode.workspace.workspaceFolders?.[0];
  const isInside = folder && !path.relative(folder.uri.fsPath, sample.fsPath).startsWith('..');
  if (!folder || isInside) return vscode.Uri.file(sample.fsPath);
  const relative = path.relative(samples.fsPath, sample.fsPath).split(path.sep).join('/');
  const copies = vscode.Uri.joinPath(folder.uri, COPIES);
  const target = vscode.Uri.joinPath(copies, relative);
  const group = path.posix.dirname(relative);
  const copy = vscode.Uri.joinPath(copies, group);
  if (!(await exists(copy))) await vscode.workspace.fs.copy(vscode.Uri.joinPath(samples, group), copy);
  else if (!(await exists(target))) await vscode.workspace.fs.copy(sample, target);
  return target;
}

async function exists(uri: vscode.Uri): Promise<boolean> {
  try {
    await vscode.workspace.fs.stat(uri);
    return true;
  } catch {
    return false;
  }
}
