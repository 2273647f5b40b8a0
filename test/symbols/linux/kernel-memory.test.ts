import { expect, test } from 'vitest';
import { KernelSpace } from './kernel-space.ts';

const AT = 0xffff_c900_0000_1ff8n;

test('memory is read through the page tables, over the borders of pages', () => {
  const space = new KernelSpace();
  space.u64(AT, 0x1122_3344_5566_7788n);
  space.u64(AT + 8n, 0x99n);
  expect(space.memory.u64(AT)).toBe(0x1122_3344_5566_7788n);
  expect(space.memory.read(AT + 4n, 8)).toEqual(Uint8Array.of(0x44, 0x33, 0x22, 0x11, 0x99, 0, 0, 0));
  expect(space.memory.i32(AT)).toBe(0x5566_7788);
});

test('what is not mapped, or longer than anything, is not read', () => {
  const space = new KernelSpace();
  space.u64(AT, 1n);
  expect(space.memory.u64(AT + 8n)).toBeUndefined();
  expect(space.memory.read(AT, 9)).toBeUndefined();
  expect(space.memory.u64(0xffff_8880_0000_0000n)).toBeUndefined();
  expect(space.memory.read(AT, 1 << 30)).toBeUndefined();
});

test('text ends with its zero, its limit, or its page', () => {
  const space = new KernelSpace();
  space.text(AT - 4n, 'virtio_blk');
  expect(space.memory.text(AT - 4n, 64)).toBe('virtio_blk');
  expect(space.memory.text(AT - 4n, 6)).toBe('virtio');
  const last = 0xffff_c900_0000_5ffcn;
  space.write(last, Uint8Array.of(0x61, 0x62, 0x63, 0x64));
  expect(space.memory.text(last, 64)).toBe('abcd');
  expect(space.memory.text(last + 4n, 64)).toBeUndefined();
});
