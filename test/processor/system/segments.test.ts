import { describe, expect, test } from 'vitest';
import * as L from '../../../src/processor/state/layout.ts';
import { At, Selector, SystemMachine } from './machine.ts';

const MOV_ES_AX = '8ec0';
const MOV_AL_ES_RBX = '268a03';
const MOV_ES_RBX_AL = '268803';

/** A machine with ES loaded from a descriptor. */
function withData(descriptor: bigint): SystemMachine {
  const machine = new SystemMachine('protected');
  machine.descriptor(Selector.FREE, descriptor);
  machine.state.setGpr(0, BigInt(Selector.FREE));
  expect(machine.step(MOV_ES_AX)).toBe('ok');
  return machine;
}

describe('segment limits', () => {
  const cases: readonly (readonly [name: string, descriptor: bigint, offset: bigint, code: string, result: string])[] = [
    ['the last byte', 0x0040_9200_0000_0fffn, 0xfffn, MOV_AL_ES_RBX, 'ok'],
    ['behind the last byte', 0x0040_9200_0000_0fffn, 0x1000n, MOV_AL_ES_RBX, '#GP(0)'],
    ['a doubleword across the end', 0x0040_9200_0000_0fffn, 0xffdn, '268b03', '#GP(0)'],
    ['with granularity', 0x00c0_9200_0000_0000n, 0xfffn, MOV_AL_ES_RBX, 'ok'],
    ['behind, with granularity', 0x00c0_9200_0000_0000n, 0x1000n, MOV_AL_ES_RBX, '#GP(0)'],
    ['expand-down: at the limit', 0x0040_9600_0000_0fffn, 0xfffn, MOV_AL_ES_RBX, '#GP(0)'],
    ['expand-down: above it', 0x0040_9600_0000_0fffn, 0x1000n, MOV_AL_ES_RBX, 'ok'],
    ['expand-down, 16 bits: above 64 KiB', 0x0000_9600_0000_0fffn, 0x1_0000n, MOV_AL_ES_RBX, '#GP(0)'],
    ['a write to read-only data', 0x00cf_9000_0000_ffffn, 0x100n, MOV_ES_RBX_AL, '#GP(0)'],
    ['a write to code', 0x00cf_9a00_0000_ffffn, 0x100n, MOV_ES_RBX_AL, '#GP(0)'],
    ['a read of readable code', 0x00cf_9a00_0000_ffffn, 0x100n, MOV_AL_ES_RBX, 'ok'],
  ];
  test.each(cases)('%s', (_name, descriptor, offset, code, result) => {
    const machine = withData(descriptor);
    machine.state.setGpr(3, offset);
    expect(machine.step(code)).toBe(result);
  });

  test('a null segment can be loaded but not used', () => {
    const machine = new SystemMachine('protected');
    machine.state.setGpr(0, 3n);
    expect(machine.step(MOV_ES_AX)).toBe('ok');
    expect(machine.step(MOV_AL_ES_RBX)).toBe('#GP(0)');
  });

  test('a null segment means nothing in 64-bit mode', () => {
    const machine = new SystemMachine('long');
    machine.state.setGpr(0, 0n);
    machine.state.setGpr(3, BigInt(At.DATA));
    expect(machine.step(MOV_ES_AX)).toBe('ok');
    expect(machine.step(MOV_AL_ES_RBX)).toBe('ok');
  });

  test('code beyond the limit of CS is #GP', () => {
    const machine = new SystemMachine('protected');
    const code = machine.state.segment(L.Segment.CS);
    machine.state.setSegment(L.Segment.CS, { ...code, limit: At.CODE });
    machine.processor.stateChanged();
    expect(machine.step('90')).toBe('ok');
    expect(machine.step('90')).toBe('#GP(0)');
  });

  test('a push below the limit of an expand-down stack is #SS', () => {
    const machine = new SystemMachine('protected');
    machine.state.setSegment(L.Segment.SS, { selector: Selector.FREE, base: 0n, limit: At.STACK - 1, rights: 0x4097 });
    machine.processor.stateChanged();
    expect(machine.step('50')).toBe('#SS(0)');
  });
});

describe('system descriptors in long mode', () => {
  const LLDT_AX = '0f00d0';
  const LTR_AX = '0f00d8';
  const load = (code: string, low: bigint, high: bigint, limit = 0xff): string => {
    const machine = new SystemMachine('long');
    machine.descriptor(Selector.FREE, low);
    machine.descriptor(Selector.FREE + 8, high);
    machine.state.set32(L.GDTR_LIMIT, limit);
    machine.state.setGpr(0, BigInt(Selector.FREE));
    return machine.step(code);
  };

  test('have 16 bytes, all inside of the table', () => {
    expect(load(LLDT_AX, 0x0000_8200_1000_00ffn, 0xffff_8000n)).toBe('ok');
    expect(load(LLDT_AX, 0x0000_8200_1000_00ffn, 0xffff_8000n, Selector.FREE + 7)).toBe('#GP(50)');
  });

  test('have a canonical base', () => {
    expect(load(LLDT_AX, 0x0000_8200_1000_00ffn, 0x8000n)).toBe('#GP(50)');
    expect(load(LTR_AX, 0x0000_8900_1000_0067n, 0x1_0000n)).toBe('#GP(50)');
  });

  test('have type 0 in the upper half', () => {
    expect(load(LLDT_AX, 0x0000_8200_1000_00ffn, 0x0000_0200_0000_0000n)).toBe('#GP(50)');
  });

  test('a 16-bit TSS is none', () => {
    expect(load(LTR_AX, 0x0000_8100_1000_0067n, 0n)).toBe('#GP(50)');
  });

  test('LGDT refuses a base that is not canonical', () => {
    const machine = new SystemMachine('long');
    machine.write64(At.DATA + 2, 1n << 47n);
    machine.state.setGpr(0, BigInt(At.DATA));
    expect(machine.step('0f0110')).toBe('#GP(0)');
  });
});

