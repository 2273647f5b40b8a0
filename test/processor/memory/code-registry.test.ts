import { describe, expect, test } from 'vitest';
import { CodeRegistry } from '../../../src/processor/memory/code-registry.ts';
import { PartitionMemory } from '../../../src/processor/memory/partition-memory.ts';

/** A registry, and what it told the one vCPU that has code. */
function registryOf() {
  const registry = new CodeRegistry(new PartitionMemory([{ gpa: 0n, length: 0x10_0000 }], 1));
  const told: string[] = [];
  registry.join({
    dropCode: (gpa, length) => told.push(`${gpa.toString(16)}+${length}`),
    dropWriteTranslations: (gpa) => told.push(`page ${gpa.toString(16)}`),
  });
  return { registry, told };
}

describe('the bytes of decoded code', () => {
  test.each([
    [0x100, 1],
    [0x11f, 2],
    [0x0f8, 9],
    [0x144, 8],
    [0, 0x1000],
  ])('are touched by a store to %i of %i bytes', (from, length) => {
    const { registry, told } = registryOf();
    registry.add(0x8100n, 0x45);
    told.length = 0;
    expect(registry.isCode(0x8000 + from, length)).toBe(true);
    registry.written(BigInt(0x8000 + from), length);
    expect(told).toEqual([`${(0x8000 + from).toString(16)}+${length}`]);
  });

  test.each([
    [0xf8, 8],
    [0x145, 8],
    [0xff8, 8],
    [0, 1],
  ])('are left by a store beside them, to %i of %i bytes', (from, length) => {
    const { registry, told } = registryOf();
    registry.add(0x8100n, 0x45);
    told.length = 0;
    expect(registry.isCode(0x8000 + from, length)).toBe(false);
    registry.written(BigInt(0x8000 + from), length);
    expect(told).toEqual([]);
  });

  test('are those of each page that a long write touches', () => {
    const { registry, told } = registryOf();
    registry.add(0x8ff0n, 0x10);
    registry.add(0x9000n, 4);
    registry.add(0xb000n, 4);
    told.length = 0;
    registry.written(0x8ff8n, 0x2000);
    expect(told).toEqual(['8ff8+8', '9000+4096']);
    expect(registry.isCode(0x8ff0, 8)).toBe(true);
  });

  test('make a page ask, until the last of them was written', () => {
    const { registry, told } = registryOf();
    registry.add(0x8100n, 0x40);
    registry.add(0x8180n, 2);
    expect(told).toEqual(['page 8000']);
    registry.written(0x8100n, 0x40);
    expect(registry.hasCode(0x8000)).toBe(true);
    registry.written(0x8181n, 1);
    registry.written(0x8180n, 1);
    expect(registry.hasCode(0x8000)).toBe(false);
    told.length = 0;
    registry.add(0x8180n, 2);
    expect(told).toEqual(['page 8000']);
  });
});
