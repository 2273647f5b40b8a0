import assert from 'node:assert/strict';
import * as vscode from 'vscode';
import { EXTENSION_ID, open, sample } from './support.ts';

describe('activation', () => {
  it('follows from opening guest assembly', async () => {
    const extension = vscode.extensions.getExtension(EXTENSION_ID);
    assert(extension, 'the extension is there');
    const editor = await open(sample('hello/hello.asm'));
    assert.equal(editor.document.languageId, 'hyperscope-asm');
    await extension.activate();
    assert(extension.isActive);
  });

  it('brings the commands that package.json promises', async () => {
    const known = new Set(await vscode.commands.getCommands(true));
    const { contributes } = vscode.extensions.getExtension(EXTENSION_ID)?.packageJSON ?? {};
    const promised = contributes.commands.map(({ command }: { command: string }) => command);
    assert(promised.length >= 6);
    assert.deepEqual(
      promised.filter((command: string) => !known.has(command)),
      [],
    );
  });

  it('opens a sample by its name', async () => {
    await vscode.commands.executeCommand('hyperscope.openSample', 'kvm/hypercalls.asm');
    assert.match(vscode.window.activeTextEditor?.document.fileName ?? '', /hypercalls\.asm$/);
  });
});
