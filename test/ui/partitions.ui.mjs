// Two partitions in one session: one call stack for both, one of them continued alone; one that may do less than the other.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
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

/** Makes hypercalls and reads the clock chip, for ever. */
const ASK = `bits 64
_start:
again:
    mov eax, 11             ; KVM_HC_SCHED_YIELD
    xor ebx, ebx
    vmcall
    in al, 0x71
    mov ecx, 2000000
work:
    dec ecx
    jnz work
    jmp again
`;

let window;
beforeAll(async () => {
  window = await openWindow((workspace) => {
    writeFileSync(path.join(workspace, 'work.asm'), WORK);
    const partitions = [{ name: 'server', vcpus: 2 }, { name: 'client' }];
    const program = `\${workspaceFolder}/work.asm`;
    const launch = { type: 'hyperscope', request: 'launch', name: 'Two guests', program, partitions };
    writeFileSync(path.join(workspace, 'ask.asm'), ASK);
    const limited = { name: 'limited', privileges: ['usual', '-hypercalls'], ports: ['0x3f8..0x3ff', '0x604..0x605'] };
    const asking = { ...launch, name: 'One that may less', program: `\${workspaceFolder}/ask.asm`, stopOnEntry: false };
    const configurations = [launch, { ...asking, partitions: [{ name: 'usual' }, limited] }];
    mkdirSync(path.join(workspace, '.vscode'), { recursive: true });
    writeFileSync(path.join(workspace, '.vscode/launch.json'), JSON.stringify({ version: '0.2.0', configurations }, null, 2));
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

test('what a partition may not do is said, counted and completed', async () => {
  const { page } = window;
  await window.quickOpen('Control+P', 'debug One that may less');
  await page.locator('.debug-toolbar').waitFor();
  const said = page.locator('.repl .monaco-list-row', { hasText: 'limited: vCPU 0 of partition 2 was refused to make vmcall' });
  await said.first().waitFor();
  expect(await said.first().textContent()).toContain('it needs the privilege hypercalls, to call the hypervisor');
  await window.press('Control+Shift+D', (timeout) => page.locator('.debug-call-stack').waitFor({ timeout }));
  const partitions = await window.openView('Partitions');
  await window.widenSideBar(560);
  await partitions.row('usual').waitFor();
  await partitions.row('usual').click();
  await page.keyboard.press('ArrowLeft');
  await partitions.unfold('refused requests');
  await expect
    .poll(() => partitions.row('hypercalls').textContent())
    .toMatch(/hypercalls\d+\s+vCPU 0: to make vmcall KVM_HC_SCHED_YIELD/);
  await partitions.unfold('privileges');
  await partitions.row('I/O ports').waitFor();
  await window.screenshots('12-privileges');
  await window.stop();

  await window.quickOpen('Control+P', 'launch.json');
  await page.locator('.tab.active', { hasText: 'launch.json' }).waitFor();
  const lines = readFileSync(path.join(window.workspace, '.vscode/launch.json'), 'utf8').split('\n');
  const line = lines.findIndex((text) => text.trim() === '"usual",');
  await window.quickOpen('Control+G', `:${line + 1}:${lines[line].length + 1}`);
  await window.focusEditor();
  await page.keyboard.type(' ');
  const offered = page.locator('.suggest-widget .monaco-list-row', { hasText: '"-power"' });
  await window.press('Control+Space', (timeout) => offered.first().waitFor({ timeout }));
  await window.screenshot('12-privileges-completion');
});
