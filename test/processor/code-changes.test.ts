import { describe, expect, test } from 'vitest';
import { createProcessor } from '../../src/processor/cpu.ts';
import { PartitionMemory } from '../../src/processor/memory/partition-memory.ts';
import { cpuModel } from '../../src/processor/models/cpu-models.ts';
import * as L from '../../src/processor/state/layout.ts';
import { bytesOf, withCode } from './guest-code.ts';
import { At } from './system/machine.ts';

const CODE = BigInt(At.CODE);
const RAX = 0;
const RBX = 3;

describe('code that changes', () => {
  test('by the instruction before, in the same block, is run as it is now', () => {
    // mov byte [CODE+8], 43h (inc ebx); nop; inc eax at +8
    const { processor, state } = withCode('protected', 'C6 05 08 80 00 00 43 90 40 EB FE');
    processor.run(3);
    expect([state.gpr(RAX), state.gpr(RBX)]).toEqual([0n, 1n]);
  });

  test('in a loop is decoded again each time', () => {
    // xor byte [CODE+7], 3 (inc eax <-> inc ebx); inc eax at +7; jmp to the first
    const { processor, state } = withCode('protected', '80 35 07 80 00 00 03 40 EB F6');
    processor.run(300);
    expect([state.gpr(RAX), state.gpr(RBX)]).toEqual([50n, 50n]);
  });

  test('by a REP store over the code behind it', () => {
    // rep stosb; inc ebx three times
    const { processor, state } = withCode('protected', 'F3 AA 43 43 43 EB FE');
    state.setGpr(RAX, 0x40n);
    state.setGpr(1, 3n);
    state.setGpr(7, CODE + 2n);
    processor.run(6);
    expect([state.gpr(RAX), state.gpr(RBX)]).toEqual([0x43n, 0n]);
  });

  test('by the debugger', () => {
    const { processor, state } = withCode('protected', '40 EB FD');
    processor.run(100);
    processor.writeMemory('gva', CODE, bytesOf('43'));
    processor.run(100);
    expect([state.gpr(RAX), state.gpr(RBX)]).toEqual([50n, 50n]);
  });

  test('by a device that writes to memory', () => {
    const { processor, state, memory } = withCode('protected', '40 EB FD');
    processor.run(100);
    memory.write(CODE, bytesOf('43'));
    processor.run(100);
    expect([state.gpr(RAX), state.gpr(RBX)]).toEqual([50n, 50n]);
  });

  test('by another vCPU, also when it wrote to the page before it had code', () => {
    const memory = new PartitionMemory([{ gpa: 0n, length: 0x10_0000 }], 2);
    const [first, second] = [0, 1].map((index) => createProcessor({ index, memory, model: cpuModel('intel') }));
    if (!first || !second) throw new Error('two processors');
    // inc ax; jmp — and, for the other: mov byte [8000h], 43h; jmp
    memory.write(0x8000n, bytesOf('40 EB FD'));
    memory.write(0x9000n, bytesOf('C6 06 00 81 43 C6 06 00 80 43 EB F4'));
    for (const [processor, rip] of [
      [first, 0x8000n],
      [second, 0x9000n],
    ] as const) {
      processor.state.setSegment(1, { selector: 0, base: 0n, limit: 0xffff, rights: 0x9b });
      processor.state.rip = rip;
      processor.stateChanged();
    }
    second.run(1);
    first.run(100);
    second.run(1);
    first.run(100);
    expect([first.state.gpr(RAX), first.state.gpr(RBX)]).toEqual([50n, 50n]);
  });

  test('by the last byte of a store to what lies before it', () => {
    // mov [CODE+8], eax; jmp +4; three bytes of data and inc ebx, which the store's fourth byte is; jmp to the first
    const { processor, state } = withCode('protected', 'A3 08 80 00 00 EB 04 90 00 00 00 43 EB F2');
    state.setGpr(RAX, 0x4300_0000n);
    processor.run(3);
    expect(state.gpr(RBX)).toBe(1n);
    state.setGpr(RAX, 0x4000_0000n);
    processor.run(4);
    expect([state.gpr(RAX), state.gpr(RBX)]).toEqual([0x4000_0001n, 1n]);
  });

  test('in the second page of an instruction that crosses', () => {
    // mov eax, imm32 with its last two bytes in the next page; then jump back
    const { processor, state, memory } = withCode('protected', '90');
    memory.write(0x8ffdn, bytesOf('B8 11 22 33 44 EB F9'));
    state.rip = 0x8ffdn;
    processor.run(2);
    expect(state.gpr(RAX)).toBe(0x4433_2211n);
    memory.write(0x9000n, bytesOf('55'));
    processor.run(2);
    expect(state.gpr(RAX)).toBe(0x4455_2211n);
  });

  test('under another mapping of its second page', () => {
    // Two tables for the linear page 20_1000h; the instruction begins in 20_0FFDh.
    const machine = withCode('long', '90');
    const { processor, state, memory } = machine;
    const table = 0x7000;
    machine.write64(At.PD + 8, BigInt(table | 7));
    machine.write64(table, 0x10_0007n);
    machine.write64(table + 8, 0x10_1007n);
    memory.write(0x10_0ffdn, bytesOf('B8 11 22'));
    memory.write(0x10_1000n, bytesOf('33 44'));
    memory.write(0x10_2000n, bytesOf('55 66'));
    state.rip = 0x20_0ffdn;
    processor.run(1);
    expect(state.gpr(RAX)).toBe(0x4433_2211n);
    machine.write64(table + 8, 0x10_2007n);
    state.rip = 0x20_0ffdn;
    processor.stateChanged();
    processor.run(1);
    expect(state.gpr(RAX)).toBe(0x6655_2211n);
  });
});

