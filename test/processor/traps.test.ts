import { describe, expect, test } from 'vitest';
import * as L from '../../src/processor/state/layout.ts';
import { withCode } from './guest-code.ts';
import { At, type SystemMachine } from './system/machine.ts';

const CODE = BigInt(At.CODE);
const TF = 0x100;
const IF = 0x200;
const RF = 0x1_0000;

function debugRegister(machine: SystemMachine, index: number, value: bigint): void {
  machine.state.set64(L.DR + index * 8, value);
  machine.processor.stateChanged();
}

/** A source with one vector that is always wanted. */
function interrupt(machine: SystemMachine, vector: number): { taken: number } {
  const count = { taken: 0 };
  machine.processor.setInterruptSource({
    hasInterrupt: () => count.taken === 0,
    getTpr: () => 0,
    setTpr: () => {},
    acknowledge: () => {
      count.taken++;
      return vector;
    },
  });
  return count;
}

describe('the trap flag', () => {
  test('traps after each instruction with DR6.BS', () => {
    const { processor, state } = withCode('protected', '40 40 40');
    state.rflags |= TF;
    expect(processor.run(10)).toMatchObject({ exit: { reason: 'exception', vector: 1, payload: 0x4000n, rip: CODE + 1n } });
    expect(state.icount).toBe(1n);
  });

  test('set by POPF traps after the instruction behind it', () => {
    // push 302h; popf; inc eax; inc eax
    const { processor, state } = withCode('protected', '68 02 03 00 00 9D 40 40');
    expect(processor.run(10)).toMatchObject({ exit: { vector: 1, rip: CODE + 7n } });
    expect(state.icount).toBe(3n);
  });

  test('traps after each pass of a REP instruction', () => {
    const { processor, state } = withCode('protected', 'F3 AA');
    state.setGpr(1, 3n);
    state.setGpr(7, BigInt(At.DATA));
    state.rflags |= TF;
    expect(processor.run(10)).toMatchObject({ exit: { vector: 1, rip: CODE } });
    expect(state.gpr(1)).toBe(2n);
  });

  test('gives way to a fault', () => {
    const { processor, state } = withCode('protected', '0F 0B');
    state.rflags |= TF;
    expect(processor.run(10)).toMatchObject({ exit: { vector: 6, rip: CODE } });
  });

  test('ends a halt', () => {
    // hlt; inc eax
    const { processor, state } = withCode('protected', 'F4 40');
    processor.intercepts.exceptions = 0;
    state.rflags |= TF;
    processor.run(2);
    expect(processor.halted).toBe(false);
    expect(state.get64(L.DR + 48) & 0x4000n).toBe(0x4000n);
  });

  test('waits for the instruction behind MOV SS', () => {
    // mov ss, ax; inc ecx; inc ecx
    const { processor, state } = withCode('protected', '8E D0 41 41');
    state.setGpr(0, 0x10n);
    state.rflags |= TF;
    expect(processor.run(10)).toMatchObject({ exit: { vector: 1, rip: CODE + 3n } });
  });
});

