import { expect, test } from 'vitest';
import { cpuModel } from '../../../src/processor/models/cpu-models.ts';
import { compareForm } from './compare.ts';
import { EmulatedMachine } from './emulated-machine.ts';
import { type InstructionForm, integerForms } from './forms.ts';
import { backgroundData, hostFeatures, hostVendor } from './native-machine.ts';

/** Defines one test per mnemonic that compares `count` random cases of each of its forms. */
export function compareMnemonics(options: { count: number; seed: number }): void {
  const byMnemonic = new Map<string, InstructionForm[]>();
  for (const form of integerForms(hostFeatures())) {
    const forms = byMnemonic.get(form.mnemonic) ?? [];
    forms.push(form);
    byMnemonic.set(form.mnemonic, forms);
  }
  const vendor = hostVendor();
  const background = backgroundData();
  const machine = new EmulatedMachine(cpuModel(vendor), background);
  for (const [mnemonic, forms] of byMnemonic) {
    test(`${mnemonic.toUpperCase()} (${forms.length} ${forms.length === 1 ? 'form' : 'forms'})`, () => {
      const found = forms.flatMap((form) => compareForm(form, machine, { ...options, vendor, background, limit: 3 }));
      const report = found.map((d) => `${d.form} seed ${d.seed} case ${d.index}: ${d.text}\n  ${d.request}`).join('\n');
      expect(found.length, report).toBe(0);
    });
  }
}
