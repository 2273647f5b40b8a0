import { describe, expect, test } from 'vitest';
import { createProcessor } from '../../src/processor/cpu.ts';
import type { ExitDetail } from '../../src/processor/exit.ts';
import * as L from '../../src/processor/state/layout.ts';
import { bytesOf, runWithDevice, withCode } from './guest-code.ts';
import { At, type SystemMachine } from './system/machine.ts';

const RAX = 0;
/** First address without RAM. */
const DEVICE = 0x40_0000n;

type Mmio = Extract<ExitDetail, { reason: 'mmio' }>;

describe('device memory', () => {
  test('is read by leaving, and the instruction takes the value when it runs again', () => {
    // mov eax, [400010h]
    const { processor, state } = withCode('protected', 'A1 10 00 40 00');
    const result = processor.run(1);
    expect(result).toMatchObject({
      kind: 'exit',
      exit: { reason: 'mmio', gpa: DEVICE + 0x10n, size: 4, write: false, instructionLength: 5 },
    });
    expect(state.icount).toBe(0n);
    processor.completeAccess(0x1234_5678n);
    expect(processor.run(1).kind).toBe('budget');
    expect([state.gpr(RAX), state.icount]).toEqual([0x1234_5678n, 1n]);
  });

  test('is read and then written by one instruction, each once', () => {
    // add [400010h], eax
    const machine = withCode('protected', '01 05 10 00 40 00');
    machine.state.setGpr(RAX, 5n);
    const accesses: string[] = [];
    const ended = runWithDevice(machine, 1, (result) => {
      const exit = result.kind === 'exit' && result.exit.reason === 'mmio' ? (result.exit as Mmio) : undefined;
      accesses.push(exit?.write ? `write ${exit.value}` : 'read');
      return 37n;
    });
    expect(ended).toBe('ok');
    expect(accesses).toEqual(['read', 'write 42']);
  });

  test('is moved to RAM by a string instruction, an access a pass', () => {
    // rep movsd
    const machine = withCode('protected', 'F3 A5');
    machine.state.setGpr(1, 4n);
    machine.state.setGpr(6, DEVICE);
    machine.state.setGpr(7, BigInt(At.DATA));
    let next = 0x10n;
    expect(runWithDevice(machine, 4, () => next++)).toBe('ok');
    expect(machine.memory.read(BigInt(At.DATA), 16)).toEqual(bytesOf('10000000 11000000 12000000 13000000'));
  });

  test('lets no interrupt in while its instruction is under way', () => {
    const { processor, state } = withCode('protected', 'A1 10 00 40 00');
    state.rflags |= 0x200;
    processor.run(1);
    processor.setInterruptSource({ hasInterrupt: () => true, acknowledge: () => 0x20, getTpr: () => 0, setTpr: () => {} });
    processor.completeAccess(1n);
    expect(processor.run(1).kind).toBe('budget');
    expect(state.gpr(RAX)).toBe(1n);
  });

  test('behind RAM is asked before a store across the border changes RAM', () => {
    // add [3FFFFEh], eax
    const machine = withCode('protected', '01 05 FE FF 3F 00');
    machine.state.setGpr(RAX, 0x0202_0202n);
    machine.memory.write(DEVICE - 2n, bytesOf('0101'));
    const written: bigint[] = [];
    runWithDevice(machine, 1, (result) => {
      if (result.kind === 'exit' && result.exit.reason === 'mmio' && result.exit.write) written.push(result.exit.value);
      return 0x10n;
    });
    expect(machine.memory.read(DEVICE - 2n, 2)).toEqual(bytesOf('0303'));
    expect(written).toEqual([0x12n, 0x12n]);
  });
});

describe('an access across pages', () => {
  test('reads and writes both', () => {
    // mov eax, [0BFFEh]; mov [0CFFDh], eax
    const machine = withCode('protected', 'A1 FE BF 00 00 A3 FD CF 00 00');
    machine.memory.write(0xbffen, bytesOf('11 22 33 44'));
    machine.processor.run(2);
    expect(machine.memory.read(0xcffdn, 4)).toEqual(bytesOf('11 22 33 44'));
  });

  test('writes nothing when the second page faults', () => {
    // mov [3FFFFEh], eax in long mode, where 400000h is not mapped
    const machine = withCode('long', '89 04 25 FE FF 3F 00');
    machine.state.setGpr(RAX, 0xffff_ffffn);
    expect(machine.processor.run(1)).toMatchObject({ exit: { vector: 14, payload: 0x40_0000n, errorCode: 2 } });
    expect(machine.memory.read(DEVICE - 2n, 2)).toEqual(bytesOf('0000'));
  });
});