describe('loading SS', () => {
  const BS = 0x4000n;
  /** mov ss, ax, and what follows it, with TF set and debug exceptions delivered to a handler of NOPs. */
  function behindMovSs(code: string): SystemMachine {
    const machine = withCode('long', `8E D0 ${code}`);
    machine.processor.intercepts.exceptions = 0;
    machine.memory.write(BigInt(At.HANDLER), Uint8Array.of(0x90, 0x90, 0x90));
    machine.state.setGpr(0, 0x10n);
    machine.state.rflags |= TF;
    return machine;
  }
  const dr6 = ({ state }: SystemMachine) => state.get64(L.DR + 48) & 0xffffn & ~0xff0n;

  test('is no step: INT1 behind it comes alone, without DR6.BS', () => {
    const machine = behindMovSs('F1 90');
    machine.processor.run(3);
    expect(machine.state.rip).toBe(BigInt(At.HANDLER) + 1n);
    expect(dr6(machine)).toBe(0n);
    expect(machine.read64(Number(machine.state.gpr(4)))).toBe(CODE + 3n);
  });

  test('is no step: general detection behind it is told of alone', () => {
    // mov dr6, rax
    const machine = behindMovSs('0F 23 F0 90');
    debugRegister(machine, 7, 0x2400n);
    machine.processor.run(2);
    expect(dr6(machine)).toBe(0x2000n);
    expect(machine.read64(Number(machine.state.gpr(4)))).toBe(CODE + 2n);
    expect(dr6(machine) & BS).toBe(0n);
  });

  test('holds a breakpoint of the next instruction back', () => {
    const machine = behindMovSs('90 90');
    machine.state.rflags &= ~TF;
    debugRegister(machine, 0, CODE + 2n);
    debugRegister(machine, 7, 0x402n);
    machine.processor.run(3);
    expect(machine.state.rip).toBe(CODE + 4n);
  });

  /** mov ss, [0B010h], which DR0 watches, and what follows. */
  function watched(code: string): SystemMachine {
    const machine = withCode('long', `8E 14 25 10 B0 00 00 ${code}`);
    machine.processor.intercepts.exceptions = 0;
    machine.write64(0xb010, 0x10n);
    machine.memory.write(BigInt(At.HANDLER), Uint8Array.of(0x90, 0x90, 0x90));
    debugRegister(machine, 0, 0xb010n);
    debugRegister(machine, 7, 0x000f_0402n);
    return machine;
  }

  test('from a watched place is one debug exception with INT1 behind it', () => {
    const machine = watched('F1 90');
    const before = machine.state.gpr(4);
    machine.processor.run(3);
    expect(machine.state.gpr(4)).toBe(before - 40n);
    expect(dr6(machine)).toBe(1n);
  });

  test('from a watched place traps in the handler of INT n behind it', () => {
    const machine = watched('CD 03 90');
    const before = machine.state.gpr(4);
    machine.processor.run(3);
    expect(machine.state.gpr(4)).toBe(((before - 40n) & ~15n) - 40n);
    expect(machine.read64(Number(machine.state.gpr(4)))).toBe(BigInt(At.HANDLER));
  });
});

describe('the interrupt shadow', () => {
  test('of STI lasts for one instruction', () => {
    // sti; inc eax; inc eax
    const machine = withCode('long', 'FB FF C0 FF C0');
    const count = interrupt(machine, 0x20);
    machine.processor.run(2);
    expect(count.taken).toBe(0);
    machine.processor.run(1);
    expect(count.taken).toBe(1);
    expect(machine.read64(Number(machine.state.gpr(4)))).toBe(CODE + 3n);
  });

  test('of STI is not cast while interrupts are on already', () => {
    const machine = withCode('long', 'FB FF C0');
    machine.state.rflags |= IF;
    machine.processor.run(1);
    expect(machine.state.get32(L.INTERRUPTIBILITY) & 1).toBe(0);
  });

  test('of MOV SS holds interrupts for one instruction', () => {
    const machine = withCode('protected', '8E D0 41 41');
    machine.state.setGpr(0, 0x10n);
    machine.state.rflags |= IF;
    machine.processor.run(1);
    const count = interrupt(machine, 0x20);
    machine.processor.run(1);
    expect(count.taken).toBe(0);
    machine.processor.run(1);
    expect(count.taken).toBe(1);
  });
});

describe('debug registers', () => {
  test('stop before an instruction, unless RF is set', () => {
    const machine = withCode('protected', '40 40 40');
    debugRegister(machine, 0, CODE + 1n);
    debugRegister(machine, 7, 0x402n);
    expect(machine.processor.run(10)).toMatchObject({ exit: { vector: 1, rip: CODE + 1n, payload: 1n } });
    machine.state.rflags |= RF;
    machine.processor.run(1);
    expect(machine.state.rip).toBe(CODE + 2n);
    expect(machine.state.rflags & RF).toBe(0);
  });

  test('trap after a write to a watched place', () => {
    // mov [0B010h], eax; inc eax
    const machine = withCode('protected', 'A3 10 B0 00 00 40');
    debugRegister(machine, 1, 0xb010n);
    // DR1: four bytes, writes.
    debugRegister(machine, 7, 0x00d0_0408n);
    expect(machine.processor.run(10)).toMatchObject({ exit: { vector: 1, rip: CODE + 5n, payload: 2n } });
    expect(machine.state.icount).toBe(1n);
  });

  test('let reads pass where they watch writes', () => {
    const machine = withCode('protected', 'A1 10 B0 00 00 40 40');
    debugRegister(machine, 1, 0xb010n);
    debugRegister(machine, 7, 0x00d0_0408n);
    expect(machine.processor.run(3).kind).toBe('budget');
  });
});

