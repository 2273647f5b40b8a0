import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';

/** Names the directory of a checkout of kvm-unit-tests. It is only read. */
const VARIABLE = 'HYPERSCOPE_KVM_UNIT_TESTS';
const TOOLS = ['gcc', 'make', 'qemu-system-x86_64'];

/** The directory of the checkout, or a reason why nothing can be built from one, to stand behind "skipped". */
export function checkout(): { readonly directory: string } | { readonly missing: string } {
  const directory = process.env[VARIABLE];
  if (directory === undefined) return { missing: `${VARIABLE} names no checkout` };
  if (!existsSync(path.join(directory, 'x86/unittests.cfg'))) return { missing: `${directory} is no checkout of kvm-unit-tests` };
  const tool = TOOLS.find((name) => spawnSync(name, ['--version']).status !== 0);
  return tool === undefined ? { directory: path.resolve(directory) } : { missing: `no ${tool}` };
}

/** Builds all tests for 32 or 64 bits beside the checkout; gives the directory of the images. Throws with the tools' last words. */
export function build(directory: string, scratch: string, bits: 32 | 64): string {
  const folder = path.join(scratch, String(bits));
  mkdirSync(folder);
  const run = (command: string, args: readonly string[]) => {
    const { status, stdout, stderr } = spawnSync(command, args, { cwd: folder, encoding: 'utf8', maxBuffer: 64 << 20 });
    if (status !== 0) throw new Error(`${command} failed in ${directory}:\n${stdout.slice(-1000)}\n${stderr.slice(-3000)}`);
  };
  run(path.join(directory, 'configure'), [`--arch=${bits === 64 ? 'x86_64' : 'i386'}`]);
  run('make', [`-j${availableParallelism()}`]);
  return path.join(folder, 'x86');
}
