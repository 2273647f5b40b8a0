import { afterEach, expect, test } from 'vitest';
import { nodeFiles } from '../../src/cli/node-files.ts';
import { launchGuest } from '../../src/debugger/launch-guest.ts';
import { endServers, gdb, missingTool, serve } from '../cli/real-gdb.ts';
import { debianKernel } from '../linux/kernel.ts';

const APPEND = 'console=ttyS0 panic=-1';

afterEach(endServers);

test("gdb debugs Debian's kernel from its first instruction on", async (context) => {
  const missing = missingTool('gdb');
  const kernel = missing ? { reason: `${missing} is not installed` } : debianKernel();
  if ('reason' in kernel) {
    console.log(`skipped: ${kernel.reason}`);
    return context.skip(kernel.reason);
  }
  const options = { program: kernel.path, memory: '256M', append: APPEND };
  const { session, program } = launchGuest(options, nodeFiles);
  const at = (name: string) => `0x${session.evaluate(name).toString(16)}`;
  const entry = `0x${program.entry.toString(16)}`;
  const { port } = await serve(kernel.path, '--memory', '256M', '--append', APPEND);
  const said = await gdb(port, kernel.path, [
    // PVH enters the kernel in protected mode; it is a 64-bit program all the same.
    `print $pc == ${entry}`,
    'print $cr0 & 1',
    'stepi',
    'monitor start_kernel',
    `hbreak *${at('start_kernel')}`,
    'continue',
    'backtrace 1',
    `print $rip == ${at('start_kernel')}`,
    'print $cs',
    'print/x $cr3 != 0 && ($efer & 0x500) == 0x500',
    'monitor walk $rip',
    'stepi 5',
    'delete',
    `x/s ${at('linux_banner')}`,
    `watch *(unsigned long *)${at('jiffies_64')}`,
    'continue',
    'continue',
    'delete',
    `break *${at('mount_block_root')}`,
    'continue',
    // There is no root file system: the debugger stops at the panic unasked.
    'delete',
    'continue',
    'info threads',
    'kill',
  ]);
  expect(said).toMatch(/\$1 = 1\b[\s\S]*\$2 = 1\b/);
  expect(said.split('\n')).toContain(at('start_kernel'));
  expect(said).toMatch(
    /Breakpoint 1, 0xffffffff[0-9a-f]+ in[\s\S]*#0 +0xffffffff[0-9a-f]+[\s\S]*\$3 = 1\b[\s\S]*\$4 = 16\b[\s\S]*\$5 = 0x1\b/,
  );
  expect(said).toMatch(/0xffffffff[0-9a-f]+:\s+"Linux version 6\./);
  expect(said.match(/Old value = \d+\s+New value = \d+/g)).toHaveLength(2);
  expect(said).toMatch(/PML4 +entry[\s\S]*page of 2 MiB/);
  expect(said).toMatch(/Breakpoint 3, 0xffffffff[0-9a-f]+ in[\s\S]*VFS: Unable to mount root fs on [\s\S]*SIGTRAP[\s\S]*vCPU 0/);
});
