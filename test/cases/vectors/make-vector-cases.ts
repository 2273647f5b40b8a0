import { parseCpu } from '../../../src/processor/models/parse-cpu.ts';
import { Flag } from '../../../src/processor/state/cpu-state.ts';
import { hex } from '../../../src/x86/address.ts';
import { entersMmxOddly, isApproximate } from '../../processor/native/approximations.ts';
import { compareReplies } from '../../processor/native/compare.ts';
import { EmulatedMachine } from '../../processor/native/emulated-machine.ts';
import { CaseSource, type FormCases } from '../../processor/native/form-cases.ts';
import { type InstructionForm, vectorForms } from '../../processor/native/forms.ts';
import { backgroundData, hostFeatures, hostVendor } from '../../processor/native/native-machine.ts';
import { Reply, type Request } from '../../processor/native/record.ts';
import type { PublishedCase } from '../case-file.ts';
import { BREAKPOINT, emptyFolder, exceptionOf, memoryOf, type Range, touched, writeCases } from '../recording.ts';
import { registersOf } from '../registers.ts';
import { MMX_WORDS, usedRegisters } from './used-registers.ts';

/** Cases of each form to choose from. */
const CANDIDATES = 100;
/** Cases of each form that are chosen: those that end, and those that raise an exception. */
const MOST_ENDING = 3;
const SEED = 0x5eed5;
/** Of RCPPS, RSQRTPS and their like. */
const RELATIVE_ERROR = '0x1.8p-12';
const INVALID_OPCODE = 6;
const SIMD = 19;
/** #GP, #PF, #MF and #AC. */
const FAULTS = [13, 14, 16, 17];

interface Candidate {
  readonly request: Request;
  readonly native: Reply;
  /** What is special about it, to choose different ones. */
  readonly traits: ReadonlySet<string>;
}

function traitsOf(request: Request, native: Reply): ReadonlySet<string> {
  const traits = new Set<string>();
  const [before, after] = [request.vectors?.mxcsr ?? 0, native.vectors?.mxcsr ?? 0];
  // A memory operand has been given contents.
  traits.add(request.patch.length > 0 ? 'memory' : 'registers');
  const raised = after & ~before & 0x3f;
  for (let bit = 1; bit <= 0x20; bit <<= 1) if ((raised & bit) !== 0) traits.add(`raises ${bit}`);
  // How numbers are rounded and flushed matters where something is inexact, tiny or denormal.
  if ((raised & 0x32) !== 0) traits.add(`mode ${after & 0xe040}`);
  return traits;
}

/** What a trait counts: both kinds of operands before all, then the rarer exceptions, then the way of rounding. */
function weight(trait: string): number {
  if (trait === 'memory' || trait === 'registers') return 4;
  if (trait.startsWith('mode')) return 0.5;
  return /^raises (1|4|8|16)$/.test(trait) ? 1.5 : 1;
}

/** Chooses the candidates with the most traits that none chosen before has. */
function chooseDifferent(candidates: readonly Candidate[], most: number): Candidate[] {
  const chosen: Candidate[] = [];
  const seen = new Set<string>();
  const news = ({ traits }: Candidate): number =>
    [...traits].reduce((sum, trait) => sum + (seen.has(trait) ? 0 : weight(trait)), 0);
  while (chosen.length < Math.min(most, candidates.length)) {
    const rest = candidates.filter((candidate) => !chosen.includes(candidate));
    const best = rest.reduce((a, b) => (news(b) > news(a) ? b : a));
    for (const trait of best.traits) seen.add(trait);
    chosen.push(best);
  }
  return chosen;
}

/** A few cases of a form: ones that end, and one for each kind of exception that it is known for. */
function choose(candidates: readonly Candidate[], form: InstructionForm): Candidate[] {
  const withVector = (vector: number) => candidates.filter(({ native }) => native.vector === vector);
  const faults = FAULTS.filter((vector) => withVector(vector).length > 0);
  // Not the same one for every form.
  const fault = faults[form.code % Math.max(1, faults.length)] ?? INVALID_OPCODE;
  return [
    ...chooseDifferent(withVector(BREAKPOINT), MOST_ENDING),
    ...withVector(SIMD).slice(0, 1),
    ...withVector(fault).slice(0, 1),
  ];
}