describe('I/O breakpoints', () => {
  const CR4_DE = 8n;
  /** R/W 2 in DR0, over `length` bytes of ports. */
  function watched(code: string, port: bigint, length: 1 | 2 | 4, cr4 = CR4_DE): SystemMachine {
    const machine = withCode('protected', code);
    machine.state.set64(L.CR4, cr4);
    debugRegister(machine, 0, port);
    debugRegister(machine, 7, 0x401n | (2n << 16n) | (BigInt(length - 1) << 18n));
    return machine;
  }

  test.each([
    ['IN from the port', 'E4 71 40', 0x71n, 1, 2n],
    ['OUT to the port', 'E6 71 40', 0x71n, 1, 2n],
    ['a doubleword that has the port in it', 'E7 70 40', 0x72n, 1, 2n],
    ['a port in a range of four', 'E4 73 40', 0x71n, 4, 2n],
  ] as const)('trap after %s', (_name, code, port, length, size) => {
    const machine = watched(code, port, length);
    const { processor, state } = machine;
    expect(processor.run(10)).toMatchObject({ exit: { reason: 'io' } });
    processor.completeAccess(0xffn);
    expect(processor.run(10)).toMatchObject({ exit: { reason: 'exception', vector: 1, payload: 1n, rip: CODE + size } });
    expect(state.icount).toBe(1n);
  });

  test('trap after each pass of INS under REP, with its data in memory', () => {
    const machine = watched('F3 6C', 0x71n, 1);
    machine.state.setGpr(1, 3n);
    machine.state.setGpr(2, 0x71n);
    machine.state.setGpr(7, BigInt(At.DATA));
    expect(machine.processor.run(10)).toMatchObject({ exit: { reason: 'io' } });
    machine.processor.completeAccess(0x5an);
    expect(machine.processor.run(10)).toMatchObject({ exit: { vector: 1, payload: 1n, rip: CODE } });
    expect(machine.state.gpr(1)).toBe(2n);
    expect(machine.memory.read(BigInt(At.DATA), 1)).toEqual(Uint8Array.of(0x5a));
  });

  test.each([
    ['without CR4.DE', 'E4 71 40', 0x71n, 0n],
    ['at another port', 'E4 72 40', 0x71n, CR4_DE],
  ] as const)('stay silent %s', (_name, code, port, cr4) => {
    const machine = watched(code, port, 1, cr4);
    machine.processor.run(10);
    machine.processor.completeAccess(0n);
    expect(machine.processor.run(2).kind).toBe('budget');
    expect(machine.state.icount).toBe(2n);
  });
});

describe('a pending NMI', () => {
  test('comes before an interrupt and after the debug trap of the instruction before', () => {
    const machine = withCode('long', 'FF C0 FF C0');
    const { processor, state } = machine;
    processor.intercepts.exceptions = 0;
    state.rflags |= TF | IF;
    processor.run(1);
    processor.raiseNmi();
    const count = interrupt(machine, 0x20);
    machine.memory.write(BigInt(At.HANDLER), Uint8Array.of(0x90, 0x90));
    processor.run(1);
    // Frames are 16-byte aligned. The trap was delivered first, and the NMI before its handler's first instruction; the interrupt waits.
    expect(count.taken).toBe(0);
    const top = Number(state.gpr(4));
    expect(machine.read64(top)).toBe(BigInt(At.HANDLER));
    expect(machine.read64(top + 48)).toBe(CODE + 2n);
  });
});
