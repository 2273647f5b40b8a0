// A step into a virtio device, with its queue as tables: from the doorbell through the request to the interrupt.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { openWindow, root } from './window.mjs';

const PROGRAM = 'kvm/virtio-blk.asm';
const source = readFileSync(path.join(root, 'samples', PROGRAM), 'utf8').split('\n');
const DOORBELL = source.findIndex((line) => line.includes('[rbx + QUEUE_NOTIFY]')) + 1;

let window;
beforeAll(async () => {
  window = await openWindow(
    (workspace) => {
      const disk = new Uint8Array(64 * 512);
      disk.set(new TextEncoder().encode('Hello from a sector\n'));
      writeFileSync(path.join(workspace, 'disk.img'), disk);
      const program = `\${workspaceFolder}/${PROGRAM}`;
      const launch = { type: 'hyperscope', request: 'launch', name: 'Disk', program, disk: [`\${workspaceFolder}/disk.img`] };
      mkdirSync(path.join(workspace, '.vscode'), { recursive: true });
      writeFileSync(path.join(workspace, '.vscode/launch.json'), JSON.stringify({ version: '0.2.0', configurations: [launch] }));
    },
    { settings: { 'breadcrumbs.enabled': false } },
  );
});
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await window?.screenshot('failed virtqueues');
});
afterAll(() => window?.close());

test('a request is followed through its queue and through the device', async () => {
  const { page } = window;
  await window.openFile(...PROGRAM.split('/'));
  await page.locator('.statusbar-item', { hasText: 'Guest Assembly' }).waitFor();
  await window.setBreakpoint(DOORBELL);
  await window.quickOpen('Control+P', 'debug Disk');
  await page.locator('.debug-top-stack-frame-line').first().waitFor();
  await window.press('Control+Shift+D', (timeout) => page.locator('.debug-call-stack').waitFor({ timeout }));
  await page.locator('.panel .composite-bar .action-item', { hasText: 'Virtqueues' }).waitFor();
  await page.keyboard.press('F5');
  await expect.poll(() => page.locator('.statusbar-item', { hasText: `Ln ${DOORBELL}, Col` }).count()).toBe(1);

  // From the queue's row in the tree to its tables.
  const partitions = await window.openView('Partitions');
  await partitions.unfold('devices');
  await partitions.unfold('0xfeb00000');
  await partitions.row('queue 0: requests').hover();
  await partitions.row('queue 0: requests').locator('[aria-label="Show Virtqueues"]').click();
  const frame = page.frameLocator('iframe.webview.ready').frameLocator('iframe#active-frame');
  const rows = (title) => frame.locator(`section[aria-label="${title}"] tbody tr`);
  await expect.poll(() => rows('Descriptor Table').count()).toBe(8);
  expect(await rows('Descriptor Table').nth(1).textContent()).toMatch(/512\s*NEXT WRITE\s*2\s*0 waits/);
  expect(await frame.locator('#queues option:checked').textContent()).toBe('virtio-blk 0 requests (1 wait, 0 in flight)');

  // Into the device, until it has the buffer.
  await window.openView('Call Stack');
  const buffer = frame.locator('section[aria-label="Buffers"] .chain').first();
  for (let steps = 0; steps < 20 && !(await buffer.textContent()).includes('in flight'); steps++) {
    await page.keyboard.press('F11');
    await page.waitForTimeout(400);
  }
  await expect.poll(() => window.frames().then((frames) => frames.join('\n'))).toMatch(/virtio-mmio QueueNotify/);
  await buffer.locator('.fold').click();
  await buffer.locator('pre').first().waitFor();
  expect(await buffer.textContent()).toMatch(/type\s*IN[\s\S]*sector\s*0x0[\s\S]*data\s*512 bytes/);
  for (let steps = 0; steps < 8 && !(await window.frames()).join('\n').includes('virtio-blk request'); steps++) {
    await page.keyboard.press('F11');
    await page.waitForTimeout(400);
  }
  await buffer.locator('.fold').click();
  await window.screenshots('11-virtqueues');

  // Out of it: the buffer was given back.
  await page.keyboard.press('Shift+F11');
  await expect.poll(() => buffer.textContent()).toMatch(/given back, 513 bytes written/);
  expect(await rows('Used Ring').first().textContent()).toMatch(/0\s*0\s*513\s*given back/);
  // An address leads to memory.
  await rows('Descriptor Table').nth(1).locator('.address').click();
  await page
    .locator('.tab', { hasText: 'gpa' })
    .or(page.locator('.tab', { hasText: '0x1000' }))
    .first()
    .waitFor();
  await window.stop();
});
