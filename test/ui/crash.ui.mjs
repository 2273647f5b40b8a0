// A guest that crashes: what the window tells of it, and the report saved through the editor's own dialog.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { openWindow } from './window.mjs';

/** Has a handler of page faults, but a stack that isn't mapped and no gate for double faults. */
const CRASH = `bits 64
_start:
    xor eax, eax
    cpuid                       ; a VM exit before the crash
    lea rax, [rel page_fault]
    mov [rel idt + 14*16], ax
    mov word [rel idt + 14*16 + 2], cs
    mov byte [rel idt + 14*16 + 5], 0x8e
    shr rax, 16
    mov [rel idt + 14*16 + 6], ax
    lidt [rel register]
    mov rsp, 0x7f0000000000     ; nothing is mapped there
store:
    mov rbx, 0x600000000000
    mov [rbx + 8], rax
    hlt
page_fault:
    hlt
register: dw 0xfff
    dq idt
align 16
idt: times 4096 db 0
`;
const STORE = CRASH.split('\n').findIndex((line) => line.includes('mov [rbx + 8], rax')) + 1;

let window;
beforeAll(async () => {
  window = await openWindow((workspace) => writeFileSync(path.join(workspace, 'crash.asm'), CRASH));
});
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await window?.screenshot('failed crash');
});
afterAll(() => window?.close());

test('a triple fault is explained where it began, and its report is saved', async () => {
  const { page } = window;
  await window.openFile('crash.asm');
  await window.startFile();
  await page.keyboard.press('F5');
  // At the instruction whose fault was the first, with the state before it.
  await window
    .frame(`crash.asm:${STORE}`)
    .or(window.frame(`${STORE}:`))
    .first()
    .waitFor();
  const widget = page.locator('.exception-widget');
  await widget.waitFor();
  await expect.poll(() => widget.textContent()).toMatch(/met a triple fault at RIP 0x[0-9a-f]+ \(store\+0xa, crash\.asm:\d+\)/);
  const story = await widget.textContent();
  for (const part of [
    'then #DF',
    'The last VM exits before it:',
    'cpuid 0x0.0x0',
    'The frame would be pushed at 0x7effffffffd0',
    'which is no gate in long mode',
    'PML4',
  ])
    expect(story).toContain(part);
  await window.screenshots('11-crash');

  const toast = page.locator('.notification-toast', { hasText: 'met a triple fault' });
  await toast.locator('.monaco-button', { hasText: 'Save Crash Report' }).click();
  const input = page.locator('.quick-input-widget input').first();
  await input.waitFor();
  await expect.poll(() => input.inputValue()).toContain('crash.md');
  await window.screenshot('11-crash-save');
  await page.keyboard.press('Enter');
  await page.locator('.tab.active', { hasText: 'crash.md' }).waitFor();
  const file = path.join(window.workspace, 'crash.md');
  expect(existsSync(file)).toBe(true);
  const report = readFileSync(file, 'utf8');
  for (const part of [
    '# Hyperscope crash report',
    'met a triple fault',
    '1. **#PF(0x2) at 0x600000000008',
    '2. **#DF(0)**',
    '3. **Triple fault**',
    '## Registers before the first fault',
    /rsp {5}0x00007f0000000000/,
    '## Page walks',
    /## Last VM exits[\s\S]*cpuid/i,
    'state hash',
  ])
    expect(report).toMatch(part);
  await window.screenshot('11-crash-report');

  // The guest goes on to its end, and the report of that is offered as a command still.
  await page.keyboard.press('F5');
  await page.locator('.debug-toolbar').waitFor({ state: 'hidden' });
  await window.quickOpen('F1', '>Hyperscope: Save Crash Report');
  await input.waitFor();
  await expect.poll(() => input.inputValue()).toContain('crash.md');
  await input.fill(path.join(window.workspace, 'again.md'));
  await page.keyboard.press('Enter');
  await page.locator('.tab.active', { hasText: 'again.md' }).waitFor();
  expect(readFileSync(path.join(window.workspace, 'again.md'), 'utf8')).toBe(report);
});
