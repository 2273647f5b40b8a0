import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { initramfs } from '../linux/initramfs.ts';
import { debianKernel } from '../linux/kernel.ts';
import { hostFeatures } from '../processor/native/native-machine.ts';

const CLI = path.resolve(import.meta.dirname, '../../dist/cli.js');
const SOURCE = path.resolve(import.meta.dirname, '../linux/init.c');
const COMMAND_LINE = 'console=ttyS0 panic=-1 cryptomgr.notests rdinit=/init';

const folder = mkdtempSync(path.join(tmpdir(), 'hyperscope-linux-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The program that is the guest's whole user space; undefined where it can't be compiled. */
function compiled(): string | undefined {
  const program = path.join(folder, 'init');
  const { status } = spawnSync('gcc', ['-O2', '-static', '-o', program, SOURCE, '-lm']);
  return status === 0 && process.arch === 'x64' ? program : undefined;
}

/** What it prints between its marks. */
function results(text: string): string {
  return text.replaceAll('\r', '').split('BEGIN\n')[1]?.split('END\n')[0] ?? text;
}

const program = compiled();
const kernel = program ? debianKernel() : { reason: 'gcc for x86-64 with a static C library is missing' };

/** Models, and what keeps the native C library from choosing other instructions than it would on them. */
const MODELS = [
  { cpu: 'skylake', needs: ['avx2', 'fma'], tunables: '' },
  { cpu: 'nehalem', needs: [], tunables: 'glibc.cpu.hwcaps=-AVX,-AVX2,-FMA,-FMA4,-AVX2_Usable,-FMA_Usable' },
];

describe("Debian's kernel with the C library in user space", () => {
  for (const { cpu, needs, tunables } of MODELS)
    test(`computes on ${cpu} what the real processor computes`, (context) => {
      const lacking = needs.find((need) => !hostFeatures().has(need));
      if (!program || 'reason' in kernel || lacking) {
        const reason = 'reason' in kernel ? kernel.reason : `this machine's processor lacks ${lacking}`;
        console.log(`skipped: ${reason}`);
        return context.skip(reason);
      }
      const native = spawnSync(program, { env: { GLIBC_TUNABLES: tunables }, encoding: 'latin1' });
      const initrd = path.join(folder, 'initramfs.cpio');
      writeFileSync(initrd, initramfs([{ name: 'init', bytes: readFileSync(program) }]));
      const guest = spawnSync(
        process.execPath,
        [CLI, 'run', kernel.path, '--memory', '256M', '--cpu', cpu, '--initrd', initrd, '--append', COMMAND_LINE],
        { encoding: 'latin1', maxBuffer: 64 << 20 },
      );
      expect(results(guest.stdout)).toBe(results(native.stdout));
      expect(guest.status).toBe(0);
    });
});
