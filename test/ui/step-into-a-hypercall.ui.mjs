// The flow that the README promises, as a person does it in the window: open a sample, F5, breakpoint, registers, Step Into on
// `vmcall`, Step Out. It leaves its screenshots in test-results/.
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launchBrowser } from '../../tools/vscode-host/browser.mjs';
import { registerExtension, startServer, workbenchUrl } from '../../tools/vscode-host/server.mjs';

const root = path.resolve(import.meta.dirname, '../..');
const results = path.join(root, 'test-results');
const sample = path.join(root, 'samples/kvm/hypercalls.asm');
const vmcallLine =
  readFileSync(sample, 'utf8')
    .split('\n')
    .findIndex((line) => /^\s+vmcall/.test(line)) + 1;

let folder;
let server;
let browser;
let page;

beforeAll(async () => {
  mkdirSync(results, { recursive: true });
  folder = mkdtempSync(path.join(tmpdir(), 'hyperscope-ui-'));
  const workspace = path.join(folder, 'samples');
  cpSync(path.join(root, 'samples'), workspace, { recursive: true });
  const extensionsFolder = path.join(folder, 'extensions');
  registerExtension(extensionsFolder, root);
  server = await startServer({ dataFolder: path.join(folder, 'vscode'), extensionsFolder });
  browser = await launchBrowser();
  page = await browser.newPage({ viewport: { width: 1400, height: 900 } });
  page.setDefaultTimeout(30_000);
  await page.goto(workbenchUrl(server, { workspace }));
});

afterAll(async () => {
  await browser?.close();
  await server?.stop();
  if (folder) rmSync(folder, { recursive: true, force: true });
});

const screenshot = (name) => page.screenshot({ path: path.join(results, `${name}.png`) });
const frames = () => page.locator('.debug-call-stack .monaco-list-row').allInnerTexts();

/** Presses a key until what it should bring is there: the workbench may still be getting ready. */
async function press(key, ready) {
  for (let attempt = 0; ; attempt++) {
    await page.keyboard.press(key);
    try {
      return await ready(attempt < 3 ? 5000 : 20_000);
    } catch (error) {
      if (attempt === 3) throw error;
    }
  }
}

async function quickOpen(key, text) {
  await press(key, (timeout) => page.locator('.quick-input-widget input').waitFor({ timeout }));
  await page.locator('.quick-input-widget input').fill(text);
  await page.waitForTimeout(500);
  await page.keyboard.press('Enter');
}

test('F5, breakpoint, registers, Step Into on vmcall, Step Out', async () => {
  const explorer = (name) => page.locator('.explorer-folders-view .monaco-list-row', { hasText: name }).first();
  await explorer('kvm').click();
  await explorer('hypercalls.asm').dblclick();
  await page.locator('.monaco-editor .view-line').first().waitFor();
  // The status bar names the language once the extension is known.
  await page.locator('.statusbar-item', { hasText: 'Guest Assembly' }).waitFor();
  await quickOpen('Control+G', `:${vmcallLine}`);
  await page.locator('.monaco-editor textarea, .monaco-editor .native-edit-context').first().focus();
  await press('F9', (timeout) => page.locator('.codicon-debug-breakpoint').first().waitFor({ timeout }));

  const pressed = Date.now();
  await page.keyboard.press('F5');
  await page.locator('.debug-top-stack-frame-line').first().waitFor();
  console.log(`F5 to the first stop in the window: ${Date.now() - pressed} ms`);
  await press('Control+Shift+D', (timeout) =>
    page.locator('.debug-variables .monaco-list-row', { hasText: 'Registers' }).first().waitFor({ timeout }),
  );
  await screenshot('1-first-stop');

  await page.keyboard.press('F5');
  await page.locator('.debug-call-stack .monaco-list-row', { hasText: `${vmcallLine}:1` }).waitFor();
  await page.locator('.debug-variables .monaco-list-row', { hasText: 'rax' }).first().waitFor();
  await screenshot('2-breakpoint');

  await page.keyboard.press('F11');
  await page.locator('.debug-call-stack .monaco-list-row', { hasText: 'VM exit: VMCALL, reason 18' }).waitFor();
  const inside = (await frames()).join('\n');
  expect(inside).toMatch(/kvm-intel: handle_vmcall[\s\S]*VM exit: VMCALL, reason 18[\s\S]*_start/);
  await page.locator('.tab', { hasText: 'hypercall.ts' }).waitFor();
  await screenshot('3-vm-exit');

  await page.keyboard.press('F11');
  await page.locator('.debug-call-stack .monaco-list-row', { hasText: 'kvm_emulate_hypercall' }).waitFor();
  await page.locator('.debug-variables .monaco-list-row', { hasText: 'KVM_HC_SCHED_YIELD' }).waitFor();
  await screenshot('4-handler');

  await page.keyboard.press('Shift+F11');
  await page.locator('.debug-call-stack .monaco-list-row', { hasText: 'VM exit' }).waitFor({ state: 'detached' });
  await page.locator('.debug-call-stack .monaco-list-row', { hasText: `${vmcallLine + 1}:1` }).waitFor();
  expect((await frames()).join(' ')).toMatch(/^_start\s+hypercalls\.asm\s+\d+:1$/);
  await screenshot('5-back-in-the-guest');

  await page.keyboard.press('Shift+F5');
  await page.locator('.debug-toolbar').waitFor({ state: 'hidden' });
});
