import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { type BenchProgram, PROGRAMS } from '../../src/cli/bench/catalog.ts';
import { nodeFiles } from '../../src/cli/node-files.ts';
import { createPartition } from '../../src/platforms/create-partition.ts';
import { assemble } from '../../src/programs/assembler/assemble.ts';
import { loadProgram } from '../../src/programs/load-program.ts';

const FOLDER = path.resolve(import.meta.dirname, '../../bench/programs');
const scratch = mkdtempSync(path.join(tmpdir(), 'hyperscope-bench-test-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
const hasQemu = spawnSync('qemu-system-x86_64', ['--version']).error === undefined;

/** The image of a program that does its first, short run. */
function imageOf({ name, first }: BenchProgram): Uint8Array {
  const { bytes, diagnostics } = assemble(path.join(FOLDER, `${name}.asm`), nodeFiles, { format: 'bin' });
  expect(diagnostics).toEqual([]);
  const image = bytes ?? new Uint8Array(0);
  new DataView(image.buffer, image.byteOffset).setBigUint64(8, BigInt(first), true);
  return image;
}

interface Run {
  /** Bytes of WebAssembly for translated code; 0: interpreted. */
  readonly translator?: number;
  readonly slice?: number;
  readonly watch?: boolean;
}

/** Runs an image to its end; gives what it printed, and the hash of its state. */
function run(image: Uint8Array, { translator, slice = 10_000_000, watch = false }: Run) {
  const program = loadProgram(image, 'guest.bin', { loadAddress: 0x10_0000n, mode: 32 }, nodeFiles);
  const partition = createPartition({ platform: 'bare', vendor: 'intel', memory: 64 << 20, vcpus: 1, translator }, program);
  let text = '';
  partition.onConsole((source, bytes) => {
    if (source !== 'serial') text += Buffer.from(bytes).toString('latin1');
  });
  const processor = partition.vcpus[0]?.processor;
  // A page that no program uses.
  if (watch) processor?.setWatches([{ id: 1, space: 'gva', address: 0x390_0000n, length: 8n, read: true, write: true }]);
  for (;;) {
    const stop = partition.run({ instructions: slice });
    if (stop.kind === 'ended') break;
  }
  return { text, hash: partition.stateHash(), instructions: processor?.icount, made: processor?.translations.made ?? 0 };
}

test('every source in the folder is in the catalog', () => {
  const files = readdirSync(FOLDER).filter((name) => name.endsWith('.asm') && name !== 'boot-floppy.asm');
  expect(files.sort()).toEqual(PROGRAMS.map(({ name }) => `${name}.asm`).sort());
});

describe.each(PROGRAMS.map((program) => [program.name, program] as const))('the bench program %s', (name, program) => {
  const image = imageOf(program);
  const interpreted = run(image, { translator: 0 });

  test('prints a checksum between its marks', () => {
    expect([interpreted.text.at(0), interpreted.text.at(-1)]).toEqual(['\u0002', '\u0003']);
    expect(interpreted.text.slice(1, -1)).toMatch(/^([0-9a-f]{8}){1,2}$/);
    expect(interpreted.made).toBe(0);
  });

  test('ends in the same state when it is translated, stopped every 997 instructions, or watched where it never goes', () => {
    const { text, hash, instructions } = interpreted;
    const translated = run(image, {});
    // Nothing but string instructions, which are interpreted.
    if (program.group !== 'system' && name !== 'strings') expect(translated.made).toBeGreaterThan(0);
    for (const other of [translated, run(image, { slice: 997 }), run(image, { watch: true })])
      expect({ text: other.text, hash: other.hash, instructions: other.instructions }).toEqual({ text, hash, instructions });
  });

  test.skipIf(!hasQemu)('prints the same under QEMU', () => {
    const file = path.join(scratch, `${name}.bin`);
    writeFileSync(file, image);
    const args = ['-accel', 'tcg', '-m', '64', '-display', 'none', '-no-reboot', '-monitor', 'none', '-serial', 'none'];
    const out = path.join(scratch, `${name}.out`);
    spawnSync(
      'qemu-system-x86_64',
      args.concat(['-debugcon', `file:${out}`, '-device', 'isa-debug-exit,iobase=0xf4,iosize=4', '-kernel', file]),
      { timeout: 60_000 },
    );
    expect(readFileSync(out, 'latin1')).toBe(interpreted.text);
  });
});
