// Debian's kernel with a shell in a terminal of the editor: lines, control keys and a full-screen program, to its power-off.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { initramfs } from '../linux/initramfs.ts';
import { debianBusybox, debianKernel } from '../linux/kernel.ts';
import { openWindow, root } from './window.mjs';

const BOOT = 240_000;

const [kernel, busybox] = [debianKernel(), debianBusybox()];
const reason = kernel.reason ?? busybox.reason;
if (reason) console.log(`skipped: ${reason}`);

let window;
beforeAll(async () => {
  if (reason) return;
  const settings = { 'terminal.integrated.gpuAcceleration': 'off', 'accessibility.support': 'off' };
  window = await openWindow(
    (workspace) => {
      const programs = [
        { name: 'init', bytes: readFileSync(path.join(root, 'test/linux/shell-init.sh')) },
        { name: 'busybox', bytes: readFileSync(busybox.path) },
        { name: 'modules', bytes: new Uint8Array(0) },
      ];
      writeFileSync(path.join(workspace, 'initramfs.cpio'), initramfs(programs));
      const append = 'console=ttyS0 panic=-1 cryptomgr.notests rdinit=/init quiet';
      const options = { program: kernel.image, initrd: `\${workspaceFolder}/initramfs.cpio`, append, stopOnEntry: false };
      const launch = { type: 'hyperscope', request: 'launch', name: 'Linux', ...options };
      mkdirSync(path.join(workspace, '.vscode'), { recursive: true });
      const text = JSON.stringify({ version: '0.2.0', configurations: [launch] }, null, 2);
      writeFileSync(path.join(workspace, '.vscode/launch.json'), text);
    },
    { settings },
  );
});
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await window?.screenshot('failed linux shell');
});
afterAll(() => window?.close());

/** What the terminal in front shows, without spaces at the ends of lines and empty lines at its end. */
async function shown() {
  const rows = await window.page.locator('.terminal-wrapper.active .xterm-rows > div').allInnerTexts();
  return rows
    .map((row) => row.replaceAll('\u00a0', ' ').trimEnd())
    .join('\n')
    .trimEnd();
}

const shows = (text, timeout = 30_000) => expect.poll(shown, { timeout }).toMatch(text);

test.skipIf(reason)(
  'a shell works in it',
  async () => {
    const { page } = window;
    const { keyboard } = page;
    await window.openFile('hello', 'hello.asm');
    await page.locator('.statusbar-item', { hasText: 'Guest Assembly' }).waitFor();
    await window.quickOpen('Control+P', 'debug Linux');
    await page.locator('.debug-toolbar').waitFor();
    await shows(/guest# $|guest#$/, BOOT);
    await page.locator('.terminal-wrapper.active .xterm').click();
    await keyboard.type('echo $((6 * 7)) äöü\n');
    await shows(/\n42 äöü\nguest#$/);
    await keyboard.type('sleep 1000\n');
    await page.waitForTimeout(500);
    await keyboard.press('Control+C');
    await shows(/sleep 1000\n\^C\nguest#$/);
    await keyboard.type('vi /tmp-file\n');
    // Its last line may say instead that the terminal's answer to a question of vi's came late.
    await shows(/~\n~\n~\n/);
    await keyboard.type('ione\ntwo');
    await keyboard.press('Escape');
    await shows(/^one\ntwo\n~\n/);
    await window.screenshot('13-linux-vi');
    await keyboard.type(':wq\n');
    await shows(/guest#$/);
    await keyboard.type('cat /tmp-file; uname -r\n');
    await shows(/\none\ntwo\n6\.\S+\nguest#$/);
    await window.screenshot('13-linux-shell');
    await keyboard.type('poweroff -f\n');
    await shows(/The guest has ended\.$/);
    await page.locator('.debug-toolbar').waitFor({ state: 'hidden' });
  },
  BOOT + 180_000,
);
