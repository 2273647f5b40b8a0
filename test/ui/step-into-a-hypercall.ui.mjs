// The flow that the README promises, as a person does it in the window: open a sample, F5, breakpoint, registers, Step Into on
// `vmcall`, Step Out. It leaves its screenshots in test-results/.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openWindow, root } from './window.mjs';

const vmcallLine =
  readFileSync(path.join(root, 'samples/kvm/hypercalls.asm'), 'utf8')
    .split('\n')
    .findIndex((line) => /^\s+vmcall/.test(line)) + 1;

let window;
beforeAll(async () => {
  window = await openWindow();
});
afterAll(() => window?.close());

test('F5, breakpoint, registers, Step Into on vmcall, Step Out', async () => {
  const { page } = window;
  await window.openFile('kvm', 'hypercalls.asm');
  // The status bar names the language once the extension is known.
  await page.locator('.statusbar-item', { hasText: 'Guest Assembly' }).waitFor();
  await window.setBreakpoint(vmcallLine);

  const pressed = Date.now();
  await page.keyboard.press('F5');
  await page.locator('.debug-top-stack-frame-line').first().waitFor();
  console.log(`F5 to the first stop in the window: ${Date.now() - pressed} ms`);
  await window.press('Control+Shift+D', (timeout) => window.variable('Registers').waitFor({ timeout }));
  await window.screenshot('1-first-stop');

  await page.keyboard.press('F5');
  await window.frame(`${vmcallLine}:1`).waitFor();
  await window.variable('rax').waitFor();
  await window.screenshot('2-breakpoint');

  await page.keyboard.press('F11');
  await window.frame('VM exit: VMCALL, reason 18').waitFor();
  expect((await window.frames()).join('\n')).toMatch(/kvm-intel: handle_vmcall[\s\S]*VM exit: VMCALL, reason 18[\s\S]*_start/);
  await page.locator('.tab', { hasText: 'hypercall.ts' }).waitFor();
  await window.screenshot('3-vm-exit');

  await page.keyboard.press('F11');
  await window.frame('kvm.ko: kvm_emulate_hypercall').waitFor();
  await window.variable('KVM_HC_SCHED_YIELD').waitFor();
  // The window takes the frames below a moment later.
  await window.frame('kvm-intel: handle_vmcall').waitFor();
  await window.screenshot('4-handler');

  await page.keyboard.press('Shift+F11');
  await window.frame('VM exit').waitFor({ state: 'detached' });
  await window.frame(`${vmcallLine + 1}:1`).waitFor();
  expect((await window.frames()).join(' ')).toMatch(/^_start\s+hypercalls\.asm\s+\d+:1$/);
  await window.screenshot('5-back-in-the-guest');
  await window.stop();
});