describe('fast system calls by vendor', () => {
  const SYSCALL = '0f05';
  const SYSRET = '0f07';
  const prepared = (mode: 'long' | 'compatible' | 'protected', vendor: 'intel' | 'amd'): SystemMachine => {
    const machine = new SystemMachine(mode, vendor);
    machine.state.set64(L.EFER, machine.state.efer | 1n);
    machine.state.set64(L.MSR_STAR, 0x0020_0008_0000_9000n);
    machine.state.set64(L.MSR_CSTAR, BigInt(At.HANDLER));
    machine.state.set64(L.MSR_SYSENTER_CS, 8n);
    machine.processor.stateChanged();
    return machine;
  };

  test.each([
    ['long', 'intel', 'ok'],
    ['long', 'amd', 'ok'],
    ['compatible', 'intel', '#UD'],
    ['compatible', 'amd', 'ok'],
    ['protected', 'intel', '#UD'],
    ['protected', 'amd', 'ok'],
  ] as const)('SYSCALL from %s mode on %s: %s', (mode, vendor, result) => {
    expect(prepared(mode, vendor).step(SYSCALL)).toBe(result);
  });

  test.each([
    ['long', 'intel', 'ok'],
    ['long', 'amd', '#UD'],
    ['compatible', 'amd', '#UD'],
    ['protected', 'amd', 'ok'],
  ] as const)('SYSENTER from %s mode on %s: %s', (mode, vendor, result) => {
    expect(prepared(mode, vendor).step('0f34')).toBe(result);
  });

  test('SYSRET to an address that is not canonical faults on Intel at once', () => {
    const machine = prepared('long', 'intel');
    machine.state.setGpr(1, 1n << 47n);
    expect(machine.step(`48${SYSRET}`)).toBe('#GP(0)');
    expect(machine.state.cpl).toBe(0);
  });

  test('SYSRET to an address that is not canonical faults on AMD at the target', () => {
    const machine = prepared('long', 'amd');
    machine.state.setGpr(1, 1n << 47n);
    expect(machine.step(`48${SYSRET}`)).toBe('ok');
    expect(machine.state.cpl).toBe(3);
  });

  test('SYSRET restores no VM and no RF', () => {
    const machine = prepared('long', 'intel');
    machine.state.setGpr(11, 0xffff_fffen & ~0x100n);
    machine.state.setGpr(1, BigInt(At.CODE));
    machine.step(`48${SYSRET}`);
    expect(machine.state.rflags).toBe(0x3c_7ed6);
  });

  test('a far pointer under REX.W has a 64-bit offset on Intel, a 32-bit one on AMD', () => {
    for (const vendor of ['intel', 'amd'] as const) {
      const machine = new SystemMachine('long', vendor);
      machine.write64(At.DATA, BigInt(At.HANDLER));
      machine.write64(At.DATA + (vendor === 'intel' ? 8 : 4), BigInt(Selector.CODE64));
      machine.state.setGpr(0, BigInt(At.DATA));
      expect(machine.step('48ff28')).toBe('ok');
      expect(machine.state.rip).toBe(BigInt(At.HANDLER));
    }
  });
});

describe('returns', () => {
  test('to an outer level drop segments that it may not use', () => {
    const machine = new SystemMachine('protected');
    const frame = [At.CODE, Selector.USER_CODE32, At.STACK, Selector.USER_DATA];
    frame.forEach((value, index) => {
      machine.write32(At.STACK + index * 4, value);
    });
    machine.state.setSegment(L.Segment.GS, {
      ...machine.state.segment(L.Segment.GS),
      selector: Selector.USER_DATA,
      rights: 0xc0f3,
    });
    expect(machine.step('cb')).toBe('ok');
    expect([0, 3, 4, 5].map((index) => machine.state.segment(index).selector)).toEqual([0, 0, 0, Selector.USER_DATA]);
  });

  test('IRET to a task that can not be returned to leaves RIP at IRET', () => {
    const machine = new SystemMachine('protected');
    machine.state.rflags = 2 | (1 << 14);
    machine.write32(At.TSS, 0x50);
    expect(machine.step('cf')).toBe('#TS(50)');
    expect(machine.state.rip).toBe(BigInt(At.CODE));
  });
});
