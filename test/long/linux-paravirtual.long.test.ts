import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { encodePageOut, PAGE_OUT } from '../../src/hypervisor/partition/page-out.ts';
import { createPartition } from '../../src/platforms/create-partition.ts';
import { loadProgram } from '../../src/programs/load-program.ts';
import { initramfs } from '../linux/initramfs.ts';
import { debianKernel } from '../linux/kernel.ts';
import { oneFile } from '../support/files.ts';

const SOURCE = path.resolve(import.meta.dirname, '../linux/paravirtual-init.c');
const COMMAND_LINE = 'console=ttyS0 panic=-1 cryptomgr.notests rdinit=/init';
/** What the kernel says of each of KVM's interfaces that it uses. */
const SAYS = [
  'Hypervisor detected: KVM',
  'kvm-clock: Using msrs 4b564d01 and 4b564d00',
  'kvm-guest: setup PV sched yield',
  'kvm-guest: PV spinlocks enabled',
  'kvm-guest: setup PV IPIs',
  'Switched to clocksource kvm-clock',
];
const MOST_INSTRUCTIONS = 2_000_000_000n;
const SLICE = 1_000_000;

const folder = mkdtempSync(path.join(tmpdir(), 'hyperscope-paravirtual-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function prepare(): { readonly kernel: string; readonly initrd: Uint8Array } | { readonly reason: string } {
  const init = path.join(folder, 'init');
  if (process.arch !== 'x64' || spawnSync('gcc', ['-O2', '-static', '-pthread', '-o', init, SOURCE]).status !== 0)
    return { reason: 'gcc for x86-64 with a static C library is missing' };
  const kernel = debianKernel();
  if ('reason' in kernel) return kernel;
  return { kernel: kernel.path, initrd: initramfs([{ name: 'init', bytes: readFileSync(init) }]) };
}

const prepared = prepare();

for (const vendor of ['intel', 'amd'] as const)
  test(`Debian's kernel on two vCPUs of KVM uses what it is offered: ${vendor}`, (context) => {
    if ('reason' in prepared) {
      console.log(`skipped: ${prepared.reason}`);
      return context.skip(prepared.reason);
    }
    const { kernel, initrd } = prepared;
    const bytes = readFileSync(kernel);
    const program = loadProgram(bytes, 'vmlinux', {}, oneFile('vmlinux', bytes));
    const partition = createPartition(
      { platform: 'kvm', vendor, vcpus: 2, memory: 256 << 20, commandLine: COMMAND_LINE, initrd },
      program,
    );
    let text = '';
    let taken: string | undefined;
    partition.onConsole((_source, output) => {
      text += new TextDecoder('latin1').decode(output);
    });
    while (!partition.end && partition.icount < MOST_INSTRUCTIONS) {
      partition.run({ instructions: SLICE });
      const place = /PAGE (0x[0-9a-f]+)\r?\n/.exec(text)?.[1];
      if (place === undefined || taken !== undefined) continue;
      taken = place;
      partition.sendToDevice(PAGE_OUT, encodePageOut({ gpa: BigInt(place), size: 0x1000n }));
    }
    expect(partition.end?.kind).toBe('power-off');
    for (const line of SAYS) expect(text).toContain(line);
    // Threads of the other vCPU, which never runs at the same time, have their TLB flushed without an interrupt.
    expect(text).toMatch(/TLB: +0 +0 +TLB shootdowns/);
    expect(text).toContain('rounds done');
    // The page that the host took came back while the guest did something else: an interrupt said so, beside one for each vCPU at the start.
    expect(taken).toMatch(/^0x[1-9a-f]/);
    expect(text).toContain('value 0x1122334455667788');
    const [, first, second] = /HYP: +(\d+) +(\d+) +Hypervisor callback/.exec(text) ?? [];
    expect(Number(first) + Number(second)).toBe(3);
  });
