import { expect, test } from 'vitest';
import { nearestName } from '../../src/x86/nearest-name.ts';

const names = ['platform', 'program', 'serial-console', 'hypercalls', 'send-ipis', 'port', 'al'];

test.each([
  ['Platform', 'platform', 'case'],
  ['platfrom', 'platform', 'swapped letters'],
  ['progam', 'program', 'one too few'],
  ['hypercal', 'hypercalls', 'two too few'],
  ['serial', 'serial-console', 'a part'],
  ['ipis', 'send-ipis', 'another part'],
  ['hypercalls-page', 'hypercalls', 'a part of the word'],
])('%s means %s (%s)', (word, name) => {
  expect(nearestName(word, names)).toBe(name);
});

test.each(['fly', 'ax', '', 'x', 'constant'])('%j means none of them', (word) => {
  expect(nearestName(word, names)).toBeUndefined();
});

test('the fewest letters count, and no more than are allowed', () => {
  expect(nearestName('roper', ['rope2r1', 'ropes', 'properly'])).toBe('ropes');
  expect(nearestName('vcpu', ['cpu', 'vcpus'])).toBe('vcpus');
  expect(nearestName('hypercal', names, 1)).toBeUndefined();
  expect(nearestName('serial', names, 1)).toBeUndefined();
});
