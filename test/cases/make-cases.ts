import path from 'node:path';
import { cpuModel } from '../../src/processor/models/cpu-models.ts';
import { Flag } from '../../src/processor/state/cpu-state.ts';
import { makeCase } from '../processor/native/cases.ts';
import { compareRequests } from '../processor/native/compare.ts';
import { EmulatedMachine } from '../processor/native/emulated-machine.ts';
import { type InstructionForm, integerForms } from '../processor/native/forms.ts';
import { backgroundData, hostFeatures, hostVendor, runNative } from '../processor/native/native-machine.ts';
import { RECORD_SIZE, Reply, type Request } from '../processor/native/record.ts';
import { faultPriorityVaries, incomparableFlags } from '../processor/native/undefined-flags.ts';
import { Random } from '../support/random.ts';
import { type PublishedCase, REGISTER_NAMES } from './case-file.ts';
import { BREAKPOINT, emptyFolder, exceptionOf, memoryOf, type Range, touched, writeCases } from './recording.ts';
import { writeVectorCases } from './vectors/make-vector-cases.ts';
import { writeX87Cases } from './x87/make-x87-cases.ts';

/** Cases of each form. */
const COUNT = 3;
const SEED = 0xca5e5;
/** What instructions of user mode do beyond registers and memory is not recorded. */
const LEFT_OUT =
  /^(int|int1|int3|into|syscall|sysenter|cpuid|rdtsc|rdtscp|rdpmc|rdrand|rdseed|rdpid|.*(fs|gs)base|lsl|lar|verr|verw|str|sldt|smsw|sgdt|sidt|xgetbv)$/;

const number = (value: bigint): string => `0x${value.toString(16)}`;

function published(request: Request, native: Reply, ranges: readonly Range[], background: Uint8Array): PublishedCase {
  const memory = memoryOf(request, native, ranges, background);
  const initial: Record<string, string> = {};
  const final: Record<string, string> = {};
  REGISTER_NAMES.forEach((name, index) => {
    initial[name] = number(request.register(index));
    if (native.register(index) !== request.register(index)) final[name] = number(native.register(index));
  });
  initial.rip = number(request.rip);
  initial.rflags = number(BigInt(request.rflags));
  initial.fs_base = number(request.fsBase);
  initial.gs_base = number(request.gsBase);
  final.rip = number(native.vector === BREAKPOINT ? native.rip - 1n : native.rip);
  final.rflags = number(BigInt(native.rflags & ~Flag.RF));
  return {
    code: Buffer.from(request.code).toString('hex'),
    initial: { registers: initial, memory: memory.before },
    final: { registers: final, memory: memory.after },
    exception: exceptionOf(native),
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
    if (!native || traps || unsure || native.vector === Reply.TIMEOUT) return [];
    return [published(request, native, touched(machine, request), background)];
  });
}

const folder = process.argv[2] ?? '.';
emptyFolder(folder);
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
  const undefined_flags = `0x${incomparableFlags(mnemonic, vendor === 'amd' ? 'intel' : 'amd').toString(16)}`;
  writeCases(folder, { mnemonic, recorded_on: recordedOn, undefined_flags }, forms);
}
process.stdout.write(
  `${files.size} files, ${[...files.values()].flat().reduce((sum, { cases }) => sum + cases.length, 0)} cases\n`,
);
process.stdout.write(`${writeX87Cases(path.join(folder, 'x87'), recordedOn)} cases of the x87 unit\n`);
process.stdout.write(`${writeVectorCases(path.join(folder, 'vectors'), recordedOn)} cases of vectors\n`);
