import { describe, expect, test } from 'vitest';
import { parseCpu } from '../../../src/processor/models/parse-cpu.ts';
import { Random } from '../../support/random.ts';
import { compareRequests } from './compare.ts';
import { EmulatedMachine } from './emulated-machine.ts';
import { backgroundData, hostFeatures, hostVendor, whyNotNative } from './native-machine.ts';
import { AREA_RECORD_SIZE } from './record.ts';
import { forgiveImage, makeSavingCase, SAVING_INSTRUCTIONS } from './saved-state-cases.ts';

const COUNT = 400;
const lacks = ['avx', 'xsaveopt', 'xsavec'].filter((name) => process.platform === 'linux' && !hostFeatures().has(name));
const reason = whyNotNative() ?? (lacks.length > 0 ? `the processor has no ${lacks.join(', ')}` : undefined);

describe.skipIf(reason)(`saved state agrees with the real processor's${reason ? ` (skipped: ${reason})` : ''}`, () => {
  if (reason) return;
  const background = backgroundData();
  const vendor = hostVendor();
  const machine = new EmulatedMachine(parseCpu('max', vendor), background);
  for (const bits of [64, 32] as const)
    for (const name of SAVING_INSTRUCTIONS)
      test(`${name.toUpperCase()} in ${bits}-bit code`, () => {
        const random = new Random(bits);
        const records = new Uint8Array(COUNT * AREA_RECORD_SIZE);
        const requests = Array.from({ length: COUNT }, (_, index) =>
          makeSavingCase(name, random, records.subarray(index * AREA_RECORD_SIZE, (index + 1) * AREA_RECORD_SIZE), bits),
        );
        const found = compareRequests(records, requests, () => name, {
          ...{ machine, background, vendor, limit: 3, forgive: forgiveImage },
        });
        const report = found.map((d) => `case ${d.index}: ${d.text}\n  ${d.request}`).join('\n');
        expect(found.length, report).toBe(0);
      });
});
