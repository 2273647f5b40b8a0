import { expect, test } from 'vitest';
import { CpuState, Flag } from '../../src/processor/state/cpu-state.ts';

test('rflags survives a round trip through its split form', () => {
  const state = new CpuState(new ArrayBuffer(0x2000), 0);
  for (let bits = 0; bits < 64; bits++) {
    let flags = 2;
    [Flag.CF, Flag.PF, Flag.AF, Flag.ZF, Flag.SF, Flag.OF].forEach((flag, i) => {
      if (bits & (1 << i)) flags |= flag;
    });
    state.rflags = flags | Flag.IF;
    expect(state.rflags).toBe(flags | Flag.IF);
  }
});
