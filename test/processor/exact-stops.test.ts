import { describe, expect, test } from 'vitest';
import { bytesOf, withCode } from './guest-code.ts';
import { At } from './system/machine.ts';

const CODE = BigInt(At.CODE);
const RAX = 0;
const RCX = 1;
const RDI = 7;

/** inc eax; inc eax; inc eax; jmp to the first. */
const COUNT_32 = '40 40 40 EB FB';

describe('a budget', () => {
  test.each([1, 2, 3, 4, 7, 1000])('of %i retires exactly that many instructions', (budget) => {
    const { processor, state } = withCode('protected', COUNT_32);
    expect(processor.run(budget).kind).toBe('budget');
    expect(state.icount).toBe(BigInt(budget));
    expect(state.gpr(RAX)).toBe(BigInt(budget - Math.floor(budget / 4)));
  });

  test('that is cut into pieces leads to the same state', () => {
    const whole = withCode('protected', COUNT_32);
    whole.processor.run(997);
    const pieces = withCode('protected', COUNT_32);
    for (let done = 0; done < 997; ) {
      const piece = Math.min(997 - done, 1 + (done % 13));
      pieces.processor.run(piece);
      done += piece;
    }
    expect(pieces.processor.stateHash()).toBe(whole.processor.stateHash());
  });

  test('does not count an instruction that faults', () => {
    // inc eax; ud2
    const { processor, state } = withCode('protected', '40 0F 0B');
    const result = processor.run(100);
    expect(result).toMatchObject({ kind: 'exit', exit: { reason: 'exception', vector: 6 } });
    expect(state.icount).toBe(1n);
    expect(state.rip).toBe(CODE + 1n);
  });
});

describe('REP', () => {
  test('counts each pass and stops between them', () => {
    // rep stosb
    const { processor, state } = withCode('protected', 'F3 AA 90');
    state.setGpr(RCX, 5n);
    state.setGpr(RDI, BigInt(At.DATA));
    processor.run(3);
    expect([state.icount, state.rip, state.gpr(RCX), state.gpr(RDI)]).toEqual([3n, CODE, 2n, BigInt(At.DATA + 3)]);
    processor.run(3);
    expect([state.icount, state.rip, state.gpr(RCX)]).toEqual([6n, CODE + 3n, 0n]);
  });

  test('counts once when there is nothing to do', () => {
    const { processor, state } = withCode('protected', 'F3 AA 90');
    state.setGpr(RDI, BigInt(At.DATA));
    processor.run(1);
    expect([state.icount, state.rip, state.gpr(RDI)]).toEqual([1n, CODE + 2n, BigInt(At.DATA)]);
  });

  test('lets an interrupt in between its passes', () => {
    const machine = withCode('long', 'F3 AA 90');
    const { processor, state } = machine;
    machine.memory.write(BigInt(At.HANDLER), bytesOf('90'));
    state.setGpr(RCX, 100n);
    state.setGpr(RDI, BigInt(At.DATA));
    state.rflags |= 0x200;
    processor.run(10);
    let pending = true;
    processor.setInterruptSource({
      hasInterrupt: () => pending,
      getTpr: () => 0,
      setTpr: () => {},
      acknowledge: () => {
        pending = false;
        return 0x20;
      },
    });
    processor.run(1);
    expect(state.rip).toBe(BigInt(At.HANDLER + 1));
    expect(state.gpr(RCX)).toBe(90n);
    // The frame returns to the instruction itself.
    expect(machine.read64(Number(state.gpr(4)))).toBe(CODE);
  });
});

