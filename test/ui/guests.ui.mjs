// Guests of other kinds, as a person debugs them in the window: a program in C by its source, and a page fault.
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openWindow, root } from './window.mjs';

const has = (tool) => spawnSync(tool, ['--version'], { stdio: 'ignore' }).status === 0;
const missing = ['gcc', 'make'].find((tool) => !has(tool));
const lineWith = (file, text) =>
  readFileSync(path.join(root, 'samples', file), 'utf8')
    .split('\n')
    .findIndex((line) => line.includes(text)) + 1;

let window;
beforeAll(async () => {
  window = await openWindow((workspace) => {
    if (!missing) execFileSync('make', ['-s', '-C', path.join(workspace, 'c')]);
  });
});
afterAll(() => window?.close());

/** Starts a configuration of the samples' launch.json by its name. */
async function start(configuration) {
  await window.quickOpen('Control+P', `debug ${configuration}`);
  await window.page.locator('.debug-top-stack-frame-line').first().waitFor();
  await window.press('Control+Shift+D', (timeout) => window.page.locator('.debug-call-stack').waitFor({ timeout }));
}

test.skipIf(missing)(
  `a C guest shows its call stack, arguments and locals${missing ? ` (skipped: no ${missing})` : ''}`,
  async () => {
    const { page } = window;
    await window.openFile('c', 'main.c');
    const line = lineWith('c/main.c', 'sum += task->ticks[i]');
    await window.setBreakpoint(line);
    await start('C guest');
    await page.keyboard.press('F5');
    await window.frame(`${line}:`).waitFor();
    await window.frame('main').waitFor();
    await window.variable('sum').waitFor();
    await window.variable('Arguments').click();
    await page.keyboard.press('ArrowRight');
    await window.variable('task').click();
    await page.keyboard.press('ArrowRight');
    await window.variable('priority').waitFor();
    expect((await window.frames()).join('\n')).toMatch(/total_ticks[\s\S]*main[\s\S]*_start/);
    await window.screenshot('6-c-guest');
    await window.stop();
  },
);

test('a guest exception stops before it is delivered and shows the page walk', async () => {
  const { page } = window;
  await start('Paging (bare hardware)');
  const filter = page.locator('.debug-breakpoints .monaco-list-row', { hasText: /^\s*Guest exception/ }).first();
  // The list is longer than its view, and only what is seen is there.
  await page.locator('.debug-breakpoints').hover();
  await page.mouse.wheel(0, 2000);
  await filter.locator('input[type=checkbox], .monaco-checkbox').first().click();
  await page.keyboard.press('F5');
  await page.locator('.exception-widget').waitFor();
  await expect.poll(() => page.locator('.exception-widget').textContent()).toMatch(/#PF[\s\S]*PML4/);
  await window.screenshot('7-page-fault');
  await window.stop();
});
