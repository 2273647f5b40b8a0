import { expect, test } from 'vitest';
import { fromBase64, toBase64 } from '../../src/adapter/references.ts';
import { cpuTime } from '../support/cpu-time.ts';
import { Random } from '../support/random.ts';

test('base64 is what everybody else reads and writes', () => {
  const random = new Random(64);
  for (let length = 0; length < 200; length++) {
    const bytes = Uint8Array.from({ length }, () => random.next() & 0xff);
    expect(toBase64(bytes)).toBe(Buffer.from(bytes).toString('base64'));
    expect(fromBase64(toBase64(bytes))).toEqual(bytes);
  }
  expect(fromBase64('aG\nk=')).toEqual(new TextEncoder().encode('hi'));
});

test('a mebibyte takes milliseconds', () => {
  const bytes = new Uint8Array(1024 * 1024).fill(0xa5);
  const times = Array.from({ length: 5 }, () => {
    const begin = cpuTime();
    toBase64(bytes);
    return cpuTime() - begin;
  }).sort((a, b) => a - b);
  expect(times[2]).toBeLessThan(60);
});
