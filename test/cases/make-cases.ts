import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { cpuModel } from '../../src/processor/models/cpu-models.ts';
import type { Watch } from '../../src/processor/processor.ts';
import { Flag } from '../../src/processor/state/cpu-state.ts';
import { makeCase } from '../processor/native/cases.ts';
import { compareRequests } from '../processor/native/compare.ts';
import { EmulatedMachine } from '../processor/native/emulated-machine.ts';
import { type InstructionForm, integerForms } from '../processor/native/forms.ts';
import { backgroundData, hostFeatures, hostVendor, runNative } from '../processor/native/native-machine.ts';
import { CODE, CODE_SIZE, DATA, DATA_SIZE, INT3, RECORD_SIZE, type Reply, type Request } from '../processor/native/record.ts';
import { faultPriorityVaries, incomparableFlags } from '../processor/native/undefined-flags.ts';
import { Random } from '../support/random.ts';
import { type CaseFile, type PublishedCase, REGISTER_NAMES } from './case-file.ts';
import { writeX87Cases } from './x87/make-x87-cases.ts';

/** Cases of each form. */
const COUNT = 3;
const SEED = 0xca5e5;
/** Vectors that push an error code. */
const WITH_ERROR_CODE: ReadonlySet<number> = new Set([8, 10, 11, 12, 13, 14, 17]);
const BREAKPOINT = 3;
const PAGE_FAULT = 14;
/** What instructions of user mode do beyond registers and memory is not recorded. */
const LEFT_OUT = /^(int|int1|int3|into|syscall|sysenter|cpuid|rdtsc|rdtscp|rdpmc|rdrand|rdseed|rdpid|.*(fs|gs)base|lsl|lar|verr|verw|str|sldt|smsw|sgdt|sidt|xgetbv)$/;

const number = (value: bigint): string => `0x${value.toString(16)}`;
const hexadecimal = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

interface Range {
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
function touched(machine: EmulatedMachine, request: Request): Range[] {
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
      machine.restore(request);
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

function published(request: Request, native: Reply, ranges: readonly Range[], background: Uint8Array): PublishedCase {
  const data = Uint8Array.from(background);
  data.set(request.patch, request.patchAt);
  const code = new Uint8Array(CODE_SIZE).fill(INT3);
  code.set(request.code, Number(request.rip - CODE));
  const memory: Record<string, string> = {};
  for (const { address, length } of ranges) {
    const [bytes, start] = address >= DATA ? [data, DATA] : [code, CODE];
    const at = Number(address - start);
    memory[number(address)] = hexadecimal(bytes.subarray(at, at + Number(length)));
  }
  const after = Uint8Array.from(data);
  after.set(native.dirty, native.dirtyAt);
  const initial: Record<string, string> = {};
  const final: Record<string, string> = {};
  REGISTER_NAMES.forEach((name, index) => {
    initial[name] = number(request.register(index));
    if (native.register(index) !== request.register(index)) final[name] = number(native.register(index));
  });
  const ended = native.vector === BREAKPOINT;
  initial.rip = number(request.rip);
  initial.rflags = number(BigInt(request.rflags));
  initial.fs_base = number(request.fsBase);
  initial.gs_base = number(request.gsBase);
  final.rip = number(ended ? native.rip - 1n : native.rip);
  final.rflags = number(BigInt(native.rflags & ~Flag.RF));
  return {
    code: hexadecimal(request.code),
    initial: { registers: initial, memory },
    final: { registers: final, memory: changes(data, after) },
    exception: ended
      ? undefined
      : {
          vector: native.vector,
          error_code: WITH_ERROR_CODE.has(native.vector) ? native.error : undefined,
          cr2: native.vector === PAGE_FAULT ? number(native.cr2) : undefined,
        },
  };
}

/** The cases of a form that the real and the emulated processor agree on. */
function casesOf(form: InstructionForm, machine: EmulatedMachine, background: Uint8Array): PublishedCase[] {
  const random = new Random(SEED ^ Math.imul(form.code, 0x9e37_79b1));
  const records = new Uint8Array(COUNT * RECORD_SIZE);
  const requests = Array.from({ length: COUNT }, (_, index) =>
    makeCase(form, random, records.subarray(index * RECORD_SIZE, (index + 1) * RECORD_SIZE)),
  );
  const comparison = { machine, background, vendor: hostVendor(), limit: COUNT };
  const differing = compareRequests(records, requests, () => form.mnemonic, comparison);
  if (differing.length > 0) throw new Error(`${form.name}: ${differing[0]?.text}`);
  const replies = runNative(records, background);
  return requests.flatMap((request, index) => {
    const native = replies[index];
    const traps = (request.rflags & Flag.TF) !== 0;
    const unsure = native !== undefined && native.vector !== BREAKPOINT && faultPriorityVaries(form.mnemonic);
    if (!native || traps || unsure || native.vector === 0xffff) return [];
    return [published(request, native, touched(machine, request), background)];
  });
}

const folder = process.argv[2] ?? '.';
for (const name of readdirSync(folder)) if (name.endsWith('.json')) rmSync(path.join(folder, name));
const background = backgroundData();
const vendor = hostVendor();
const recordedOn = vendor === 'amd' ? 'AuthenticAMD' : 'GenuineIntel';
const machine = new EmulatedMachine(cpuModel(vendor), background);
const files = new Map<string, { form: string; cases: PublishedCase[] }[]>();
for (const form of integerForms(hostFeatures())) {
  if (LEFT_OUT.test(form.mnemonic)) continue;
  const cases = casesOf(form, machine, background);
  if (cases.length === 0) continue;
  const forms = files.get(form.mnemonic) ?? [];
  forms.push({ form: form.text, cases });
  files.set(form.mnemonic, forms);
}
for (const [mnemonic, forms] of files) {
  const file: CaseFile = {
    mnemonic,
    recorded_on: recordedOn,
    undefined_flags: `0x${incomparableFlags(mnemonic, vendor === 'amd' ? 'intel' : 'amd').toString(16)}`,
    forms,
  };
  // One case a line: small, and a change shows as a line.
  const lines = file.forms.map(
    ({ form, cases }) =>
      `  {"form":${JSON.stringify(form)},"cases":[\n${cases.map((item) => `    ${JSON.stringify(item)}`).join(',\n')}\n  ]}`,
  );
  const { forms: _, ...head } = file;
  const text = `${JSON.stringify(head).slice(0, -1)},"forms":[\n${lines.join(',\n')}\n]}\n`;
  writeFileSync(path.join(folder, `${mnemonic}.json`), text);
}
process.stdout.write(`${files.size} files, ${[...files.values()].flat().reduce((sum, { cases }) => sum + cases.length, 0)} cases\n`);
process.stdout.write(`${writeX87Cases(path.join(folder, 'x87'), recordedOn)} cases of the x87 unit\n`);
