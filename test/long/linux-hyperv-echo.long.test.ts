import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { nodeFiles } from '../../src/cli/node-files.ts';
import { parseGuestForward } from '../../src/network/user/options.ts';
import { createPartition } from '../../src/platforms/create-partition.ts';
import { networkPlan } from '../../src/platforms/network.ts';
import { loadProgram } from '../../src/programs/load-program.ts';
import { busyboxInitramfs } from '../linux/busybox-initramfs.ts';
import { debianBusybox, debianKernel } from '../linux/kernel.ts';

const MODULES = ['hv_vmbus', 'hv_netvsc'];
const [kernel, busybox] = [debianKernel(), debianBusybox()];
const reason =
  'reason' in kernel
    ? kernel.reason
    : 'reason' in busybox
      ? busybox.reason
      : MODULES.some((name) => !existsSync(path.join(kernel.modules, `${name}.ko`)))
        ? 'the kernel’s package has no uncompressed modules'
        : undefined;
if (reason) console.log(`skipped: ${reason}`);

test.skipIf(reason)('Linux has a queue for each vCPU on Hyper-V’s network, and what it sends comes back whole', () => {
  if ('reason' in kernel || 'reason' in busybox) return;
  const initrd = busyboxInitramfs({ busybox: busybox.path, modules: kernel.modules }, 'echo-init.sh', MODULES);
  const program = loadProgram(readFileSync(kernel.path), kernel.path, {}, nodeFiles);
  let longest = 0;
  const capture = {
    write: (_at: bigint, frame: Uint8Array) => {
      longest = Math.max(longest, frame.length);
    },
    close() {},
  };
  const plan = networkPlan({ net: 'user', guestForward: [parseGuestForward('tcp:7:echo')] });
  const partition = createPartition(
    {
      platform: 'hyperv',
      vendor: 'intel',
      memory: 192 << 20,
      vcpus: 2,
      network: plan && { ...plan, capture },
      initrd,
      commandLine: 'console=ttyS0 panic=-1 cryptomgr.notests rdinit=/init',
    },
    program,
  );
  let text = '';
  partition.onConsole((_source, bytes) => {
    text += new TextDecoder().decode(bytes);
  });
  while (!text.includes('@ ready') && !text.includes('Kernel panic') && partition.icount < 20_000_000_000n)
    if (partition.run({ instructions: 1_000_000 }).kind === 'ended') break;
  const marks = [...text.matchAll(/^@ (.*?)\r?$/gm)].map(([, words]) => words);
  const [, sum, back] = marks;
  expect(marks[0]).toBe('card 52:54:00:12:34:56 2');
  expect(back).toBe(sum?.replace('sum', 'back'));
  expect(longest).toBe(1514);
});
