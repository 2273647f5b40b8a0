import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { cpuModel } from '../../src/processor/models/cpu-models.ts';
import { EmulatedMachine } from '../processor/native/emulated-machine.ts';
import { CODE, DATA, DATA_SIZE } from '../processor/native/record.ts';
import type { CaseFile } from './case-file.ts';
import { replay } from './replay.ts';

const FOLDER = import.meta.dirname;
const files = readdirSync(FOLDER).filter((name) => name.endsWith('.json'));

test('there are cases of every kind of integer instruction', () => {
  expect(files.length).toBeGreaterThan(150);
});

describe.each(['interpreter', 'translator'] as const)('the published cases in the %s', (tier) => {
  const machine = new EmulatedMachine(cpuModel('amd'), new Uint8Array(DATA_SIZE), tier);
  test.each(files)('%s', (name) => {
    const file: CaseFile = JSON.parse(readFileSync(path.join(FOLDER, name), 'utf8'));
    for (const { form, cases } of file.forms)
      for (const item of cases) {
        const { own, its } = replay(machine, item, false);
        expect(own, `${form}: ${item.code}`).toEqual(its);
      }
  });
});

test('code stands where the README says', () => {
  expect([CODE, DATA]).toEqual([0x1000_0000n, 0x2000_0000n]);
});
