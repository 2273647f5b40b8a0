import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { nodeFiles } from '../../src/cli/node-files.ts';
import { screenOf, screenPicture } from '../../src/debugger/inspection/screens.ts';
import { createPartition } from '../../src/platforms/create-partition.ts';
import { loadProgram } from '../../src/programs/load-program.ts';
import { busyboxInitramfs } from '../linux/busybox-initramfs.ts';
import { debianBusybox, debianKernel } from '../linux/kernel.ts';

const MODULES = ['hv_vmbus', 'hyperv_fb'];
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

test.skipIf(reason)('Linux draws on the screen of a child of Hyper-V', () => {
  if ('reason' in kernel || 'reason' in busybox) return;
  const initrd = busyboxInitramfs({ busybox: busybox.path, modules: kernel.modules }, 'screen-init.sh', MODULES);
  const program = loadProgram(readFileSync(kernel.path), kernel.path, {}, nodeFiles);
  const partition = createPartition(
    {
      platform: 'hyperv',
      machine: 'pc',
      vendor: 'intel',
      memory: 192 << 20,
      vcpus: 1,
      screen: true,
      initrd,
      commandLine: 'console=ttyS0 panic=-1 cryptomgr.notests rdinit=/init',
    },
    program,
  );
  let text = '';
  partition.onConsole((_source, bytes) => {
    text += new TextDecoder().decode(bytes);
  });
  const screen = screenOf(partition);
  while (!text.includes('@ ready') && !text.includes('Kernel panic') && partition.icount < 20_000_000_000n)
    if (partition.run({ instructions: 1_000_000 }).kind === 'ended') break;
  const picture = screen && screenPicture(screen);
  expect(text).toMatch(/hyperv_fb: Synthvid Version major 3, minor 5/);
  expect(text).toMatch(/hyperv_fb: Screen resolution: 1024x768, Color depth: 32, Frame buffer size: 4194304/);
  expect(text).toMatch(/^@ screen hyperv_fb 1024,768 32\r?$/m);
  expect([picture?.width, picture?.height]).toEqual([1024, 768]);
  // The first character's place may have the console's cursor on it.
  expect([...(picture?.pixels.subarray(24, 30) ?? [])]).toEqual([0x55, 0x55, 0x55, 0x55, 0x55, 0x55]);
  expect(screen?.generation).toBeGreaterThan(1);
});
