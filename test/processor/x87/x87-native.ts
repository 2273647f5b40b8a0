import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type FpuCase, IMAGE_SIZE, Image, MEMORY_SIZE, type Outcome } from './image.ts';

const here = path.dirname(fileURLToPath(import.meta.url));
// Bundled beside the other native harness, it is found from there too.
const source = path.join(here, '../x87/native.c');
const binary = path.join(here, '../../../build/native/x87');

/** Where native.c puts code and data. */
export const NATIVE_CODE = 0x1000_0000;
export const NATIVE_DATA = 0x2000_0000;

function build(): void {
  if (existsSync(binary) && statSync(binary).mtimeMs > statSync(source).mtimeMs) return;
  mkdirSync(path.dirname(binary), { recursive: true });
  const own = `${binary}.${process.pid}`;
  const result = spawnSync('gcc', ['-O1', '-fno-stack-protector', '-mno-red-zone', '-o', own, source], { encoding: 'utf8' });
  if (result.status !== 0) throw new Error(`The native x87 program does not compile: ${result.stderr}`);
  renameSync(own, binary);
}

const RECORD = 256;
const IMAGE_AT = 20;
const MEMORY_AT = IMAGE_AT + IMAGE_SIZE;
const CODE_AT = MEMORY_AT + MEMORY_SIZE;

/** Runs cases on the machine's own processor. */
export function runX87(cases: readonly FpuCase[]): Outcome[] {
  build();
  const input = new Uint8Array(cases.length * RECORD);
  const view = new DataView(input.buffer);
  cases.forEach(({ code, image, memory, rflags, rax }, index) => {
    const at = index * RECORD;
    view.setBigUint64(at, BigInt(rflags), true);
    view.setBigUint64(at + 8, rax, true);
    view.setUint32(at + 16, code.length, true);
    input.set(image.bytes, at + IMAGE_AT);
    input.set(memory, at + MEMORY_AT);
    input.set(code, at + CODE_AT);
  });
  const { stdout, signal } = spawnSync(binary, [], { input, maxBuffer: cases.length * RECORD + 4096, timeout: 60_000 });
  if (stdout.length !== cases.length * RECORD) throw new Error(`The native x87 program ended early: ${signal}`);
  const output = new Uint8Array(stdout);
  const replies = new DataView(output.buffer);
  return cases.map((_, index) => {
    const at = index * RECORD;
    return {
      rflags: Number(replies.getBigUint64(at, true)),
      rax: replies.getBigUint64(at + 8, true),
      vector: replies.getUint32(at + 16, true),
      image: new Image(output.slice(at + IMAGE_AT, at + MEMORY_AT)),
      memory: output.slice(at + MEMORY_AT, at + CODE_AT),
    };
  });
}
