import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import * as L from '../../../src/processor/state/layout.ts';
import { hostFeatures, whyNotNative } from '../native/native-machine.ts';
import { SystemMachine } from '../system/machine.ts';

const SOURCE = fileURLToPath(new URL('./work.c', import.meta.url));
const CODE = 0x10_0000;
const START = CODE - 0x100;
const OUT = 0x8_0000;
const STACK = 0x9_0000;
const RESULTS = 32;

const directory = mkdtempSync(join(tmpdir(), 'hyperscope-compiled-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function numbers(bytes: Uint8Array): bigint[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: RESULTS }, (_, index) => view.getBigUint64(index * 8, true));
}

/** What the machine's own processor computes. */
function native(options: readonly string[]): bigint[] {
  const program = join(directory, 'native');
  execFileSync('gcc', [...options, '-fno-math-errno', '-DMAIN', '-o', program, SOURCE]);
  return numbers(new Uint8Array(execFileSync(program)));
}

/** The same code without an operating system. */
function emulated(options: readonly string[], threshold: number): { results: bigint[]; machine: SystemMachine } {
  const elf = join(directory, 'guest.elf');
  const image = join(directory, 'guest.bin');
  const link = [
    `-Wl,-Ttext=0x${CODE.toString(16)},--section-start=.start=0x${START.toString(16)},-e,start,--build-id=none`,
    '-nostdlib',
    '-static',
  ];
  execFileSync('gcc', [
    ...options,
    '-fno-math-errno',
    '-ffreestanding',
    '-fno-pic',
    '-no-pie',
    '-mcmodel=small',
    ...link,
    '-o',
    elf,
    SOURCE,
  ]);
  execFileSync('objcopy', ['-O', 'binary', '-j', '.start', '-j', '.text*', '-j', '.rodata*', '-j', '.data*', elf, image]);
  const machine = new SystemMachine('long-user', 'amd', { threshold }, 'max');
  machine.memory.write(BigInt(START), new Uint8Array(readFileSync(image)));
  machine.state.rip = BigInt(START);
  machine.state.setGpr(4, BigInt(STACK));
  machine.state.setGpr(7, BigInt(OUT));
  machine.enableVectors();
  // As FNINIT leaves the x87 unit.
  machine.state.set32(L.X87_CONTROL, 0x37f);
  machine.state.set32(L.X87_TAGS, 0);
  machine.processor.stateChanged();
  let result = machine.processor.run(10_000_000);
  while (result.kind === 'budget') result = machine.processor.run(10_000_000);
  // HLT in user mode.
  expect(result).toMatchObject({ kind: 'exit', exit: { reason: 'exception', vector: 13 } });
  return { results: numbers(machine.memory.read(BigInt(OUT), RESULTS * 8)), machine };
}

/** Sets of instructions for gcc, and the flags of /proc/cpuinfo that they need here. */
const SETS = [
  { name: 'x87', options: ['-O2', '-mfpmath=387'], needs: [] },
  { name: 'SSE2', options: ['-O2'], needs: [] },
  { name: 'SSE2, vectorized', options: ['-O3'], needs: [] },
  { name: 'SSE4.2', options: ['-O3', '-msse4.2'], needs: ['sse4_2'] },
  { name: 'AVX', options: ['-O3', '-mavx'], needs: ['avx'] },
  { name: 'AVX2', options: ['-O3', '-mavx2', '-mbmi2'], needs: ['avx2', 'bmi2'] },
  { name: 'AVX2 and FMA', options: ['-O3', '-march=haswell'], needs: ['avx2', 'fma', 'bmi2'] },
];

const reason = whyNotNative();
const features = reason ? new Set<string>() : hostFeatures();

describe.skipIf(reason)(`a program compiled by gcc${reason ? ` (skipped: ${reason})` : ''}`, () => {
  for (const { name, options, needs } of SETS) {
    test.skipIf(!needs.every((need) => features.has(need)))(`computes with ${name} what the real processor does`, () => {
      const expected = native(options);
      expect(emulated(options, 0).results).toEqual(expected);
      const { results, machine } = emulated(options, 5);
      expect(results).toEqual(expected);
      expect(machine.processor.translations.made).toBeGreaterThan(0);
    });
  }
});
