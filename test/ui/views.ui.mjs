// The views of the hypervisor's side: Partitions and VM Exits, on a guest that stands still and on one that runs.
import { rmSync, writeFileSync } from 'node:fs';
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
  if (task.result?.state !== 'fail') return;
  await window.screenshot(`failed ${task.name.slice(0, 40)}`);
  if (await window.page.locator('.debug-toolbar').isVisible()) await window.stop();
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

const THEMES = [
  ['dark', 'Default Dark Modern', '.vs-dark'],
  ['high-contrast', 'Default High Contrast', '.hc-black'],
  ['high-contrast-light', 'Default High Contrast Light', '.hc-light'],
  ['light', 'Default Light Modern', '.vs'],
];

/** Takes a picture in each theme; the last one stays. */
async function pictures(name) {
  for (const [theme, label, shown] of THEMES) {
    writeFileSync(path.join(folder, '.vscode/settings.json'), JSON.stringify({ 'workbench.colorTheme': label }));
    await window.page.locator(`.monaco-workbench${shown}`).waitFor();
    await window.screenshot(`${name}-${theme}`);
  }
}
const numberIn = async (locator) => Number((await locator.textContent()).replaceAll(/\D/g, ''));
const line = (text) => ROUNDS.split('\n').findIndex((one) => one.includes(text)) + 1;
const stoppedAt = (text) => window.page.locator('.statusbar-item', { hasText: `Ln ${line(text)}, Col 1` });

test('the table of VM exits follows a guest that runs, until a row is selected or scrolled to', async () => {
  const { page } = window;
  await showRounds();
  await window.startFile();
  const exits = await window.openExits();
  await exits.frame.locator('#empty', { hasText: 'No VM exit yet.' }).waitFor();
  await page.keyboard.press('F5');
  await exits.row('vmcall KVM_HC_SCHED_YIELD').waitFor();
  const newest = exits.rows.first().locator('.cell').first();
  const before = await numberIn(newest);
  await expect.poll(() => numberIn(newest)).toBeGreaterThan(before);
  // Many rows, few of them in the page.
  const rowCount = async () => Number(await exits.grid.getAttribute('aria-rowcount'));
  await expect.poll(rowCount, { timeout: 20_000 }).toBeGreaterThan(90);
  expect(await exits.rows.count()).toBeLessThan(40);

  await exits.rows.nth(2).click();
  await exits.follow.waitFor();
  const held = await exits.rows.first().textContent();
  await expect.poll(() => exits.follow.textContent()).toMatch(/newer/);
  expect(await exits.rows.first().textContent()).toBe(held);
  await exits.follow.click();
  await exits.follow.waitFor({ state: 'hidden' });
  await exits.frame.locator('#body').evaluate((body) => {
    body.scrollTop = 1000;
  });
  await exits.follow.waitFor();
  await expect.poll(async () => Number(await exits.rows.first().getAttribute('aria-rowindex'))).toBeGreaterThan(30);
  await exits.follow.click();
  await exits.follow.waitFor({ state: 'hidden' });
  await pictures('9-vm-exits');
  await window.stop();
});

