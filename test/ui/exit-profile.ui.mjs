// The Exit Profile: the charts of a run, and two runs side by side.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { openWindow } from './window.mjs';

/** Exits of three kinds, how many of each by the count of rounds, then the end. */
const program = (rounds) => `bits 64
_start:
    mov r12d, ${rounds}
again:
    mov eax, 11             ; KVM_HC_SCHED_YIELD
    xor ebx, ebx
    vmcall
    mov dx, 0x3f8
    mov al, '.'
    out dx, al
    mov edi, r12d
    and edi, 7
more:
    xor eax, eax
    cpuid
    dec edi
    jns more
    mov ecx, 3000
work:
    dec ecx
    jnz work
    dec r12d
    jnz again
    mov dx, 0x604
    mov ax, 0x2000
    out dx, ax
    hlt
`;

let window;
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await window.screenshot(`failed ${task.name.slice(0, 40)}`);
  await window?.close();
});

/** The page of the profile, in its frames. */
const profile = () => window.page.frameLocator('iframe.webview.ready').frameLocator('iframe#active-frame');

/** Starts the open file, and runs it from its entry to its end. */
async function runFile() {
  await window.startFile();
  await window.page.keyboard.press('F5');
  await window.page.locator('.debug-toolbar').waitFor({ state: 'hidden' });
}

test('the Exit Profile shows runs side by side', async () => {
  const settings = { 'workbench.editor.empty.hint': 'hidden' };
  window = await openWindow(
    (workspace) => {
      writeFileSync(path.join(workspace, 'few.asm'), program(150));
      writeFileSync(path.join(workspace, 'many.asm'), program(400));
    },
    { settings },
  );
  await window.openFile('few.asm');
  await runFile();
  await window.quickOpen('F1', '>Hyperscope: Show Exit Profile');
  const few = profile().locator('section.run', { hasText: 'few.asm' });
  await few.locator('svg rect').first().waitFor();
  await expect.poll(() => few.locator('tbody tr').first().textContent()).toMatch(/^cpuid/);
  await window.quickOpen('Control+P', 'many.asm');
  await window.page.locator('.tab.active', { hasText: 'many.asm' }).waitFor();
  await runFile();
  await profile().locator('section.run', { hasText: 'many.asm' }).waitFor();
  const rows = await profile().locator('.comparison tbody tr').allTextContents();
  expect(rows.find((row) => row.startsWith('hypercall'))).toMatch(/^hypercall150400 ×2\.67$/);
  await window.screenshots('9-exit-profile');
  await few.locator('button').press('Enter');
  await few.waitFor({ state: 'detached' });
  expect(await profile().locator('section.run').count()).toBe(1);
});
