import { describe, expect, test } from 'vitest';
import { withProgram } from './programs.ts';

const IF = 0x200;

/** Lets interrupts in and keeps them out in all ways that there are; the handler counts in RBX. */
const PROGRAM = `
    xor eax, eax
again:
    pushfq
    cli
    inc rax
    popfq
    pushfq
    or qword [rsp], ${IF}
    popfq
    inc rax
    cli
    inc rax
    sti
    inc rax
    inc rax
    pushfq
    and qword [rsp], ~${IF}
    popfq
    inc rax
    std
    pushfq
    cld
    popfq
    adc rcx, rax
    sti
    nop
    jmp again`;

/** Runs with interrupts that come at given instructions; says where each was taken, and the state at the end. */
function run(threshold: number, slice: number, interrupts: readonly number[]) {
  const { processor, state, memory } = withProgram('long', PROGRAM, { threshold });
  // inc rbx; iretq
  memory.write(0xe000n, Uint8Array.of(0x48, 0xff, 0xc3, 0x48, 0xcf));
  processor.intercepts.exceptions = 0;
  const taken: string[] = [];
  let waiting = false;
  processor.setInterruptSource({
    hasInterrupt: () => waiting,
    getTpr: () => 0,
    setTpr: () => {},
    acknowledge: () => {
      waiting = false;
      taken.push(`${state.rip.toString(16)} ${state.icount}`);
      return 40;
    },
  });
  for (const [index, from] of interrupts.entries()) {
    waiting = true;
    const end = interrupts[index + 1] ?? from;
    while (state.icount < BigInt(end)) processor.run(Math.min(slice, end - Number(state.icount)));
  }
  return { taken, rbx: state.gpr(3), hash: processor.stateHash(), made: processor.translations.made };
}

describe('interrupts that wait for IF', () => {
  // Few places of the loop are the same from one interrupt to the next.
  const interrupts = [0, ...Array.from({ length: 60 }, (_, index) => 3000 + index * 51)];
  const expected = run(0, 1, interrupts);

  test.each([
    [0, 3],
    [0, 1000],
    [10, 1],
    [10, 1000],
  ])('come in at the same instructions with threshold %i in slices of %i', (threshold, slice) => {
    const { made, ...outcome } = run(threshold, slice, interrupts);
    expect(made > 0).toBe(threshold > 0);
    expect({ ...outcome, made: 0 }).toEqual(expected);
  });

  test('come in at several places', () => {
    expect(expected.taken).toHaveLength(interrupts.length - 1);
    expect(new Set(expected.taken.map((text) => text.split(' ')[0])).size).toBeGreaterThan(2);
  });
});
