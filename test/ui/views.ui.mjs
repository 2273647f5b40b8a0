// The views of the side bar: Partitions and VM Exits, on a guest that stands still and on one that runs.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { openWindow } from './window.mjs';

/** Leaves the guest in several ways, for ever. */
const ROUNDS = `bits 64
_start:
again:
    mov eax, 11             ; KVM_HC_SCHED_YIELD
    xor ebx, ebx
    vmcall
    mov ecx, 3
print:
    mov dx, 0x3f8
    mov al, '.'
    out dx, al
    dec ecx
    jnz print
    xor eax, eax
    cpuid
    mov ecx, 2000000
work:
    dec ecx
    jnz work
    jmp again
`;

let window;
let folder;
beforeAll(async () => {
  window = await openWindow((workspace) => {
    folder = workspace;
    writeFileSync(path.join(workspace, 'rounds.asm'), ROUNDS);
  });
});
afterEach(async ({ task }) => {
  // What the window shows says more than the message.
  if (task.result?.state === 'fail') await window.screenshot(`failed ${task.name.slice(0, 40)}`);
});
afterAll(() => window?.close());

/** Shows the guest's source, also when the side bar shows no files any more. */
async function showRounds() {
  const tab = window.page.locator('.tab', { hasText: 'rounds.asm' });
  if ((await tab.count()) > 0) await tab.first().click();
  else await window.openFile('rounds.asm');
}

test('the Partitions view shows vCPUs and devices, live and by keyboard', async () => {
  const { page } = window;
  await showRounds();
  await window.startFile();
  const partitions = await window.openView('Partitions');
  await partitions.row('rounds').waitFor();
  await partitions.unfold('vCPUs');
  await partitions.row('vCPU 0').waitFor();
  await expect.poll(() => partitions.row('vCPU 0').textContent()).toMatch(/0x10[0-9a-f]{4}\s+running, 64-bit code/);
  const before = await partitions.row('vCPU 0').textContent();

  await page.keyboard.press('F5');
  await expect.poll(() => partitions.row('rounds').textContent()).toContain('running');
  // What is unfolded stays so, and has other values.
  await expect.poll(() => partitions.row('vCPU 0').textContent()).not.toBe(before);
  await window.screenshots('8-partitions');
  await window.stop();
});

test('the VM Exits view follows a guest that runs', async () => {
  const { page } = window;
  await showRounds();
  await window.startFile();
  const exits = await window.openView('VM Exits');
  await exits.pane.locator('.message', { hasText: 'No VM exit yet.' }).waitFor();
  await page.keyboard.press('F5');
  const numberOf = async (text) =>
    Number(/([\d,]+)\s+[\d.]+%/.exec(await exits.row(text).textContent())?.[1].replaceAll(',', ''));
  await exits.unfold('hypercall');
  const before = await numberOf('hypercall');
  await expect.poll(() => numberOf('hypercall')).toBeGreaterThan(before);
  await exits.row('vmcall KVM_HC_SCHED_YIELD').waitFor();
  for (const [name, theme, shown] of [
    ['dark', 'Default Dark Modern', '.vs-dark'],
    ['high-contrast', 'Default High Contrast', '.hc-black'],
    ['light', 'Default Light Modern', '.vs'],
  ]) {
    writeFileSync(path.join(folder, '.vscode/settings.json'), JSON.stringify({ 'workbench.colorTheme': theme }));
    await page.locator(`.monaco-workbench${shown}`).waitFor();
    await window.screenshot(`9-vm-exits-${name}`);
  }
  await window.stop();
});

test('the VM Exits view groups and filters, and leads to the guest, to the handler and to a breakpoint', async () => {
  const { page } = window;
  const line = (text) => ROUNDS.split('\n').findIndex((one) => one.includes(text)) + 1;
  await showRounds();
  await window.setBreakpoint(line('cpuid'));
  await window.startFile();
  await page.keyboard.press('F5');
  const exits = await window.openView('VM Exits');
  await expect.poll(() => exits.row('io').textContent()).toMatch(/io3\s+75\.0%\s+after \d+ instructions/);
  await exits.unfold('io');
  await exits.row('out 0x3f8').waitFor();
  // The newest record, by keyboard: to the instruction, then to the handler.
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await page.locator('.statusbar-item', { hasText: `Ln ${line('out dx, al')}, Col 1` }).waitFor();
  await exits.row('out 0x3f8').click();
  await page.keyboard.press('Control+Enter');
  await page.locator('.tab.active', { hasText: 'io.ts' }).waitFor();
  await window.screenshot('10-exit-handler');

  await exits.row('vmcall').waitFor({ state: 'detached' });
  await window.quickOpen('F1', '>Hyperscope: Group VM Exits By');
  await window.pick('hypercall');
  await exits.row('KVM_HC_SCHED_YIELD').waitFor();
  await window.quickOpen('F1', '>Hyperscope: Filter VM Exits');
  const input = page.locator('.quick-input-widget input').first();
  await input.fill('prot=0x3f8');
  await page.locator('.quick-input-message', { hasText: 'did you mean port?' }).waitFor();
  await input.fill('port=0x3f8');
  await page.keyboard.press('Enter');
  await exits.pane.locator('.tree-explorer-viewlet-tree-view .message', { hasText: 'No exit with a hypercall' }).waitFor();
  await window.quickOpen('F1', '>Hyperscope: Show All VM Exits');
  await exits.unfold('KVM_HC_SCHED_YIELD');
  await exits.row('vmcall KVM_HC_SCHED_YIELD').waitFor();
  await exits.row('vmcall KVM_HC_SCHED_YIELD').hover();
  await exits.row('vmcall KVM_HC_SCHED_YIELD').locator('[aria-label^="Break on Exits Like This"]').click();
  // Set, and known to the adapter: a guest that goes on before that would stop elsewhere.
  const breakpoints = await window.openView('Breakpoints');
  await breakpoints
    .row('hypercall:KVM_HC_SCHED_YIELD')
    .locator('.codicon-debug-breakpoint-function')
    .waitFor({ state: 'attached' });
  await page.keyboard.press('F5');
  await window.openView('Call Stack');
  await window.frame('VM exit: VMCALL').waitFor();
  await window.stop();
});
