// An unmodified Linux kernel in the window: F5 with a breakpoint on a function of a module that the guest has yet to load.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { debugGuest } from '../linux/debug-guest.ts';
import { openWindow } from './window.mjs';

/** A kernel needs half a minute to its modules on a busy machine. */
const BOOT = 240_000;

const folder = mkdtempSync(path.join(tmpdir(), 'hyperscope-ui-linux-'));
const guest = debugGuest(folder, 'image');
let window;
beforeAll(async () => {
  if ('reason' in guest) return;
  window = await openWindow((workspace) => {
    const configuration = { type: 'hyperscope', request: 'launch', name: 'Linux', program: guest.program, ...guest.options };
    mkdirSync(path.join(workspace, '.vscode'), { recursive: true });
    writeFileSync(
      path.join(workspace, '.vscode/launch.json'),
      JSON.stringify({ version: '0.2.0', configurations: [configuration] }),
    );
  });
});
afterAll(async () => {
  await window?.close();
  rmSync(folder, { recursive: true, force: true });
});

test.skipIf('reason' in guest)(
  `F5 with a breakpoint on virtblk_probe stops in the module, with the stack down to main${'reason' in guest ? ` (skipped: ${guest.reason})` : ''}`,
  async () => {
    const { page } = window;
    await window.quickOpen('Control+Shift+P', '>Add Function Breakpoint');
    const name = page.locator('.debug-breakpoints .monaco-inputbox input').first();
    await name.waitFor();
    await name.fill('virtblk_probe');
    await name.press('Enter');
    await page.locator('.debug-breakpoints .monaco-list-row', { hasText: 'virtblk_probe' }).waitFor();

    await window.quickOpen('Control+P', 'debug Linux');
    await window.frame('virtblk_probe').waitFor({ timeout: BOOT });
    await window.screenshot('linux-kernel-stop');
    // With room for the whole stack.
    const { row } = await window.openView('Call Stack');
    await row('main').waitFor();
    expect((await window.frames()).join('\n')).toMatch(/virtblk_probe[\s\S]*do_init_module[\s\S]*do_syscall_64[\s\S]*main/);
    await window.screenshot('linux-kernel');
    await window.stop();
  },
  BOOT + 120_000,
);
