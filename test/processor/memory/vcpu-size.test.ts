import { expect, test } from 'vitest';
import { createProcessor } from '../../../src/processor/cpu.ts';
import { PartitionMemory } from '../../../src/processor/memory/partition-memory.ts';
import { cpuModel } from '../../../src/processor/models/cpu-models.ts';
import { SMALL_VCPU_SIZE } from '../../../src/processor/state/layout.ts';

test('vCPUs with less room decode more code than they have room for without reaching into one another', () => {
  const memory = new PartitionMemory([{ gpa: 0n, length: 0x10_0000 }], 2, SMALL_VCPU_SIZE);
  expect(memory.vcpuBase(1) - memory.vcpuBase(0)).toBe(SMALL_VCPU_SIZE);
  const [processor, other] = [0, 1].map((index) =>
    createProcessor({ index, memory, model: cpuModel('intel'), translator: { threshold: 0 } }),
  );
  if (!processor || !other) throw new Error('two processors');
  const rest = () => memory.bytes.slice(memory.vcpuBase(1));
  // inc ax, over all of a segment: as many operations as there are bytes, and as many again under other segment bases.
  memory.write(0x1_0000n, new Uint8Array(0xfff0).fill(0x40));
  const { state } = processor;
  const before = rest();
  for (const base of [0x1_0000n, 0x0_fff0n]) {
    state.setSegment(1, { selector: 0, base, limit: 0xffff, rights: 0x9b });
    state.rip = 0x10n;
    state.setGpr(0, 0n);
    processor.stateChanged();
    processor.run(0xff00);
    expect(state.gpr(0)).toBe(0xff00n);
  }
  expect(Buffer.compare(rest(), before)).toBe(0);
});
