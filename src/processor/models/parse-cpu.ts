import type { CpuModel } from './cpu-model.ts';
import { FEATURES, IMPLEMENTED, REQUIRED_BY } from './features.ts';
import { makeModel } from './model.ts';
import { NAMED_MODELS } from './named-models.ts';

/** A processor that can't be made as it was asked for. One sentence that says why, and how to mend it. */
export class CpuError extends Error {}

/** Distance of two words in single letters added, removed or changed. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++)
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)));
    row = next;
  }
  return row[b.length] ?? 0;
}

function hint(word: string, candidates: Iterable<string>): string {
  const [best] = [...candidates].map((name) => ({ name, far: distance(word, name) })).sort((a, b) => a.far - b.far);
  return best && best.far <= 2 ? ` Did you mean ${best.name}?` : '';
}

/** Features that a set must have besides, because others of it need them. */
function missing(features: ReadonlySet<string>): { readonly feature: string; readonly by: string } | undefined {
  for (const [feature, users] of Object.entries(REQUIRED_BY))
    for (const by of users) if (features.has(by) && !features.has(feature)) return { feature, by };
  return undefined;
}

/** Features that can't be without another one, directly or not; 64-bit mode is nobody's appendix: it must be given up by name. */
function dependents(feature: string): string[] {
  const users = (REQUIRED_BY[feature] ?? []).filter((name) => name !== 'lm');
  return users.flatMap((name) => [name, ...dependents(name)]);
}

/**
 * The processor that a text describes: a model's name, then features to switch on and off, as in `haswell,-movbe,+umip`; the
 * name may be missing. What needs a feature that is switched off goes with it, unless it is switched on by name. `vendor` is whose it must be, if anybody cares. Throws CpuError.
 */
export function parseCpu(text: string, vendor?: CpuModel['vendor']): CpuModel {
  const words = text.split(',').map((word) => word.trim().toLowerCase());
  const switches = words.filter((word) => /^[+-]/.test(word));
  const [name = vendor === 'amd' ? 'epyc' : 'skylake', ...more] = words.filter((word) => word !== '' && !/^[+-]/.test(word));
  if (more.length > 0)
    throw new CpuError(`A processor has one model; "${more[0]}" is too many. Write +${more[0]} to switch a feature on.`);
  const make = NAMED_MODELS[name];
  if (!make)
    throw new CpuError(
      `There is no processor model "${name}"; there are ${Object.keys(NAMED_MODELS).join(', ')}.${hint(name, Object.keys(NAMED_MODELS))}`,
    );
  const table = make(vendor ?? 'intel');
  if (vendor !== undefined && table.vendor !== vendor)
    throw new CpuError(
      `The processor model ${name} is ${table.vendor === 'amd' ? "AMD's" : "Intel's"}; leave the vendor out, or name another model.`,
    );
  const features = new Set(table.features);
  for (const word of switches) {
    const feature = word.slice(1);
    if (!FEATURES.has(feature))
      throw new CpuError(`There is no processor feature "${feature}".${hint(feature, FEATURES.keys())}`);
    if (word.startsWith('-'))
      for (const name of [feature, ...dependents(feature)]) {
        if (!switches.includes(`+${name}`)) features.delete(name);
      }
    else if (IMPLEMENTED.has(feature)) features.add(feature);
    else throw new CpuError(`The emulated processor doesn't have the feature ${feature} yet.`);
  }
  const lack = missing(features);
  if (lack)
    throw new CpuError(
      `The feature ${lack.by} needs ${lack.feature}; switch both on, or both off: +${lack.feature} or -${lack.by}.`,
    );
  return makeModel({ ...table, features: [...features] });
}
