import assert from 'node:assert/strict';
import * as vscode from 'vscode';
import { eventually, lineOf, open, sample } from './support.ts';

const text = (hover: vscode.Hover) =>
  hover.contents.map((content) => (typeof content === 'string' ? content : content.value)).join('\n');

describe('language server', () => {
  const uri = sample('kvm/hypercalls.asm');
  let position: vscode.Position;

  before(async () => {
    await open(uri);
    const line = lineOf(uri, /^\s+vmcall/) - 1;
    position = new vscode.Position(line, 6);
    await eventually('the language server', async () => {
      const hovers = await vscode.commands.executeCommand<vscode.Hover[]>('vscode.executeHoverProvider', uri, position);
      return hovers.length > 0 ? hovers : undefined;
    });
  });

  it('tells of an instruction under the cursor', async () => {
    const hovers = await vscode.commands.executeCommand<vscode.Hover[]>('vscode.executeHoverProvider', uri, position);
    assert.match(hovers.map(text).join('\n'), /vmcall[\s\S]*hypercall/);
  });

  it('completes instructions and registers', async () => {
    const list = await vscode.commands.executeCommand<vscode.CompletionList>(
      'vscode.executeCompletionItemProvider',
      uri,
      position,
    );
    const labels = list.items.map(({ label }) => (typeof label === 'string' ? label : label.label));
    assert(labels.includes('vmcall') && labels.includes('cpuid'), labels.slice(0, 20).join(' '));
  });

  it('goes to a definition, and finds references', async () => {
    const line = lineOf(uri, /call print\b/) - 1;
    const at = new vscode.Position(line, (await open(uri)).document.lineAt(line).text.indexOf('print') + 1);
    const definitions = await vscode.commands.executeCommand<vscode.Location[]>('vscode.executeDefinitionProvider', uri, at);
    assert.equal(definitions[0]?.range.start.line, lineOf(uri, /^print:/) - 1);
    const references = await vscode.commands.executeCommand<vscode.Location[]>('vscode.executeReferenceProvider', uri, at);
    assert(references.length >= 2);
  });

  it('renames a label everywhere, and refuses a word of the assembler', async () => {
    const at = new vscode.Position(lineOf(uri, /^print:/) - 1, 1);
    const rename = (name: string) =>
      vscode.commands.executeCommand<vscode.WorkspaceEdit>('vscode.executeDocumentRenameProvider', uri, at, name);
    const edits = (await rename('write_text')).get(uri);
    assert(edits.length >= 2 && edits.every(({ newText }) => newText === 'write_text'));
    await assert.rejects(Promise.resolve(rename('rax')), /word of the assembler/);
  });

  it('leaves sources of the GNU assembler alone', async () => {
    const gnu = sample('c/start.S');
    await open(gnu);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    assert.deepEqual(vscode.languages.getDiagnostics(gnu), []);
  });

  it('shows labels in the outline', async () => {
    const symbols = await vscode.commands.executeCommand<vscode.DocumentSymbol[]>('vscode.executeDocumentSymbolProvider', uri);
    assert(symbols.some(({ name }) => name === '_start'));
  });

  it('finds errors while one types, and forgets them when they are mended', async () => {
    const editor = await open(uri);
    assert.deepEqual(vscode.languages.getDiagnostics(uri), []);
    await editor.edit((edit) => edit.insert(new vscode.Position(position.line, 0), '    mov rax, nowhere\n'));
    const found = await eventually('a diagnostic', () => vscode.languages.getDiagnostics(uri)[0]);
    assert.match(found.message, /nowhere/);
    assert.equal(found.range.start.line, position.line);
    await vscode.commands.executeCommand('undo');
    await eventually('no diagnostic', () => (vscode.languages.getDiagnostics(uri).length === 0 ? true : undefined));
    await vscode.commands.executeCommand('workbench.action.files.revert');
  });
});
