import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { describeCase, differences, forgiveLastPlace } from '../../processor/x87/compare.ts';
import { EmulatedFpu } from '../../processor/x87/emulated.ts';
import type { CaseFile } from '../case-file.ts';
import { parse } from './case-file.ts';

const FOLDER = import.meta.dirname;
const files = readdirSync(FOLDER).filter((name) => name.endsWith('.json'));
/** Their results are promised to a unit of the last place. */
const TRANSCENDENTAL = /^(f2xm1|fyl2x|fyl2xp1|fptan|fpatan|fsin|fcos|fsincos)\.json$/;

test('there are cases of every kind of x87 instruction', () => {
  expect(files.length).toBeGreaterThan(80);
});

describe('the published cases of the x87 unit', () => {
  const fpu = new EmulatedFpu('amd');
  test.each(files)('%s', (name) => {
    const file: CaseFile = JSON.parse(readFileSync(path.join(FOLDER, name), 'utf8'));
    for (const { form, cases } of file.forms)
      for (const item of cases) {
        const { given, its } = parse(item);
        const own = fpu.run(given);
        if (TRANSCENDENTAL.test(name)) forgiveLastPlace(own, its);
        expect(differences(own, its), `${form}, ${describeCase(given)}`).toEqual([]);
      }
  });
});
