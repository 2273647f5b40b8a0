import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Random } from '../../support/random.ts';
import { DATA_SIZE, RECORD_SIZE, Reply } from './record.ts';
import { VECTOR_BYTES } from './vector-state.ts';

const here = path.dirname(fileURLToPath(import.meta.url));
const source = path.join(here, 'harness.c');
const binary = path.join(here, '../../../build/native/harness');

/** Why this machine can't run the comparison, as a sentence; undefined when it can. */
export function whyNotNative(): string | undefined {
  if (process.platform !== 'linux' || process.arch !== 'x64') return 'the native harness needs x86-64 Linux';
  if (spawnSync('gcc', ['--version']).status !== 0) return 'the native harness needs gcc, which is not installed';
  return undefined;
}

/** Vendor of the machine's own processor, whose undefined flags the emulated one has to leave. */
export function hostVendor(): 'intel' | 'amd' {
  return /vendor_id\s*:\s*AuthenticAMD/.test(readFileSync('/proc/cpuinfo', 'utf8')) ? 'amd' : 'intel';
}

/** Features of the machine's own processor, as Linux names them. */
export function hostFeatures(): ReadonlySet<string> {
  const line = /^flags\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'));
  return new Set((line?.[1] ?? '').trim().split(/\s+/));
}

function build(): void {
  if (existsSync(binary) && statSync(binary).mtimeMs > statSync(source).mtimeMs) return;
  mkdirSync(path.dirname(binary), { recursive: true });
  // Test files run in processes of their own: each builds under a name of its own and moves it into place.
  const own = `${binary}.${process.pid}`;
  const flags = ['-O2', '-static', '-nostdlib', '-ffreestanding', '-fno-stack-protector', '-fno-pie', '-no-pie'];
  const result = spawnSync('gcc', [...flags, '-mno-red-zone', '-mgeneral-regs-only', '-o', own, source], { encoding: 'utf8' });
  if (result.status !== 0) throw new Error(`The native harness does not compile: ${result.stderr}`);
  renameSync(own, binary);
}

/**
 * What the data pages hold before each case: first half special values, second half runs of equal bytes, so that the
 * comparing string instructions get somewhere.
 */
export function backgroundData(): Uint8Array {
  const random = new Random(0x5eed);
  const bytes = new Uint8Array(DATA_SIZE);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < 0x1000; at += 8) view.setBigUint64(at, random.value(), true);
  for (let at = 0x1000; at < DATA_SIZE; ) {
    const run = random.between(1, 64);
    bytes.fill(random.pick([0, 0, 0xff, 0x80, 0x41, random.below(256)]), at, at + run);
    at += run;
  }
  return bytes;
}

/**
 * Runs cases on the machine's own processor. `requests` holds whole records of a size; the answer has one reply per record.
 * Throws when the harness dies, naming the case that killed it.
 */
export function runNative(requests: Uint8Array, background: Uint8Array, recordSize = RECORD_SIZE): Reply[] {
  build();
  const count = requests.length / recordSize;
  const result = spawnSync(binary, [], {
    input: Buffer.concat([background, requests]),
    maxBuffer: count * (recordSize + DATA_SIZE) + 4096,
    timeout: 60_000,
    killSignal: 'SIGKILL',
  });
  const output = result.stdout;
  const replies: Reply[] = [];
  let at = 0;
  while (at + RECORD_SIZE <= output.length) {
    const size = output.readUInt32LE(at + 172) === VECTOR_BYTES ? RECORD_SIZE + VECTOR_BYTES : RECORD_SIZE;
    const bytes = new Uint8Array(output.buffer, output.byteOffset + at, size);
    const length = output.readUInt32LE(at + 196);
    at += size;
    replies.push(new Reply(bytes, new Uint8Array(output.buffer, output.byteOffset + at, length)));
    at += length;
  }
  if (replies.length !== count || result.status !== 0)
    throw new Error(
      `The native harness ended with status ${result.status} (${result.signal ?? 'no signal'}) after ${replies.length} of ${count} cases.`,
    );
  return replies;
}