function published(
  form: InstructionForm,
  { request, native }: Candidate,
  ranges: readonly Range[],
  background: Uint8Array,
): PublishedCase {
  const memory = memoryOf(request, native, ranges, background);
  const before: Record<string, string> = { ...registersOf(request), fs_base: hex(request.fsBase), gs_base: hex(request.gsBase) };
  const after: Record<string, string> = { ...before, ...registersOf(native) };
  if (native.vector === BREAKPOINT) after.rip = hex(native.rip - 1n);
  after.rflags = hex(native.rflags & ~Flag.RF);
  const final = Object.fromEntries(Object.entries(after).filter(([name, value]) => before[name] !== value));
  const used = new Set([...usedRegisters(request.code), ...Object.keys(final)]);
  // They are of MMX also where they name none of its registers.
  if (/^(emms|cvtpi2p[sd])$/.test(form.mnemonic)) for (const word of MMX_WORDS) used.add(word);
  return {
    code: Buffer.from(request.code).toString('hex'),
    initial: { registers: Object.fromEntries(Object.entries(before).filter(([name]) => used.has(name))), memory: memory.before },
    final: { registers: final, memory: memory.after },
    exception: exceptionOf(native),
  };
}

/** Whether the emulated processor leaves TOP and the tags of x87 as the real one does, where those are known to differ. */
function entersMmxAlike(request: Request, { vectors: real }: Reply, machine: EmulatedMachine): boolean {
  const { vectors: own } = machine.run(request);
  machine.restore();
  return own?.status === real?.status && own?.tags === real?.tags;
}

/** The published cases of a form, out of those that the real and the emulated processor agree on. */
function casesOf(form: InstructionForm, made: FormCases, machine: EmulatedMachine, background: Uint8Array): PublishedCase[] {
  const comparison = { machine, background, vendor: hostVendor(), limit: CANDIDATES };
  const differing = compareReplies(made.requests, made.replies, () => form.mnemonic, comparison);
  if (differing.length > 0) throw new Error(`${form.name}: ${differing[0]?.text}`);
  const candidates = made.requests.flatMap((request, index): Candidate[] => {
    const native = made.replies[index];
    if (!native || native.vector === Reply.TIMEOUT || (request.rflags & Flag.TF) !== 0) return [];
    if (entersMmxOddly(form.mnemonic) && !entersMmxAlike(request, native, machine)) return [];
    return [{ request, native, traits: traitsOf(request, native) }];
  });
  return choose(candidates, form).map((candidate) => published(form, candidate, touched(machine, candidate.request), background));
}

/** Records the cases of MMX, SSE and AVX into a folder; gives how many. */
export function writeVectorCases(folder: string, recordedOn: string): number {
  emptyFolder(folder);
  const background = backgroundData();
  const machine = new EmulatedMachine(parseCpu('max', hostVendor()), background);
  const forms = vectorForms(hostFeatures());
  const source = new CaseSource(forms, CANDIDATES, SEED, background);
  const files = new Map<string, { form: string; cases: PublishedCase[] }[]>();
  for (const form of forms) {
    const mnemonic = form.mnemonic.replace('_xmm', '');
    const cases = casesOf(form, source.take(form), machine, background);
    files.set(mnemonic, [...(files.get(mnemonic) ?? []), { form: form.text, cases }]);
  }
  for (const [mnemonic, forms] of files) {
    const relative_error = isApproximate(mnemonic) ? RELATIVE_ERROR : undefined;
    writeCases(folder, { mnemonic, recorded_on: recordedOn, relative_error }, forms);
  }
  return [...files.values()].flat().reduce((sum, { cases }) => sum + cases.length, 0);
}