describe('a breakpoint', () => {
  test('stops before its instruction, and is passed once on request', () => {
    const { processor, state } = withCode('protected', COUNT_32);
    processor.setBreakpoints(new Set([CODE + 2n]));
    expect(processor.run(1000)).toEqual({ kind: 'breakpoint', rip: CODE + 2n });
    expect(state.icount).toBe(2n);
    processor.resumePast();
    expect(processor.run(1000)).toEqual({ kind: 'breakpoint', rip: CODE + 2n });
    expect(state.icount).toBe(6n);
  });

  test('in code that is decoded already stops too, and goes without a trace', () => {
    const { processor, state, memory } = withCode('protected', COUNT_32);
    processor.run(400);
    processor.setBreakpoints(new Set([CODE + 1n]));
    expect(processor.run(1000).kind).toBe('breakpoint');
    expect(memory.read(CODE, 5)).toEqual(bytesOf(COUNT_32));
    processor.setBreakpoints(new Set());
    expect(processor.run(1000).kind).toBe('budget');
    expect(state.icount).toBe(1401n);
  });

  test('on a REP instruction stops once, not at each pass', () => {
    const { processor, state } = withCode('protected', 'F3 AA 90 EB FE');
    state.setGpr(RCX, 50n);
    state.setGpr(RDI, BigInt(At.DATA));
    processor.setBreakpoints(new Set([CODE]));
    expect(processor.run(1000).kind).toBe('breakpoint');
    processor.resumePast();
    expect(processor.run(1000).kind).toBe('budget');
    expect(state.gpr(RCX)).toBe(0n);
  });

  test('stops at the budget when both fall together', () => {
    const { processor } = withCode('protected', COUNT_32);
    processor.setBreakpoints(new Set([CODE + 2n]));
    expect(processor.run(2).kind).toBe('budget');
    expect(processor.run(1).kind).toBe('breakpoint');
  });
});

describe('a watch', () => {
  const DATA = BigInt(At.DATA);
  const watch = (space: 'gva' | 'gpa', address: bigint, length: bigint, read: boolean, write: boolean) => ({
    id: 7,
    space,
    address,
    length,
    read,
    write,
  });
  // mov [DATA+10h], eax; mov ebx, [DATA+14h]; jmp to the first
  const CODE_32 = 'A3 10 B0 00 00 8B 1D 14 B0 00 00 EB F3';

  test.each(['gva', 'gpa'] as const)('on a %s stops before a write has any effect', (space) => {
    const { processor, state, memory } = withCode('protected', CODE_32);
    state.setGpr(RAX, 0x1234n);
    processor.setWatches([watch(space, DATA + 0x12n, 1n, false, true)]);
    const hit = { watch: 7, space, address: DATA + 0x10n, size: 4, write: true };
    expect(processor.run(10)).toEqual({ kind: 'watch', hit });
    expect([state.icount, state.rip]).toEqual([0n, CODE]);
    expect(memory.read(DATA + 0x10n, 4)).toEqual(bytesOf('00000000'));
    processor.resumePast();
    expect(processor.run(10).kind).toBe('watch');
    expect(state.icount).toBe(3n);
    expect(memory.read(DATA + 0x10n, 4)).toEqual(bytesOf('34120000'));
  });

  test('for reads lets writes pass', () => {
    const { processor, state } = withCode('protected', CODE_32);
    processor.setWatches([watch('gva', DATA + 0x10n, 8n, true, false)]);
    expect(processor.run(10)).toMatchObject({ kind: 'watch', hit: { address: DATA + 0x14n, write: false } });
    expect(state.icount).toBe(1n);
  });

  test('can cover a large range, and set after the pages were used', () => {
    const { processor, state } = withCode('protected', CODE_32);
    processor.run(300);
    processor.setWatches([watch('gva', 0xa800n, 0x10_0000n, true, true)]);
    expect(processor.run(10).kind).toBe('watch');
    expect(state.icount).toBe(300n);
  });

  test('on the second page of a crossing write stops before the first is written', () => {
    // add [DATA+0FFEh], eax
    const { processor, state, memory } = withCode('protected', '01 05 FE BF 00 00');
    state.setGpr(RAX, 0x0101_0101n);
    processor.setWatches([watch('gpa', DATA + 0x1000n, 1n, false, true)]);
    expect(processor.run(1).kind).toBe('watch');
    expect(memory.read(DATA + 0xffen, 4)).toEqual(bytesOf('00000000'));
    processor.resumePast();
    expect(processor.run(1).kind).toBe('budget');
    expect(memory.read(DATA + 0xffen, 4)).toEqual(bytesOf('01010101'));
  });
});
