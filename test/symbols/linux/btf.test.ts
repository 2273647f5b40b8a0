import { expect, test } from 'vitest';
import { Btf, BtfError } from '../../../src/symbols/linux/btf.ts';
import { Random } from '../../support/random.ts';
import { btf } from './tables.ts';

const STRUCTS = {
  list_head: [{ name: 'next', offset: 0 }],
  module: [
    { name: 'state', offset: 0 },
    { name: 'name', offset: 24 },
    {
      name: 'core_layout',
      offset: 320,
      struct: [
        { name: 'base', offset: 0 },
        { name: 'size', offset: 8 },
      ],
    },
    // Without a name: its members are those of the structure around it.
    { name: '', offset: 400, struct: [{ name: 'kallsyms', offset: 16 }] },
    { name: 'mem', offset: 512, isArray: true, struct: [{ name: 'base', offset: 8 }] },
  ],
};

test('offsets of members, also within structures, arrays and what has no name', () => {
  const types = new Btf(btf(STRUCTS));
  expect(types.offsetOf('module', 'name')).toBe(24);
  expect(types.offsetOf('module', 'core_layout.size')).toBe(328);
  expect(types.offsetOf('module', 'kallsyms')).toBe(416);
  expect(types.offsetOf('module', 'mem.base')).toBe(520);
  expect(types.offsetOf('list_head', 'next')).toBe(0);
  expect(types.struct('module')?.size).toBe(4096);
  expect(types.firstOffsetOf('module', 'module_core', 'core_layout.base')).toBe(320);
});

test('what there is not has no offset', () => {
  const types = new Btf(btf(STRUCTS));
  expect(types.offsetOf('modul', 'name')).toBeUndefined();
  expect(types.offsetOf('module', 'nam')).toBeUndefined();
  expect(types.offsetOf('module', 'name.length')).toBeUndefined();
  expect(types.firstOffsetOf('module', 'a', 'b')).toBeUndefined();
});

test('damage is told, and harms nobody', () => {
  const bytes = btf(STRUCTS);
  expect(() => new Btf(bytes.subarray(0, 20))).toThrow('The type information has no BTF header.');
  expect(() => new Btf(bytes.subarray(0, bytes.length - 1))).toThrow(
    'A section of the type information (BTF) reaches beyond its end.',
  );
  const unknown = bytes.slice();
  unknown[24 + 7] = 31;
  expect(() => new Btf(unknown)).toThrow('The type information (BTF) has a type of the unknown kind 31.');
  const random = new Random(2);
  for (let round = 0; round < 500; round++) {
    const copy = bytes.slice();
    for (let change = 0; change < 3; change++) copy[random.below(copy.length)] = random.below(256);
    try {
      new Btf(copy).offsetOf('module', 'core_layout.base');
    } catch (error) {
      expect(error).toBeInstanceOf(BtfError);
    }
  }
});
