import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { runGuest } from './machine.ts';

/**
 * Each guest here tries system instructions, paging and faults, and prints what happens on the serial port. What it prints on
 * the emulated processor must equal what it prints under QEMU's own emulation. Where QEMU differs from hardware, the case is
 * left out here and stands in test/processor/system with the hardware's answer.
 */

const DIRECTORY = import.meta.dirname;
const scratch = mkdtempSync(join(tmpdir(), 'hyperscope-guests-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** QEMU's processor for a vendor. */
const CPUS = { intel: 'Skylake-Client', amd: 'EPYC' } as const;
/** Exit status of isa-debug-exit for the value 0x10. */
const ENDED = 33;

function has(tool: string): boolean {
  return spawnSync(tool, ['--version']).status === 0;
}

function assemble(name: string): string {
  const image = join(scratch, `${name}.bin`);
  const { status, stderr } = spawnSync(
    'nasm',
    ['-f', 'bin', '-I', `${DIRECTORY}/`, '-o', image, join(DIRECTORY, `${name}.asm`)],
    {
      encoding: 'utf8',
    },
  );
  if (status !== 0) throw new Error(stderr);
  return image;
}

function runInQemu(image: string, vendor: keyof typeof CPUS): { output: string; ended: boolean } {
  const { stdout, status } = spawnSync(
    'qemu-system-x86_64',
    ['-accel', 'tcg', '-M', 'pc', '-m', '32', '-cpu', CPUS[vendor], '-display', 'none', '-serial', 'stdio', '-no-reboot'].concat([
      '-device',
      'isa-debug-exit,iobase=0xf4,iosize=4',
      '-kernel',
      image,
    ]),
    { encoding: 'latin1', timeout: 60_000 },
  );
  return { output: stdout, ended: status === ENDED };
}

const guests = readdirSync(DIRECTORY)
  .filter((name) => name.endsWith('.asm'))
  .map((name) => name.slice(0, -4));

/** A guest says in its name whose processor it is for. */
function vendorsOf(name: string): readonly (keyof typeof CPUS)[] {
  if (name.endsWith('-vendors')) return ['intel', 'amd'];
  return name.endsWith('-amd') ? ['amd'] : ['intel'];
}

const missing = ['nasm', 'qemu-system-x86_64'].filter((tool) => !has(tool));
const title = `guests print what they print under QEMU${missing.length > 0 ? ` (skipped: no ${missing.join(', no ')})` : ''}`;

describe.skipIf(missing.length > 0)(title, () => {
  for (const name of guests) {
    const vendors = vendorsOf(name);
    for (const vendor of vendors)
      test(`${name} on ${vendor}`, () => {
        const image = assemble(name);
        const reference = runInQemu(image, vendor);
        const outcome = runGuest(new Uint8Array(readFileSync(image)), vendor);
        expect(outcome.output).toBe(reference.output);
        expect(outcome.tripleFault ?? false).toBe(!reference.ended);
        if (!outcome.tripleFault) expect(outcome.problem).toBeUndefined();
      });
  }
});
