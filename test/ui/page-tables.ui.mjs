// The Page Tables view, as a person uses it: a page that the guest has unmapped is looked up, its entry is unfolded, and the view follows
// when the guest maps it again.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, expect, test } from 'vitest';
import { openWindow, root } from './window.mjs';

const source = readFileSync(path.join(root, 'samples/bare/paging.asm'), 'utf8').split('\n');
const lineOf = (text) => source.findIndex((line) => line.includes(text)) + 1;

let window;
afterEach(() => window?.close());
afterAll(() => {
  window = undefined;
});

test('shows how an address is translated, and follows the guest', async () => {
  window = await openWindow();
  const { page } = window;
  await window.openFile('bare', 'paging.asm');
  await page.locator('.statusbar-item', { hasText: 'Guest Assembly' }).waitFor();
  await window.setBreakpoint(lineOf('mov dword [TARGET], 42'));
  await window.setBreakpoint(lineOf('mov eax, [TARGET]'));
  await window.quickOpen('Control+P', 'debug Paging (bare hardware)');
  await page.locator('.debug-top-stack-frame-line').first().waitFor();
  await window.press('Control+Shift+D', (timeout) => page.locator('.debug-call-stack').waitFor({ timeout }));
  await page.keyboard.press('F5');
  await window.frame(`${lineOf('mov dword [TARGET], 42')}:`).waitFor();

  await window.openView('Page Tables');
  await window.widenSideBar(640);
  await window.row('rip').waitFor();
  await window.quickOpen('F1', '>Hyperscope: Look up in Page Tables');
  await page.waitForTimeout(500);
  await page.locator('.quick-input-widget input').first().fill('0x600000');
  await page.keyboard.press('Enter');
  const target = window.row('0x600000');
  await target.waitFor();
  expect(await target.textContent()).toContain('The PD entry is not present.');
  await target.click();
  await page.keyboard.press('ArrowRight');
  await window.row('PDE 3').waitFor();
  await window.row('PDPTE 0').click();
  await page.keyboard.press('ArrowRight');
  await window.row('U/S').waitFor();
  await window.screenshot('8-page-tables-unmapped');

  await page.keyboard.press('F5');
  await window.row('→ gpa 0x600000').waitFor();
  // What was unfolded still is.
  await window.row('U/S').waitFor();
  await window.row('Accesses').click();
  await page.keyboard.press('ArrowRight');
  await window.row('User write').waitFor();
  expect(await window.row('User write').textContent()).toContain('#PF(0x7)');
  await window.screenshots('9-page-tables');

  await window.quickOpen('F1', '>Hyperscope: Show Address Map');
  await page.locator('.tab', { hasText: 'Address Map' }).waitFor();
  await page.locator('.monaco-editor .view-line', { hasText: 'rwx' }).first().waitFor();
  await window.screenshots('10-address-map');
  await window.stop();
});

test('shows the second-level tables below those of a KVM guest', async () => {
  window = await openWindow();
  const { page } = window;
  await window.openFile('kvm', 'hypercalls.asm');
  await page.locator('.statusbar-item', { hasText: 'Guest Assembly' }).waitFor();
  await page.keyboard.press('F5');
  await page.locator('.debug-top-stack-frame-line').first().waitFor();
  await window.press('Control+Shift+D', (timeout) => page.locator('.debug-call-stack').waitFor({ timeout }));
  await window.openView('Page Tables');
  await window.widenSideBar(760);
  await window.row('rip').click();
  await page.keyboard.press('ArrowRight');
  await window.row('EPT').click();
  await page.keyboard.press('ArrowRight');
  await window.row('EPTP').waitFor();
  expect(await window.row('EPT').textContent()).toMatch(/→ spa 0x[0-9a-f]+/);
  await window.screenshots('14-second-level');
  await window.stop();
});