describe('a store across pages whose second page faults', () => {
  const PT = 0x7000;
  const FIRST = 0x1f000;
  const ACCESSED = 0x20n;
  const DIRTY = 0x40n;

  /** 4 KiB pages that map to themselves; what is at FIRST + 1000h is not present or read-only. */
  function paged(second: bigint): SystemMachine {
    // mov [rbx], eax
    const machine = withCode('long', '89 03');
    for (let page = 0; page < 512; page++) machine.write64(PT + page * 8, BigInt(page * 0x1000) | 7n);
    machine.write64(PT + (FIRST >> 12) * 8 + 8, second);
    machine.write64(At.PD, BigInt(PT) | 7n);
    machine.state.set64(L.CR0, machine.state.cr0 | (1n << 16n));
    machine.state.setGpr(3, BigInt(FIRST + 0xffe));
    machine.state.setGpr(RAX, 0x1234_5678n);
    machine.processor.stateChanged();
    return machine;
  }
  const entry = (machine: SystemMachine, page: number) => machine.read64(PT + (page >> 12) * 8);

  test.each([
    ['not present', 0n, 2],
    ['read-only', BigInt(FIRST + 0x1000) | 5n, 3],
  ] as const)('%s: writes nothing and leaves its entry as it is', (_name, second, errorCode) => {
    const machine = paged(second);
    expect(machine.processor.run(1)).toMatchObject({ exit: { reason: 'exception', vector: 14, errorCode } });
    expect(machine.read32(FIRST + 0xffc)).toBe(0);
    expect(entry(machine, FIRST + 0x1000)).toBe(second);
    // The first page was translated for the write: processors may have set its bits, or not. We are on the side of the access.
    expect(entry(machine, FIRST) & DIRTY).toBe((entry(machine, FIRST) & ACCESSED) << 1n);
  });

  test('runs again once the page is there, and sets A and D of both', () => {
    const machine = paged(0n);
    machine.processor.run(1);
    machine.write64(PT + (FIRST >> 12) * 8 + 8, BigInt(FIRST + 0x1000) | 7n);
    expect(machine.processor.run(1).kind).toBe('budget');
    expect([machine.read32(FIRST + 0xffc), machine.read32(FIRST + 0x1000)]).toEqual([0x5678_0000, 0x1234]);
    for (const page of [FIRST, FIRST + 0x1000]) expect(entry(machine, page) & (ACCESSED | DIRTY)).toBe(ACCESSED | DIRTY);
  });
});

describe('segments', () => {
  test('with a limit are checked in real mode', () => {
    // mov ax, [FFFFh]
    expect(withCode('real', 'A1 FF FF').processor.run(1)).toMatchObject({ exit: { reason: 'exception', vector: 13 } });
    // mov [bp-1], ax with BP 0: through SS
    const machine = withCode('real', '89 46 FF');
    machine.state.setGpr(5, 0n);
    expect(machine.processor.run(1)).toMatchObject({ exit: { reason: 'exception', vector: 12 } });
  });

  test('CS can be read but not written in protected mode', () => {
    // mov eax, cs:[0B000h]; mov cs:[0B000h], eax
    const { processor } = withCode('protected', '2E A1 00 B0 00 00 2E A3 00 B0 00 00');
    expect(processor.run(1).kind).toBe('budget');
    expect(processor.run(1)).toMatchObject({ exit: { reason: 'exception', vector: 13, errorCode: 0 } });
  });

  test('that are null fault only when they are used', () => {
    // mov eax, [0B000h]; mov eax, gs:[0B000h]
    const { processor, state } = withCode('protected', 'A1 00 B0 00 00 65 A1 00 B0 00 00');
    state.setSegment(5, { selector: 0, base: 0n, limit: 0, rights: 0x1_0000 });
    processor.stateChanged();
    expect(processor.run(1).kind).toBe('budget');
    expect(processor.run(1)).toMatchObject({ exit: { reason: 'exception', vector: 13 } });
  });

  test('do not matter for jumps in 64-bit mode, whatever the limit of CS', () => {
    // 66 jmp +0, which is 16 bits wide
    const { processor, state } = withCode('long', '66 E9 00 00 90');
    state.setSegment(1, { selector: 0x18, base: 0n, limit: 0, rights: 0x209b });
    processor.stateChanged();
    expect(processor.run(1).kind).toBe('budget');
  });

  test('wrap at 64 KiB for 16-bit addresses', () => {
    // mov al, [bx+si] with BX + SI = 1_8000h
    const machine = withCode('real', '8A 00');
    machine.state.setGpr(3, 0xc000n);
    machine.state.setGpr(6, 0xc000n);
    machine.memory.write(0x8000n, bytesOf('8A'));
    machine.processor.run(1);
    expect(machine.state.gpr(RAX)).toBe(0x8an);
  });
});

test('a non-canonical address raises #GP, or #SS through the stack', () => {
  const machine = withCode('long', '8B 03 50');
  machine.state.setGpr(3, 0x8000_0000_0000n);
  expect(machine.processor.run(1)).toMatchObject({ exit: { vector: 13, errorCode: 0 } });
  machine.state.setGpr(4, 0x8000_0000_0000_0000n);
  machine.state.rip += 2n;
  expect(machine.processor.run(1)).toMatchObject({ exit: { vector: 12, errorCode: 0 } });
});

test('an unaligned access of user code raises #AC when it is asked for', () => {
  const machine = withCode('long-user', '8B 03');
  machine.state.setGpr(3, BigInt(At.DATA + 1));
  machine.state.set64(0x1d8, machine.state.cr0 | (1n << 18n));
  machine.state.rflags |= 1 << 18;
  machine.processor.stateChanged();
  expect(machine.processor.run(1)).toMatchObject({ exit: { vector: 17, errorCode: 0 } });
});

test('CS can be written in real mode, from reset on', () => {
  // mov cs:[0B000h], ax
  const machine = withCode('real', '2E A3 00 B0');
  const reset = createProcessor({ index: 0, memory: machine.memory, model: machine.processor.model });
  machine.state.setSegment(1, { ...reset.state.segment(1), selector: 0, base: 0n });
  machine.processor.stateChanged();
  expect(machine.processor.run(1).kind).toBe('budget');
});
