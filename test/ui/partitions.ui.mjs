// Two partitions in one session: one call stack for both, a breakpoint that is bound to one, one of them continued alone.
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { openWindow } from './window.mjs';

const WORK = `bits 64
_start:
    mov ebx, 0
again:
    call work
    inc ebx
    jmp again
work:
    mov ecx, 20000
.spin:
    dec ecx
    jnz .spin
    ret
`;

let window;
beforeAll(async () => {
  window = await openWindow((workspace) => {
    writeFileSync(path.join(workspace, 'work.asm'), WORK);
    const partitions = [{ name: 'server', vcpus: 2 }, { name: 'client' }];
    const program = `\${workspaceFolder}/work.asm`;
    const launch = { type: 'hyperscope', request: 'launch', name: 'Two guests', program, partitions };
    mkdirSync(path.join(workspace, '.vscode'), { recursive: true });
    writeFileSync(path.join(workspace, '.vscode/launch.json'), JSON.stringify({ version: '0.2.0', configurations: [launch] }));
  });
});
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await window?.screenshot('failed partitions');
});
afterAll(() => window?.close());

test('all vCPUs are in one call stack, and each partition moves as the user chooses', async () => {
  const { page } = window;
  await window.openFile('work.asm');
  await page.locator('.statusbar-item', { hasText: 'Guest Assembly' }).waitFor();
  await window.quickOpen('Control+P', 'debug Two guests');
  await page.locator('.debug-top-stack-frame-line').first().waitFor();
  await window.press('Control+Shift+D', (timeout) => page.locator('.debug-call-stack').waitFor({ timeout }));
  await expect
    .poll(async () => (await window.frames()).join('\n'))
    .toMatch(/server: vCPU 0[\s\S]*server: vCPU 1[\s\S]*client: vCPU 0/);
  await window.screenshot('9-partitions-at-entry');

  await window.frame('client: vCPU 0').click({ button: 'right' });
  const item = page.locator('.monaco-menu .action-item', { hasText: 'Continue This vCPU Only' }).first();
  await item.waitFor();
  // A menu takes no click in the moment in which it opens.
  await page.waitForTimeout(700);
  await item.click();
  await expect.poll(() => window.frame('client: vCPU 0').textContent()).toMatch(/running/i);
  expect(await window.frame('server: vCPU 0').textContent()).not.toMatch(/running/i);
  await window.screenshot('9-partitions-one-runs');
  await window.stop();
});
