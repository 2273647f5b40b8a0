// A step into a virtio device, with its queue as tables: from the doorbell through the request to the interrupt.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { openWindow, root } from './window.mjs';

const ASSEMBLY = 'kvm/virtio-blk.asm';
const C = 'kvm/c/virtio.c';
const lineWith = (file, text) =>
  readFileSync(path.join(root, 'samples', file), 'utf8')
    .split('\n')
    .findIndex((line) => line.includes(text)) + 1;
const missing = ['gcc', 'make'].find((name) => spawnSync(name, ['--version'], { stdio: 'ignore' }).status !== 0);

let window;
beforeAll(async () => {
  window = await openWindow(() => {}, { settings: { 'breadcrumbs.enabled': false } });
});
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await window?.screenshot('failed virtqueues');
});
afterAll(() => window?.close());

test('a request is followed through its queue and through the device', async () => {
  const { page } = window;
  const doorbell = lineWith(ASSEMBLY, '[rbx + QUEUE_NOTIFY]');
  await window.openFile(...ASSEMBLY.split('/'));
  await page.locator('.statusbar-item', { hasText: 'Guest Assembly' }).waitFor();
  await window.setBreakpoint(doorbell);
  await window.quickOpen('Control+P', 'debug KVM: virtio disk');
  await page.locator('.debug-top-stack-frame-line').first().waitFor();
  await window.press('Control+Shift+D', (timeout) => page.locator('.debug-call-stack').waitFor({ timeout }));
  await page.locator('.panel .composite-bar .action-item', { hasText: 'Virtqueues' }).waitFor();
  await page.keyboard.press('F5');
  await expect.poll(() => page.locator('.statusbar-item', { hasText: `Ln ${doorbell}, Col` }).count()).toBe(1);

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

test.skipIf(missing)(
  `a driver in C is followed from its doorbell into the device${missing ? ` (skipped: no ${missing})` : ''}`,
  async () => {
    const { page } = window;
    await window.press('Control+Shift+E', (timeout) => page.locator('.explorer-folders-view').waitFor({ timeout }));
    const entry = (level, text) =>
      page.locator(`.explorer-folders-view .monaco-list-row[aria-level="${level}"]`, { hasText: text });
    if ((await entry(1, /^\s*kvm\s*$/).getAttribute('aria-expanded')) !== 'true') await entry(1, /^\s*kvm\s*$/).click();
    await entry(2, /^\s*c\s*$/).click();
    await entry(3, /^\s*virtio\.c\s*$/).dblclick();
    await page.locator('.tab.active', { hasText: path.basename(C) }).waitFor();
    await page.locator('.monaco-editor .view-line').first().waitFor();
    const doorbell = lineWith(C, 'QUEUE_NOTIFY, queue->number');
    await window.setBreakpoint(doorbell);
    await window.quickOpen('Control+P', 'debug KVM: virtio disk in C');
    await page.locator('.debug-top-stack-frame-line').first().waitFor();
    await window.press('Control+Shift+D', (timeout) => page.locator('.debug-call-stack').waitFor({ timeout }));
    await page.keyboard.press('F5');
    await window.frame('submit').waitFor();
    const frames = async () => (await window.frames()).join('\n');
    for (let steps = 0; steps < 30 && !(await frames()).includes('virtio-blk request'); steps++) {
      await page.keyboard.press('F11');
      await page.waitForTimeout(800);
    }
    await expect
      .poll(frames)
      .toMatch(
        /virtio-blk request[\s\S]*QueueNotify[\s\S]*KVM_EXIT_MMIO[\s\S]*kvm\.ko[\s\S]*VM exit[\s\S]*write_register[\s\S]*submit[\s\S]*transfer[\s\S]*main/,
      );
    // The header is read: what is asked for is among the variables.
    await page.keyboard.press('F11');
    await window.openView('Variables');
    await page.locator('.pane-header[aria-label^="Call Stack"]').press('ArrowRight');
    await window.variable('bytes').waitFor();
    await page.locator('.panel .composite-bar .action-item', { hasText: 'Virtqueues' }).click();
    const tables = page.frameLocator('iframe.webview.ready').frameLocator('iframe#active-frame');
    await tables.locator('section[aria-label="Buffers"]', { hasText: 'GET_ID' }).waitFor();
    await window.screenshots('12-virtio-doorbell');
    await page.keyboard.press('Shift+F11');
    await expect.poll(frames).not.toContain('VM exit');
    await window.stop();
  },
);
