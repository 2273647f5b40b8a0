import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Watch } from '../../src/processor/processor.ts';
import type { EmulatedMachine } from '../processor/native/emulated-machine.ts';
import { CODE, CODE_SIZE, DATA, DATA_SIZE, INT3, type Reply, type Request } from '../processor/native/record.ts';
import type { CaseFile, PublishedCase } from './case-file.ts';

/** Vectors that push an error code. */
const WITH_ERROR_CODE: ReadonlySet<number> = new Set([8, 10, 11, 12, 13, 14, 17]);
export const BREAKPOINT = 3;
const PAGE_FAULT = 14;

const number = (value: bigint): string => `0x${value.toString(16)}`;
const hexadecimal = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

export interface Range {
  readonly address: bigint;
  readonly length: bigint;
}

/** What remains of the mapped ranges without some parts, to be watched. */
function watchesWithout(parts: readonly Range[]): Watch[] {
  const sorted = [...parts].sort((a, b) => (a.address < b.address ? -1 : 1));
  const watches: Watch[] = [];
  for (const [start, size] of [
    [CODE, CODE_SIZE],
    [DATA, DATA_SIZE],
  ] as const) {
    let from = start;
    const end = start + BigInt(size);
    const add = (to: bigint) => {
      if (to > from) watches.push({ id: 1, space: 'gva', address: from, length: to - from, read: true, write: true });
    };
    for (const { address, length } of sorted) {
      if (address + length <= from || address >= end) continue;
      add(address);
      from = address + length;
    }
    add(end);
  }
  return watches;
}

/** The memory that a case's instruction touches, found by watching all that it hasn't been seen to touch. */
export function touched(machine: EmulatedMachine, request: Request): Range[] {
  const found: Range[] = [];
  for (;;) {
    machine.processor.setWatches(watchesWithout(found));
    const seen = found.length;
    try {
      machine.run(request);
    } catch (error) {
      const hit = machine.processor.lastWatchHit;
      if (!hit || found.some(({ address }) => address === hit.address)) throw error;
      found.push({ address: hit.address, length: BigInt(hit.size) });
    } finally {
      machine.restore();
      machine.processor.setWatches([]);
    }
    if (found.length === seen) return found;
  }
}

/** Runs of bytes that differ, by address. */
function changes(before: Uint8Array, after: Uint8Array): Record<string, string> {
  const memory: Record<string, string> = {};
  for (let at = 0; at < before.length; at++) {
    if (before[at] === after[at]) continue;
    let end = at;
    while (end < before.length && before[end] !== after[end]) end++;
    memory[number(DATA + BigInt(at))] = hexadecimal(after.subarray(at, end));
    at = end;
  }
  return memory;
}

/** Memory of a case that touched some ranges: what they held, and what changed. */
export function memoryOf(
  request: Request,
  native: Reply,
  ranges: readonly Range[],
  background: Uint8Array,
): { readonly before: Record<string, string>; readonly after: Record<string, string> } {
  const data = Uint8Array.from(background);
  data.set(request.patch, request.patchAt);
  const code = new Uint8Array(CODE_SIZE).fill(INT3);
  code.set(request.code, Number(request.rip - CODE));
  const before: Record<string, string> = {};
  for (const { address, length } of ranges) {
    const [bytes, start] = address >= DATA ? [data, DATA] : [code, CODE];
    const at = Number(address - start);
    before[number(address)] = hexadecimal(bytes.subarray(at, at + Number(length)));
  }
  const changed = Uint8Array.from(data);
  changed.set(native.dirty, native.dirtyAt);
  return { before, after: changes(data, changed) };
}

/** The exception that ended a case early. */
export function exceptionOf(native: Reply): PublishedCase['exception'] {
  if (native.vector === BREAKPOINT) return undefined;
  return {
    vector: native.vector,
    error_code: WITH_ERROR_CODE.has(native.vector) ? native.error : undefined,
    cr2: native.vector === PAGE_FAULT ? number(native.cr2) : undefined,
  };
}

/** Makes a folder that has no cases. */
export function emptyFolder(folder: string): void {
  mkdirSync(folder, { recursive: true });
  for (const name of readdirSync(folder)) if (name.endsWith('.json')) rmSync(path.join(folder, name));
}

/** Writes one file of cases; `head` is what stands before the forms. */
export function writeCases(folder: string, head: Omit<CaseFile, 'forms'>, forms: CaseFile['forms']): void {
  // One case a line: small, and a change shows as a line.
  const lines = forms.map(
    ({ form, cases }) =>
      `  {"form":${JSON.stringify(form)},"cases":[\n${cases.map((item) => `    ${JSON.stringify(item)}`).join(',\n')}\n  ]}`,
  );
  const text = `${JSON.stringify(head).slice(0, -1)},"forms":[\n${lines.join(',\n')}\n]}\n`;
  writeFileSync(path.join(folder, `${head.mnemonic}.json`), text);
}
