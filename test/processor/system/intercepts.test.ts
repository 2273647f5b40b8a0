import { describe, expect, test } from 'vitest';
import type { InterceptSet } from '../../../src/processor/intercepts.ts';
import * as L from '../../../src/processor/state/layout.ts';
import { At, Selector, SystemMachine } from './machine.ts';

type Case = readonly [code: string, reason: string, set: (intercepts: InterceptSet) => void, privileged: boolean];

const cases: readonly Case[] = [
  ['0fa2', 'cpuid', (set) => Object.assign(set, { cpuid: true }), false],
  ['f4', 'hlt', (set) => Object.assign(set, { hlt: true }), true],
  ['f390', 'pause', (set) => Object.assign(set, { pause: true }), false],
  ['0f01c1', 'hypercall', (set) => Object.assign(set, { hypercall: true }), false],
  ['0f01d9', 'hypercall', (set) => Object.assign(set, { hypercall: true }), false],
  ['0f31', 'rdtsc', (set) => Object.assign(set, { rdtsc: true }), false],
  ['0f01f9', 'rdtsc', (set) => Object.assign(set, { rdtscp: true }), false],
  ['0f33', 'rdpmc', (set) => Object.assign(set, { rdpmc: true }), true],
  ['0f0138', 'invlpg', (set) => Object.assign(set, { invlpg: true }), true],
  ['0f09', 'wbinvd', (set) => Object.assign(set, { wbinvd: true }), true],
  ['0f0110', 'descriptor-table', (set) => Object.assign(set, { descriptorTable: { read: 0, write: 2 } }), true],
  ['0f0100', 'descriptor-table', (set) => Object.assign(set, { descriptorTable: { read: 2, write: 0 } }), false],
  ['0f00d0', 'descriptor-table', (set) => Object.assign(set, { descriptorTable: { read: 0, write: 4 } }), true],
  ['0f00c8', 'descriptor-table', (set) => Object.assign(set, { descriptorTable: { read: 8, write: 0 } }), false],
  ['0f21c0', 'dr', (set) => Object.assign(set, { dr: { read: 1, write: 0 } }), true],
  ['0f20d8', 'cr', (set) => Object.assign(set, { cr: { read: 1 << 3, write: 0 } }), true],
  ['0f22d8', 'cr', (set) => Object.assign(set, { cr: { read: 0, write: 1 << 3 } }), true],
  ['0f06', 'cr', (set) => Object.assign(set, { cr: { read: 0, write: 1 } }), true],
  ['0f01f0', 'cr', (set) => Object.assign(set, { cr: { read: 0, write: 1 } }), true],
  ['0f32', 'msr-read', (set) => Object.assign(set, { msr: () => true }), true],
  ['0f30', 'msr-write', (set) => Object.assign(set, { msr: () => true }), true],
];

describe('what a hypervisor intercepts leaves without effect', () => {
  test.each(cases)('%s: %s', (code, reason, set, privileged) => {
    const machine = new SystemMachine('long');
    set(machine.processor.intercepts);
    machine.state.setGpr(1, 0x10n);
    const before = machine.processor.stateHash();
    expect(machine.step(code)).toBe(reason);
    expect(machine.processor.stateHash()).toBe(before);
    const user = new SystemMachine('long-user');
    set(user.processor.intercepts);
    expect(user.step(code)).toBe(privileged ? '#GP(0)' : reason);
  });
});

describe('what is not intercepted', () => {
  test.each(['0f01c1', '0f01d9', '0f01c2', '0f01d8', '0faa', '0f37', '0f0b'])('%s is undefined on bare hardware', (code) => {
    expect(new SystemMachine('long').step(code)).toBe('#UD');
  });

  test('an intercepted instruction can be done as on bare hardware', () => {
    const machine = new SystemMachine('long');
    machine.processor.intercepts.cr.write = 1;
    machine.state.setGpr(0, 0x8001_0013n);
    expect(machine.step('0f22c0')).toBe('cr');
    machine.processor.performNatively();
    expect(machine.state.cr0).toBe(0x8001_0013n);
    expect(machine.state.rip).toBe(BigInt(At.CODE + 3));
  });
});

test.each(['0f32', '0f30'])('an MSR that no table has is #GP(0) when the processor itself is asked (%s)', (code) => {
  const machine = new SystemMachine('long');
  machine.processor.intercepts.exceptions = 0;
  machine.msr(0x1234, 0n);
  expect(machine.step(code)).toMatch(/^msr-/);
  machine.processor.performNatively();
  expect(machine.state.rip).toBe(BigInt(At.HANDLER));
  expect(machine.read64(At.STACK - 48)).toBe(0n);
});

