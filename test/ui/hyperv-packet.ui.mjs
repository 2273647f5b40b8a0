// The walk that docs/hyperv-walk.md takes: a frame of the guest's on its way through HvSignalEvent, the VMBus and the network VSP to the
// network, step by step, and back behind the guest's call. It leaves its screenshots in test-results/.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { openWindow, root } from './window.mjs';

const SAMPLE = 'hyperv/vmbus.asm';
const source = readFileSync(path.join(root, 'samples', SAMPLE), 'utf8').split('\n');
const callLine = source.findIndex((line) => line.includes('; the doorbell')) + 1;
const sendLine = source.indexOf('send_packet:') + 2;

let window;
beforeAll(async () => {
  window = await openWindow(() => {}, { settings: { 'breadcrumbs.enabled': false } });
});
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await window?.screenshot('failed hyperv-packet');
});
afterAll(() => window?.close());

test('a packet is followed from the guest through SignalEvent, VMBus and netvsp, and back', async () => {
  const { page } = window;
  await window.openFile(...SAMPLE.split('/'));
  await page.locator('.statusbar-item', { hasText: 'Guest Assembly' }).waitFor();
  await window.setBreakpoint(sendLine);
  await window.quickOpen('Control+P', 'debug Hyper-V: network card on the VMBus');
  await page.locator('.debug-top-stack-frame-line').first().waitFor();
  await window.press('Control+Shift+D', (timeout) => page.locator('.debug-call-stack').waitFor({ timeout }));
  await page.keyboard.press('F5');
  const at = (line) => expect.poll(() => page.locator('.statusbar-item', { hasText: `Ln ${line}, Col` }).count()).toBe(1);
  await at(sendLine);
  // On to the call that signals the channel.
  await window.setBreakpoint(callLine);
  await page.keyboard.press('F5');
  await at(callLine);

  // The packet waits in its ring, with what it is.
  await page.locator('.panel .composite-bar .action-item', { hasText: 'VMBus Channels' }).click();
  const view = page.frameLocator('iframe.webview.ready').frameLocator('iframe#active-frame');
  const ring = view.locator('section[aria-label="Guest to Host"]');
  await expect.poll(() => ring.textContent()).toMatch(/1 packets? waits?[\s\S]*SEND_RNDIS_PKT/);
  expect(await view.locator('#channels option:checked').textContent()).toMatch(/netvsp \(open\)/);
  await window.screenshot('22-vmbus-channels');
  await window.focusEditor();

  /** The frames that the walk came through, by their names. */
  const seen = new Set();
  let shots = 0;
  const callStack = () => page.locator('.debug-call-stack').textContent();
  /** The newest frame is the guest's: the handler is done. A busy window may be a step further on. */
  const isBack = async () => /vmbus\.asm/.test((await window.frames())[0] ?? '');
  await page.keyboard.press('F11');
  await window.frame('VM exit: VMCALL, reason 18').waitFor();
  await window.screenshot('20-hyperv-vm-exit');
  for (let steps = 0; steps < 80 && !(await isBack()); steps++) {
    for (const frame of await window.frames()) seen.add(frame);
    if ([...seen].some((frame) => frame.includes('send RNDIS packet')) && shots++ === 0)
      await window.screenshot('21-hyperv-netvsp');
    const before = await callStack();
    await page.keyboard.press('F11');
    // A loop may come to the same place again; the window fills in the frames below a moment later.
    for (let asked = 0; asked < 40 && (await callStack()) === before; asked++) await page.waitForTimeout(50);
    for (let last = ''; (await callStack()) !== last; ) {
      last = await callStack();
      await page.waitForTimeout(300);
    }
  }
  expect(await isBack()).toBe(true);
  const channel = /VMBus channel (\d+): ring signalled/.exec([...seen].join())?.[1];
  const missing = [
    '_start',
    'send_packet',
    'send_rndis',
    'put_packet',
    'hypercall page',
    '── VM exit: VMCALL, reason 18 ──',
    'hvix64: VM exit',
    'hvix64: hypercall',
    'hvix64: HvCallSignalEvent',
    `vmbusr.sys: VMBus channel ${channel}: ring signalled`,
    'vmswitch.sys: netvsp: NVSP_MSG1_TYPE_SEND_RNDIS_PKT',
    'vmswitch.sys: netvsp: send RNDIS packet',
    'vmswitch.sys: virtual switch: forward',
    `vmbusr.sys: VMBus channel ${channel}: send packet`,
  ].filter((name) => ![...seen].some((frame) => frame.startsWith(name)));
  expect(missing).toEqual([]);
  // The answer of the network comes behind it.
  await page.locator('.panel .composite-bar .action-item', { hasText: 'Debug Console' }).click();
  await page.keyboard.press('F5');
  await page.locator('.debug-console, .repl', { hasText: '10.0.2.2 is at 52:55:0a:00:02:02' }).first().waitFor();
}, 240_000);
