import { expect, test } from 'vitest';
import { zeroedPages } from '../../src/platforms/zeroed-memory.ts';

const MIB = 1 << 20;
const LOW = { gpa: 0n, length: 0xa_0000 };
const REST = { gpa: 0xc_0000n, length: 16 * MIB - 0xc_0000 };
const HIGH = { gpa: 1n << 32n, length: 4 * MIB };

test('all of RAM from 1 MiB on is zero where nothing is written', () => {
  expect(zeroedPages([LOW, REST, HIGH], [])).toEqual([
    { page: 0x100n, count: 0xf00n },
    { page: 0x10_0000n, count: 0x400n },
  ]);
});

test('pages that something is written to are left out whole, in any order, also across each other', () => {
  const written = [
    { gpa: 0x80_0ff0n, size: 0x20 },
    { gpa: 0x10_0001n, size: 1 },
    { gpa: 0x50_0000n, size: 0x3000 },
    { gpa: 0x50_1000n, size: 0x1000 },
    { gpa: 0x500n, size: 16 },
    { gpa: 0x60_0000n, size: 0 },
    { gpa: 0xff_f000n, size: 0x1000 },
  ];
  expect(zeroedPages([LOW, REST], written)).toEqual([
    { page: 0x101n, count: 0x3ffn },
    { page: 0x503n, count: 0x2fdn },
    { page: 0x802n, count: 0x7fdn },
  ]);
});
