// The memory of a variable in other people's memory editors, with their own code. Neither extension is on npm; build a checkout and name
// its folder: HYPERSCOPE_HEX_EDITOR (github.com/microsoft/vscode-hexeditor), HYPERSCOPE_MEMORY_INSPECTOR
// (github.com/eclipse-cdt-cloud/vscode-memory-inspector). test/adapter/memory-editors.test.ts has the requests that they make.
import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { openWindow } from './window.mjs';

const built = (variable, file) => {
  const folder = process.env[variable];
  return folder !== undefined && existsSync(path.join(folder, file)) ? path.resolve(folder) : undefined;
};
const hexEditor = built('HYPERSCOPE_HEX_EDITOR', 'dist/editor.js');
const inspector = built('HYPERSCOPE_MEMORY_INSPECTOR', 'dist/views/memory.js');
const why = (folder, variable) => (folder === undefined ? ` (skipped: ${variable} names no build of it)` : '');

let window;
afterEach(() => window?.close());

const GUEST = `bits 64
_start:
    mov rdi, data
    nop                         ; here the editor opens
    mov bl, [rdi]
    mov byte [rdi + 1], 0xaa
    nop                         ; here it has followed
    hlt
section .data
data: db 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17
`;
const lineOf = (text) => GUEST.split('\n').findIndex((line) => line.includes(text)) + 1;

/** A guest that stands with rdi at its data, and the row of rdi. */
async function stopped(extension) {
  window = await openWindow((workspace) => writeFileSync(path.join(workspace, 'memory.asm'), GUEST), { extensions: [extension] });
  const { page } = window;
  await window.openFile('memory.asm');
  await page.locator('.statusbar-item', { hasText: 'Guest Assembly' }).waitFor();
  await window.setBreakpoint(lineOf('here the editor opens'));
  await window.setBreakpoint(lineOf('here it has followed'));
  await page.keyboard.press('F5');
  await page.locator('.debug-top-stack-frame-line').first().waitFor();
  await window.press('Control+Shift+D', (timeout) => window.variable('Registers').waitFor({ timeout }));
  await page.keyboard.press('F5');
  await window.frame(`${lineOf('here the editor opens')}:`).waitFor();
  await window.openView('Variables');
  if ((await window.variable('Registers').getAttribute('aria-expanded')) !== 'true') await window.variable('Registers').click();
  await window.variable('rdi').waitFor();
  return window.variable('rdi');
}

test.skipIf(!hexEditor)(
  `the Hex Editor opens, edits and follows a register's memory${why(hexEditor, 'HYPERSCOPE_HEX_EDITOR')}`,
  async () => {
    const rdi = await stopped(hexEditor);
    const { page } = window;
    // The symbol is there while the row is pointed at, and the view may draw its rows anew meanwhile.
    for (let attempt = 0; (await page.locator('iframe.webview').count()) === 0; attempt++) {
      await rdi.hover({ position: { x: 20 + attempt, y: 8 } });
      const failure = await rdi
        .getByLabel('View Binary Data')
        .first()
        .click({ timeout: 3000 })
        .then(
          () => undefined,
          (error) => error,
        );
      if (failure && attempt === 5) throw failure;
      await page.waitForTimeout(1000);
    }
    const editor = page.frameLocator('iframe.webview').frameLocator('#active-frame');
    const cell = (text) => editor.locator('span', { hasText: new RegExp(`^${text}$`, 'i') }).first();
    await cell('17').waitFor();
    await cell('10').click();
    // It begins in a mode that inserts, which memory can't.
    await page.keyboard.press('Insert');
    await page.locator('.statusbar-item', { hasText: 'Replace' }).waitFor();
    await page.keyboard.type('ff');
    await page.keyboard.press('Control+S');
    await cell('FF').waitFor();
    await window.screenshot('11-hex-editor');
    // For five seconds after a save it takes changes for its own.
    await page.waitForTimeout(5500);
    await page.locator('.tab', { hasText: 'memory.asm' }).click();
    await page.keyboard.press('F5');
    await cell('AA').waitFor();
    await expect.poll(() => window.variable('rbx').textContent(), { timeout: 10_000 }).toMatch(/ff$/);
    await window.stop();
  },
);

async function showInInspector(variable) {
  const { page } = window;
  await variable.click({ button: 'right' });
  const item = page.locator('.monaco-menu .action-label', { hasText: 'Show in Memory Inspector' });
  await item.hover();
  // A menu takes no clicks in its first moment.
  await page.waitForTimeout(700);
  await item.click();
}

test.skipIf(!inspector)(
  `the Memory Inspector shows a register's memory, and physical memory${why(inspector, 'HYPERSCOPE_MEMORY_INSPECTOR')}`,
  async () => {
    const rdi = await stopped(inspector);
    const { page } = window;
    await showInInspector(rdi);
    const group = (text, panel = 0) =>
      page
        .frameLocator(`iframe.webview >> nth=${panel}`)
        .frameLocator('#active-frame')
        .locator('.byte-group', { hasText: new RegExp(`^${text}$`, 'i') })
        .first();
    await group('17').waitFor();
    // Its table doesn't draw the same rows again in some builds, so each look is a new one.
    await page.locator('.repl-input-wrapper .monaco-editor').click();
    await page.keyboard.type('byte [rdi] = 0xff');
    await page.keyboard.press('Enter');
    await page.locator('.repl .monaco-list-row', { hasText: '0xff (255)' }).waitFor();
    await showInInspector(rdi);
    await page.locator('.tab.active', { hasText: 'Memory 2' }).waitFor();
    await group('ff', 1).waitFor();
    await page.locator('.tab', { hasText: 'memory.asm' }).click();
    await page.keyboard.press('F5');
    await expect.poll(() => window.variable('rbx').textContent(), { timeout: 10_000 }).toMatch(/ff$/);
    await showInInspector(rdi);
    await page.locator('.tab.active', { hasText: 'Memory 3' }).waitFor();
    await group('aa', 2).waitFor();
    await window.screenshot('12-memory-inspector');
    await window.variable('Registers').click();
    await window.variable('Control registers').click();
    await showInInspector(window.variable('cr3'));
    await page.locator('.tab.active', { hasText: 'Memory 4' }).waitFor();
    await group('00', 3).waitFor();
    await window.screenshot('13-memory-inspector-physical');
    await window.stop();
  },
);
