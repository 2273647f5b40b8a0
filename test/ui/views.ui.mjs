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
beforeAll(async () => {
  window = await openWindow((workspace) => writeFileSync(path.join(workspace, 'rounds.asm'), ROUNDS));
});
afterEach(async ({ task }) => {
  // What the window shows says more than the message.
  if (task.result?.state === 'fail') await window.screenshot('failed');
});
afterAll(() => window?.close());

test('the Partitions view shows vCPUs and devices, live and by keyboard', async () => {
  const { page } = window;
  await window.openFile('rounds.asm');
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
  await window.screenshot('8-partitions');
  await window.stop();
});