test('the table of VM exits groups, sorts and filters, and stays so when it is hidden or the window is loaded anew', async () => {
  const { page } = window;
  await showRounds();
  await window.startFile();
  await page.keyboard.press('F5');
  let exits = await window.openExits();
  await exits.groupBy('reason');
  await exits.row(/^\s*io/).waitFor();
  expect(await exits.grid.getAttribute('role')).toBe('treegrid');
  await exits.row(/^\s*io/).click();
  await exits.row('print+').waitFor();
  const count = exits
    .row(/^\s*io/)
    .locator('.cell')
    .nth(1);
  const before = await numberIn(count);
  await expect.poll(() => numberIn(count)).toBeGreaterThan(before);
  await pictures('9-vm-exits-grouped');
  await page.keyboard.press('ArrowLeft');
  await exits.row('print+').waitFor({ state: 'detached' });
  await exits.frame.locator('[data-sort=instructions]').click();
  await exits.frame.locator('[aria-sort=ascending]', { hasText: 'Instructions' }).waitFor();
  await expect.poll(() => exits.rows.first().textContent()).toMatch(/^cpuid/);

  await window.quickOpen('F1', '>Hyperscope: Filter VM Exits');
  await expect.poll(() => exits.filter.evaluate((input) => input === document.activeElement)).toBe(true);
  await page.keyboard.type('prot=0x3f8');
  await exits.frame.locator('#problem', { hasText: 'did you mean port?' }).waitFor();
  await exits.filter.fill('');
  await page.keyboard.type('reas');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await page.keyboard.type('hyp');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  expect(await exits.filter.inputValue()).toBe('reason=hypercall');
  await expect.poll(() => exits.rows.count()).toBe(1);

  await page.keyboard.press('Control+j');
  await page.locator('.part.panel').waitFor({ state: 'hidden' });
  await page.keyboard.press('Control+j');
  await expect.poll(() => exits.filter.inputValue()).toBe('reason=hypercall');
  await exits.row(/^\s*hypercall/).waitFor();
  await window.stop();

  await page.reload();
  await page.locator('.tab', { hasText: 'rounds.asm' }).click();
  await window.startFile();
  exits = await window.openExits();
  await expect.poll(() => exits.filter.inputValue()).toBe('reason=hypercall');
  expect(await exits.frame.locator('#group-by').inputValue()).toBe('reason');
  await exits.frame.locator('[aria-sort=ascending]', { hasText: 'Instructions' }).waitFor();
  await window.stop();
});

test('the table of VM exits shows names of guests as they are', async () => {
  const attack = '<img src=x onerror=document.title=1>';
  const program = path.join(folder, `${attack}.asm`);
  writeFileSync(program, ROUNDS);
  const partitions = ['front', 'back'].map((name) => ({ name, program }));
  const configuration = { type: 'hyperscope', request: 'launch', name: 'attack', partitions };
  writeFileSync(path.join(folder, '.vscode/launch.json'), JSON.stringify({ configurations: [configuration] }));
  await showRounds();
  await window.startFile();
  const exits = await window.openExits();
  await exits.groupBy('');
  await exits.filter.fill('');
  await window.page.keyboard.press('F5');
  await exits.row(attack).waitFor();
  expect(await exits.frame.locator('img').count()).toBe(0);
  expect(await exits.frame.locator('title').textContent()).toBe('VM Exits');
  await window.screenshot('10-exits-of-partitions');
  await window.stop();
});

test('the table of VM exits leads to the guest, to the handler and to a breakpoint, by pointer and keyboard', async () => {
  const { page } = window;
  await showRounds();
  rmSync(path.join(folder, '.vscode/launch.json'), { force: true });
  await window.setBreakpoint(line('cpuid'));
  await window.startFile();
  await page.keyboard.press('F5');
  const exits = await window.openExits();
  // The newest one is the last of three on the serial port.
  await expect.poll(() => exits.count.textContent()).toBe('4 exits');
  await exits.row('vmcall').click();
  await stoppedAt('vmcall').waitFor();
  await page.keyboard.press('ArrowUp');
  await page.keyboard.press('Enter');
  await stoppedAt('out dx, al').waitFor();
  await page.keyboard.press('End');
  await exits.frame.locator('.row.selected', { hasText: 'vmcall' }).waitFor();
  await page.keyboard.press('Home');
  await page.keyboard.press('Control+Enter');
  await page.locator('.tab.active', { hasText: 'io.ts' }).waitFor();
  await window.screenshot('10-exit-handler');

  await exits.row('vmcall').click({ button: 'right' });
  const menu = page.locator('.monaco-menu');
  await menu.locator('.action-item', { hasText: 'Break on Exits Like This' }).waitFor();
  await window.screenshot('10-exit-menu');
  await menu.locator('.action-item', { hasText: 'Break on Exits Like This' }).click();
  const breakpoints = await window.openView('Breakpoints');
  // Set, and known to the adapter: a guest that goes on before that would stop elsewhere.
  await breakpoints
    .row('hypercall:KVM_HC_SCHED_YIELD')
    .locator('.codicon-debug-breakpoint-function')
    .waitFor({ state: 'attached' });
  await exits.row('vmcall').hover();
  await exits.row('vmcall').locator('[data-action=goToHandler]').click();
  await page.locator('.tab.active', { hasText: 'hypercall' }).waitFor();
  await page.keyboard.press('F5');
  await window.openView('Call Stack');
  await window.frame('VM exit: VMCALL').waitFor();
  await window.stop();
});
