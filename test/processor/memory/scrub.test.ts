import { expect, test } from 'vitest';
import { scrub } from '../../../src/processor/memory/scrub.ts';

test('scrubbing finds a byte wherever it is, between pages that were never written', () => {
  const memory = new WebAssembly.Memory({ initial: 4, maximum: 4 });
  const bytes = new Uint8Array(memory.buffer);
  const ends = [0, 4095, 4096, 0x1_0000, 0x2_0fff, bytes.length - 4096, bytes.length - 1];
  for (const at of [...ends, ...Array.from({ length: 64 }, (_, place) => 0x3000 + 65 * place)]) {
    bytes[at] = 0x80;
    scrub(memory);
    expect(bytes.indexOf(0x80), `at ${at}`).toBe(-1);
  }
  bytes.fill(0xff);
  scrub(memory);
  expect(bytes.every((byte) => byte === 0)).toBe(true);
});