describe('data beside running code', () => {
  const TABLE = 0x7000;
  const COUNTER = 0x800n;

  /** Code in the linear page 20_0000h, in either of two frames, that counts in its own page. */
  function counting() {
    const machine = withCode('long', '90');
    machine.write64(At.PD + 8, BigInt(TABLE | 7));
    machine.write64(TABLE, 0x10_0007n);
    // again: inc qword [rip+7F9h]; jmp again
    for (const frame of [0x10_0000n, 0x10_1000n]) machine.memory.write(frame, bytesOf('48 FF 05 F9 07 00 00 EB F7'));
    machine.state.rip = 0x20_0000n;
    return machine;
  }
  const counterIn = ({ memory }: ReturnType<typeof counting>, frame: bigint) =>
    memory.view.getUint32(memory.offsetOf(Number(frame + COUNTER)), true);

  test('is written as often as the code says', () => {
    const machine = counting();
    machine.processor.run(2000);
    expect(counterIn(machine, 0x10_0000n)).toBe(1000);
  });

  test('goes to another frame as soon as the page does', () => {
    const machine = counting();
    machine.processor.run(2000);
    machine.write64(TABLE, 0x10_1007n);
    machine.processor.stateChanged();
    machine.processor.run(2000);
    expect([counterIn(machine, 0x10_0000n), counterIn(machine, 0x10_1000n)]).toEqual([1000, 1000]);
  });

  test('can no longer be written once the page is read-only', () => {
    const machine = counting();
    machine.state.set32(L.CR0, machine.state.get32(L.CR0) | (1 << 16));
    machine.processor.stateChanged();
    machine.processor.run(2000);
    machine.write64(TABLE, 0x10_0005n);
    machine.processor.stateChanged();
    expect(machine.processor.run(2000)).toMatchObject({ exit: { reason: 'exception', vector: 14 } });
    expect(counterIn(machine, 0x10_0000n)).toBe(1000);
  });
});

describe('instructions', () => {
  test('of more than 15 bytes raise #GP', () => {
    const { processor } = withCode('protected', `${'66'.repeat(14)} 40 ${'66'.repeat(15)} 40`);
    expect(processor.run(1).kind).toBe('budget');
    expect(processor.run(1)).toMatchObject({ exit: { reason: 'exception', vector: 13, errorCode: 0 } });
  });

  test('whose second page is missing fault at that page', () => {
    const machine = withCode('long', '90');
    machine.memory.write(0x3f_fffen, bytesOf('B8 11'));
    machine.state.rip = 0x3f_fffen;
    const result = machine.processor.run(1);
    expect(result).toMatchObject({ exit: { reason: 'exception', vector: 14, payload: 0x40_0000n } });
    expect(machine.state.rip).toBe(0x3f_fffen);
  });

  test('beyond the limit of CS raise #GP', () => {
    const machine = withCode('real', '90');
    machine.memory.write(0xffffn, bytesOf('40'));
    machine.state.rip = 0xffffn;
    machine.processor.stateChanged();
    expect(machine.processor.run(1).kind).toBe('budget');
    expect(machine.processor.run(1)).toMatchObject({ exit: { reason: 'exception', vector: 13 } });
  });

  test('with a VEX prefix are LDS and LES in real mode', () => {
    // andn eax, ecx, edx, which real mode takes for LES with a register
    expect(withCode('real', 'C4 E2 70 F2 C2').processor.run(1)).toMatchObject({ exit: { vector: 6 } });
    const { processor, state } = withCode('protected', 'C4 E2 70 F2 C2');
    state.setGpr(1, 0xf0n);
    state.setGpr(2, 0xffn);
    expect(processor.run(1).kind).toBe('budget');
    expect(state.gpr(RAX)).toBe(0xfn);
  });

  test.each([
    ['F0 01 C0', 'LOCK with a register'],
    ['F0 8B 07', 'LOCK with an instruction that only reads'],
    ['0F 0B', 'UD2'],
    ['0F FF C0', 'UD0'],
    ['0F C7 C0', 'CMPXCHG8B with a register'],
    ['8C F8', 'a segment register that does not exist'],
    ['8D C0', 'LEA of a register'],
    ['0F 10 C0', 'SSE'],
    ['C5 F8 77', 'AVX'],
    ['C4 E2 74 F2 C2', 'ANDN with a length of 256 bits'],
    ['66 C4 E2 70 F2 C2', 'ANDN behind an operand-size prefix'],
    ['C4 E3 73 F0 C2 01', 'RORX with a register that it has no use for'],
  ])('%s (%s) raises #UD', (code) => {
    const { processor } = withCode('protected', code);
    expect(processor.run(1)).toMatchObject({ exit: { reason: 'exception', vector: 6 } });
  });
});
