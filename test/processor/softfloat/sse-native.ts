import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const source = path.join(here, 'native.c');
const binary = path.join(here, '../../../build/native/sse');

export interface SseRequest {
  readonly operation: number;
  readonly mxcsr: number;
  readonly operands: readonly [bigint, bigint, bigint];
}

export interface SseReply {
  readonly result: bigint;
  /** MXCSR's exception flags afterwards. */
  readonly flags: number;
  /** An exception that isn't masked was raised: there is no result. */
  readonly faulted: boolean;
}

function build(): void {
  if (existsSync(binary) && statSync(binary).mtimeMs > statSync(source).mtimeMs) return;
  mkdirSync(path.dirname(binary), { recursive: true });
  const own = `${binary}.${process.pid}`;
  const result = spawnSync('gcc', ['-O1', '-mavx', '-mno-avx512f', '-o', own, source], { encoding: 'utf8' });
  if (result.status !== 0) throw new Error(`The native SSE program does not compile: ${result.stderr}`);
  renameSync(own, binary);
}

const REQUEST_SIZE = 32;
const REPLY_SIZE = 16;

/** Runs SSE instructions on the machine's own processor. */
export function runSse(requests: readonly SseRequest[]): SseReply[] {
  build();
  const input = new DataView(new ArrayBuffer(requests.length * REQUEST_SIZE));
  requests.forEach(({ operation, mxcsr, operands }, index) => {
    const at = index * REQUEST_SIZE;
    input.setUint32(at, operation, true);
    input.setUint32(at + 4, mxcsr, true);
    operands.forEach((value, number) => {
      input.setBigUint64(at + 8 + number * 8, value, true);
    });
  });
  const { stdout, signal } = spawnSync(binary, [], {
    input: new Uint8Array(input.buffer),
    maxBuffer: requests.length * REPLY_SIZE + 4096,
    timeout: 60_000,
  });
  if (stdout.length !== requests.length * REPLY_SIZE) throw new Error(`The native SSE program ended early: ${signal}`);
  const output = new DataView(stdout.buffer, stdout.byteOffset, stdout.length);
  return requests.map((_, index) => ({
    result: output.getBigUint64(index * REPLY_SIZE, true),
    flags: output.getUint32(index * REPLY_SIZE + 8, true),
    faulted: output.getUint32(index * REPLY_SIZE + 12, true) !== 0,
  }));
}
