import { expect, test } from 'vitest';
import type { CpuModel } from '../../../src/processor/models/cpu-model.ts';
import { cpuModel } from '../../../src/processor/models/cpu-models.ts';
import { parseCpu } from '../../../src/processor/models/parse-cpu.ts';
import { compareReplies, compareRequests } from './compare.ts';
import { EmulatedMachine, type Tier } from './emulated-machine.ts';
import { CaseSource } from './form-cases.ts';
import { type InstructionForm, integerForms, missingVectorFeatures, vectorForms } from './forms.ts';
import { backgroundData, hostFeatures, hostVendor } from './native-machine.ts';
import { randomEncodings } from './random-encodings.ts';

/** CPUID.7.0:EBX bits of the extensions that a model may do without, by the name that Linux gives them. */
const OPTIONAL = { fsgsbase: 0, bmi1: 3, bmi2: 8, adx: 19 } as const;

/** Features of the host that the emulated processor has too. */
function commonFeatures(model: CpuModel): ReadonlySet<string> {
  const features = new Set(hostFeatures());
  const { ebx } = model.cpuid(7, 0);
  for (const [name, bit] of Object.entries(OPTIONAL)) if (((ebx >>> bit) & 1) === 0) features.delete(name);
  return features;
}

/** Forms to compare. Those of extensions that the model does not advertise are left out. */
function commonForms(model: CpuModel, bits: 16 | 32 | 64): InstructionForm[] {
  return integerForms(commonFeatures(model), bits);
}

interface SuiteOptions {
  /** Cases of each form, or of all forms together. */
  readonly count?: number;
  readonly cases?: number;
  readonly seed: number;
  readonly bits: 16 | 32 | 64;
  readonly tier?: Tier;
}

/** Defines one test per mnemonic of 16-, 32- or 64-bit code that compares `count` random cases of each of its forms. */
export function compareMnemonics(options: SuiteOptions): void {
  const model = cpuModel(hostVendor());
  compareForms(commonForms(model, options.bits), model, options);
}

/** The same for the forms of MMX, SSE and AVX. */
export function compareVectors(options: SuiteOptions): void {
  const host = hostFeatures();
  if (!host.has('avx')) {
    test.skip('vectors (the harness needs a processor with AVX)', () => {});
    return;
  }
  const missing = missingVectorFeatures(host);
  if (missing.length > 0) test.skip(`what the processor lacks: ${missing.join(', ')}`, () => {});
  compareForms(vectorForms(host, options.bits), parseCpu('max', hostVendor()), options);
}

function compareForms(forms: readonly InstructionForm[], model: CpuModel, options: SuiteOptions): void {
  const vendor = hostVendor();
  const byMnemonic = new Map<string, InstructionForm[]>();
  for (const form of forms) {
    const forms = byMnemonic.get(form.mnemonic) ?? [];
    forms.push(form);
    byMnemonic.set(form.mnemonic, forms);
  }
  const background = backgroundData();
  const comparison = { machine: new EmulatedMachine(model, background, options.tier), background, vendor, limit: 3 };
  const count = options.count ?? Math.ceil((options.cases ?? 0) / forms.length);
  const cases = new CaseSource([...byMnemonic.values()].flat(), count, options.seed, background);
  for (const [mnemonic, forms] of byMnemonic) {
    test(`${mnemonic.toUpperCase()} in ${options.bits}-bit code${options.tier === 'translator' ? ', translated' : ''} (${forms.length} ${forms.length === 1 ? 'form' : 'forms'})`, () => {
      const found = forms.flatMap((form) => {
        const { requests, replies } = cases.take(form);
        return compareReplies(requests, replies, () => form.mnemonic, comparison).map((d) => ({ ...d, form }));
      });
      const report = found
        .map((d) => `${d.form.name} seed ${options.seed} case ${d.index}: ${d.text}\n  ${d.request}`)
        .join('\n');
      expect(found.length, report).toBe(0);
    });
  }
}

/** Defines one test that compares `count` random encodings: prefixes in any order, odd ones, opcodes that are not defined. */
export function compareEncodings(count: number, seed: number, tier: Tier = 'interpreter'): void {
  const model = cpuModel(hostVendor());
  compareRandom(count, seed, tier, model, commonForms(model, 64), false);
}

/** The same among the opcodes of MMX, SSE and AVX. */
export function compareVectorEncodings(count: number, seed: number, tier: Tier = 'interpreter'): void {
  const host = hostFeatures();
  if (!host.has('avx')) return;
  compareRandom(count, seed, tier, parseCpu('max', hostVendor()), [...integerForms(host), ...vectorForms(host)], true);
}

function compareRandom(
  count: number,
  seed: number,
  tier: Tier,
  model: CpuModel,
  forms: readonly InstructionForm[],
  withVectors: boolean,
): void {
  test(`${count} random encodings${withVectors ? ' of vectors' : ''}${tier === 'translator' ? ', translated' : ''}`, () => {
    const vendor = hostVendor();
    const background = backgroundData();
    const { records, requests, mnemonics } = randomEncodings(forms, withVectors, count, seed, vendor);
    const machine = new EmulatedMachine(model, background, tier);
    const found = compareRequests(records, requests, (index) => mnemonics[index] ?? '', {
      machine,
      background,
      vendor,
      limit: 40,
    });
    const report = found.map((d) => `${mnemonics[d.index]} seed ${seed} case ${d.index}: ${d.text}\n  ${d.request}`).join('\n');
    expect(found.length, report).toBe(0);
  });
}
