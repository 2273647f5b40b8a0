import { expect, test } from 'vitest';
import { cpuModel } from '../../../src/processor/models/cpu-models.ts';
import { compareForm, compareRequests } from './compare.ts';
import { EmulatedMachine } from './emulated-machine.ts';
import { type InstructionForm, integerForms } from './forms.ts';
import { backgroundData, hostFeatures, hostVendor } from './native-machine.ts';
import { randomEncodings } from './random-encodings.ts';

/** Defines one test per mnemonic of 16-, 32- or 64-bit code that compares `count` random cases of each of its forms. */
export function compareMnemonics(options: { count: number; seed: number; bits: 16 | 32 | 64 }): void {
  const byMnemonic = new Map<string, InstructionForm[]>();
  for (const form of integerForms(hostFeatures(), options.bits)) {
    const forms = byMnemonic.get(form.mnemonic) ?? [];
    forms.push(form);
    byMnemonic.set(form.mnemonic, forms);
  }
  const vendor = hostVendor();
  const background = backgroundData();
  const comparison = { machine: new EmulatedMachine(cpuModel(vendor), background), background, vendor, limit: 3 };
  for (const [mnemonic, forms] of byMnemonic) {
    test(`${mnemonic.toUpperCase()} in ${options.bits}-bit code (${forms.length} ${forms.length === 1 ? 'form' : 'forms'})`, () => {
      const found = forms.flatMap((form) => compareForm(form, comparison, options.count, options.seed));
      const report = found.map((d) => `${d.form} seed ${d.seed} case ${d.index}: ${d.text}\n  ${d.request}`).join('\n');
      expect(found.length, report).toBe(0);
    });
  }
}

/** Defines one test that compares `count` random encodings: prefixes in any order, odd ones, opcodes that are not defined. */
export function compareEncodings(count: number, seed: number): void {
  test(`${count} random encodings`, () => {
    const features = hostFeatures();
    const vendor = hostVendor();
    const background = backgroundData();
    const { records, requests, mnemonics } = randomEncodings(integerForms(features), count, seed, vendor);
    const machine = new EmulatedMachine(cpuModel(vendor), background);
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
