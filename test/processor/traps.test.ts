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

  test('waits for the instruction behind MOV SS', () => {
    // mov ss, ax; inc ecx; inc ecx
    const { processor, state } = withCode('protected', '8E D0 41 41');
    state.setGpr(0, 0x10n);
    state.rflags |= TF;
    expect(processor.run(10)).toMatchObject({ exit: { vector: 1, rip: CODE + 3n } });
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