test('a debugger sees the fault of an instruction that is done natively, before it is delivered and once', () => {
  const machine = new SystemMachine('long');
  const { processor, state } = machine;
  processor.intercepts.exceptions = 0;
  processor.debugExceptions = 1 << 13;
  machine.msr(0x1234, 0n);
  expect(machine.step('0f32')).toMatch(/^msr-/);
  processor.performNatively();
  expect(state.rip).toBe(BigInt(At.CODE));
  expect(processor.run(1)).toMatchObject({ kind: 'exit', exit: { reason: 'exception', vector: 13, errorCode: 0 } });
  processor.resumePast('exception');
  expect(processor.run(1)).toMatchObject({ kind: 'exit', exit: { reason: 'msr-read' } });
  processor.performNatively();
  expect(state.rip).toBe(BigInt(At.HANDLER));
});

describe('windows', () => {
  test('an NMI window opens when IRET ends the blocking of NMIs', () => {
    const machine = new SystemMachine('long');
    const { processor, state } = machine;
    state.set32(L.INTERRUPTIBILITY, 8);
    processor.intercepts.nmiWindow = true;
    expect(machine.step('90')).toBe('ok');
    // The frame that IRETQ takes leads back to the code.
    const frame = [BigInt(At.CODE), BigInt(Selector.CODE64), 2n, BigInt(At.STACK), BigInt(Selector.DATA)];
    state.setGpr(4, BigInt(At.STACK - 40));
    frame.forEach((value, index) => {
      machine.write64(At.STACK - 40 + index * 8, value);
    });
    expect(machine.step('48cf')).toBe('ok');
    expect(machine.step('90')).toBe('nmi-window');
    expect(state.rip).toBe(BigInt(At.CODE));
    // It is as long open as the hypervisor asks.
    expect(machine.step('90')).toBe('nmi-window');
    processor.intercepts.nmiWindow = false;
    expect(machine.step('90')).toBe('ok');
  });

  test('an NMI window is open at once where nothing blocks NMIs, and goes before a pending NMI', () => {
    const machine = new SystemMachine('long');
    machine.processor.intercepts.nmiWindow = true;
    machine.processor.intercepts.nmi = true;
    machine.processor.raiseNmi();
    expect(machine.step('90')).toBe('nmi-window');
    machine.processor.intercepts.nmiWindow = false;
    expect([machine.step('90'), machine.step('90')]).toEqual(['nmi', 'ok']);
  });

  test('an interrupt window waits for IF and for the shadow of STI', () => {
    const machine = new SystemMachine('long');
    machine.processor.intercepts.interruptWindow = true;
    expect([machine.step('90'), machine.step('fb'), machine.step('90'), machine.step('90')]).toEqual([
      'ok',
      'ok',
      'ok',
      'interrupt-window',
    ]);
  });
});

describe('I/O permission', () => {
  const user = (map: readonly number[], iopl = 0): SystemMachine => {
    const machine = new SystemMachine('long-user');
    machine.write64(At.TSS + 0x60, 0x68n << 48n);
    machine.memory.write(BigInt(At.TSS + 0x68), Uint8Array.from(map));
    machine.state.setSegment(L.Segment.TR, {
      selector: Selector.TSS,
      base: BigInt(At.TSS),
      limit: 0x67 + map.length,
      rights: 0x8b,
    });
    machine.state.rflags = 2 | (iopl << 12);
    machine.processor.stateChanged();
    return machine;
  };

  test.each([
    ['a clear bit lets through', [0xfe, 0xff], 0, 'e400', 'io'],
    ['a set bit refuses', [0xfe, 0xff], 0, 'e401', '#GP(0)'],
    ['IOPL 3 asks no map', [0xff, 0xff], 3, 'e401', 'io'],
    ['a word needs both bits', [0xfd, 0xff], 0, '66e501', '#GP(0)'],
    ['a word over two bytes of the map', [0x7f, 0xfe, 0xff], 0, '66e507', 'io'],
    ['a port beyond the limit is refused', [0xfe, 0xff], 0, 'e410', '#GP(0)'],
    ['a map that ends at the limit lacks its last byte', [0x00], 0, 'e400', '#GP(0)'],
  ] as const)('%s', (_name, map, iopl, code, result) => {
    expect(user(map, iopl).step(code)).toBe(result);
  });

  test('CLI and STI ask IOPL, POPF keeps what may not change', () => {
    expect([user([]).step('fa'), user([]).step('fb'), user([], 3).step('fa')]).toEqual(['#GP(0)', '#GP(0)', 'ok']);
    const machine = user([]);
    machine.write64(At.STACK, 0x3202n);
    expect(machine.step('9d')).toBe('ok');
    expect(machine.state.rflags).toBe(2);
  });
});
