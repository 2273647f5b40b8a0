import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseCpu } from '../../../src/processor/models/parse-cpu.ts';
import { instructionDefinitions } from '../../../src/x86/definitions/index.ts';
import { isNear } from '../../processor/native/approximations.ts';
import { EmulatedMachine } from '../../processor/native/emulated-machine.ts';
import { DATA_SIZE } from '../../processor/native/record.ts';
import type { CaseFile } from '../case-file.ts';
import { replay } from '../replay.ts';

const FOLDER = import.meta.dirname;
const files = readdirSync(FOLDER).filter((name) => name.endsWith('.json'));

/** Takes the recorded values of singles in vector registers where ours are near enough. */
function takeNear(own: Record<string, string>, its: Readonly<Record<string, string>>): void {
  const lanes = (text: string): number[] =>
    (text.slice(2).padStart(32, '0').match(/.{8}/g) ?? []).map((word) => Number.parseInt(word, 16));
  for (const [name, text] of Object.entries(its)) {
    if (!/^[xy]mm/.test(name)) continue;
    const other = lanes(own[name] ?? '0x0');
    if (lanes(text).every((lane, index) => lane === other[index] || isNear(lane, other[index] ?? 0))) own[name] = text;
  }
}

test('there are cases of every vector instruction', () => {
  const vectors = instructionDefinitions.filter(
    ({ registers }) => registers === 'mmx' || registers === 'sse' || registers === 'avx',
  );
  const mnemonics = new Set(vectors.map(({ mnemonic }) => mnemonic.toLowerCase()));
  expect([...mnemonics].filter((mnemonic) => !files.includes(`${mnemonic}.json`))).toEqual([]);
});

describe.each(['interpreter', 'translator'] as const)('the published cases of vectors in the %s', (tier) => {
  const machine = new EmulatedMachine(parseCpu('max', 'amd'), new Uint8Array(DATA_SIZE), tier);
  test.each(files)('%s', (name) => {
    const file: CaseFile = JSON.parse(readFileSync(path.join(FOLDER, name), 'utf8'));
    for (const { form, cases } of file.forms)
      for (const item of cases) {
        const { own, its } = replay(machine, item, true);
        if (file.relative_error) takeNear(own.registers, its.registers);
        expect(own, `${form}: ${item.code}`).toEqual(its);
      }
  });
});
