import { describe, expect, test } from 'vitest';
import * as L from '../../../src/processor/state/layout.ts';
import { At, SystemMachine } from './machine.ts';

const RAX = 0;
const RCX = 1;
const RDX = 2;
const RBX = 3;

const CR0_EM = 4n;
const CR0_TS = 8n;
const OSFXSR = 1n << 9n;
const OSXMMEXCPT = 1n << 10n;
const OSXSAVE = 1n << 18n;

/** A machine that has all features, with RBX at the data, where the whole of the state may be saved. */
function machineWith(cr4 = OSFXSR | OSXSAVE, cr0 = 0n, xcr0 = 7n): SystemMachine {
  const machine = new SystemMachine('long', 'intel', {}, 'max');
  machine.state.set64(L.CR4, 0x20n | cr4);
  machine.state.set64(L.CR0, machine.state.cr0 | cr0);
  machine.state.set64(L.XCR0, xcr0);
  machine.state.setGpr(RBX, BigInt(At.DATA));
  machine.state.setGpr(RAX, 0xffff_ffffn);
  machine.state.setGpr(RDX, 0xffff_ffffn);
  machine.processor.stateChanged();
  return machine;
}

const [FXSAVE, FXRSTOR, LDMXCSR, STMXCSR] = ['0FAE03', '0FAE0B', '0FAE13', '0FAE1B'];
const [XSAVE, XRSTOR, XSAVEOPT, XSAVEC] = ['0FAE23', '0FAE2B', '0FAE33', '0FC723'];
const [XSAVES, XRSTORS] = ['0FC72B', '0FC71B'];
const [XGETBV, XSETBV, VLDMXCSR] = ['0F01D0', '0F01D1', 'C5F8AE13'];

describe('availability', () => {
  const outcomes = (cr4: bigint, cr0: bigint, codes: readonly (string | undefined)[]) =>
    codes.map((code = '') => machineWith(cr4, cr0).step(code));

  test('FXSAVE and FXRSTOR need no bit of CR4, and raise #NM with EM and TS', () => {
    expect(outcomes(0n, 0n, [FXSAVE, FXRSTOR])).toEqual(['ok', 'ok']);
    expect(outcomes(OSFXSR, CR0_EM, [FXSAVE, FXRSTOR])).toEqual(['#NM', '#NM']);
    expect(outcomes(OSFXSR, CR0_TS, [FXSAVE, FXRSTOR])).toEqual(['#NM', '#NM']);
  });

  test('LDMXCSR and STMXCSR need CR4.OSFXSR, and VLDMXCSR the state of AVX', () => {
    expect(outcomes(OSFXSR, 0n, [LDMXCSR, STMXCSR, VLDMXCSR])).toEqual(['ok', 'ok', '#UD']);
    expect(outcomes(OSXSAVE, 0n, [LDMXCSR, STMXCSR, VLDMXCSR])).toEqual(['#UD', '#UD', 'ok']);
    expect(outcomes(OSFXSR, CR0_EM, [LDMXCSR, STMXCSR])).toEqual(['#UD', '#UD']);
    expect(outcomes(OSFXSR | OSXSAVE, CR0_TS, [LDMXCSR, STMXCSR, VLDMXCSR])).toEqual(['#NM', '#NM', '#NM']);
  });

  test('XSAVE and its like need CR4.OSXSAVE, whatever EM says', () => {
    const all = [XSAVE, XRSTOR, XSAVEOPT, XSAVEC];
    expect(outcomes(OSFXSR, 0n, all)).toEqual(['#UD', '#UD', '#UD', '#UD']);
    expect(outcomes(OSXSAVE, CR0_EM, all)).toEqual(['ok', 'ok', 'ok', 'ok']);
    expect(outcomes(OSXSAVE, CR0_TS, all)).toEqual(['#NM', '#NM', '#NM', '#NM']);
    expect(outcomes(0n, 0n, [XGETBV, XSETBV])).toEqual(['#UD', '#UD']);
  });

  test('prefixes make other instructions of them', () => {
    for (const prefix of ['66', 'F2', 'F3']) expect(machineWith().step(`${prefix}${XSAVEC}`)).toBe('#UD');
    expect(machineWith().step(`66${FXSAVE}`)).toBe('#UD');
    expect(machineWith().step(`F0${XSAVE}`)).toBe('#UD');
  });

  test('a model without the features has none of them', () => {
    for (const code of [XSAVE, XRSTOR, XSAVEOPT, XSAVEC, XGETBV, XSETBV])
      expect(new SystemMachine('long', 'intel', {}, 'nehalem').step(code ?? '')).toBe('#UD');
    const haswell = new SystemMachine('long', 'intel', {}, 'haswell');
    haswell.state.set64(L.CR4, 0x20n | OSXSAVE);
    haswell.state.setGpr(RBX, BigInt(At.DATA));
    haswell.processor.stateChanged();
    expect([XSAVE, XSAVEOPT, XSAVEC].map((code = '') => haswell.step(code))).toEqual(['ok', 'ok', '#UD']);
  });
});

describe('XCR0', () => {
  const set = (value: bigint, index = 0n): string => {
    const machine = machineWith();
    machine.state.setGpr(RCX, index);
    machine.state.setGpr(RAX, value & 0xffff_ffffn);
    machine.state.setGpr(RDX, value >> 32n);
    return machine.step(XSETBV ?? '');
  };

  test('takes x87 always, AVX with SSE, and nothing that is not there', () => {
    expect([1n, 3n, 7n, 0x203n, 0x207n].map((value) => set(value))).toEqual(Array(5).fill('ok'));
    expect([0n, 2n, 5n, 6n, 9n, 0xe7n, 1n << 63n].map((value) => set(value))).toEqual(Array(7).fill('#GP(0)'));
    expect(set(1n, 1n)).toBe('#GP(0)');
  });

  test('can be read, and what of it is in use', () => {
    const machine = machineWith();
    machine.state.setGpr(RCX, 0n);
    machine.step(XGETBV ?? '');
    expect([machine.state.gpr(RAX), machine.state.gpr(RDX)]).toEqual([7n, 0n]);
    machine.state.set64(L.VECTORS + 3 * L.VECTOR_SIZE + 24, 1n);
    machine.state.setGpr(RCX, 1n);
    machine.step(XGETBV ?? '');
    // x87 is as power-up leaves it, which is not as FNINIT does.
    expect(machine.state.gpr(RAX)).toBe(5n);
    machine.state.setGpr(RCX, 2n);
    expect(machine.step(XGETBV ?? '')).toBe('#GP(0)');
  });
});

describe('CPUID leaf 0Dh', () => {
  const cpuid = (machine: SystemMachine, subleaf: bigint): bigint[] => {
    machine.state.setGpr(RAX, 0xdn);
    machine.state.setGpr(RCX, subleaf);
    machine.step('0FA2');
    return [RAX, RBX, RCX, RDX].map((index) => machine.state.gpr(index));
  };

  test('says what XCR0 may enable, and how much room what it enables takes', () => {
    expect(cpuid(machineWith(OSXSAVE, 0n, 1n), 0n)).toEqual([0x207n, 576n, 2696n, 0n]);
    expect(cpuid(machineWith(OSXSAVE, 0n, 7n), 0n)).toEqual([0x207n, 832n, 2696n, 0n]);
    expect(cpuid(machineWith(OSXSAVE, 0n, 0x207n), 0n)).toEqual([0x207n, 2696n, 2696n, 0n]);
    expect(cpuid(machineWith(OSXSAVE, 0n, 0x207n), 1n)).toEqual([15n, 840n, 0n, 0n]);
  });

  test('says where the components are', () => {
    expect(cpuid(machineWith(), 2n)).toEqual([256n, 576n, 0n, 0n]);
    expect(cpuid(machineWith(), 9n)).toEqual([8n, 2688n, 0n, 0n]);
    for (const subleaf of [3n, 8n, 34n, 41n]) expect(cpuid(machineWith(), subleaf)).toEqual([0n, 0n, 0n, 0n]);
  });

  test('is empty without XSAVE', () => {
    const machine = new SystemMachine('long', 'intel', {}, 'nehalem');
    expect(cpuid(machine, 0n)).toEqual([0n, 0n, 0n, 0n]);
  });
});

describe('protection keys', () => {
  test('are saved behind AVX, or right behind the header, and come back', () => {
    for (const [code, offset] of [
      [XSAVE, 2688],
      [XSAVEC, 576],
    ] as const) {
      const machine = machineWith(OSXSAVE, 0n, 0x201n);
      machine.state.set32(L.PKRU, 0x1234_5678);
      expect(machine.step(code ?? '')).toBe('ok');
      expect(machine.read64(At.DATA + offset)).toBe(0x1234_5678n);
      machine.state.set32(L.PKRU, 0);
      expect(machine.step(XRSTOR ?? '')).toBe('ok');
      expect(machine.state.get32(L.PKRU)).toBe(0x1234_5678);
    }
  });
});

describe('XSAVES and XRSTORS', () => {
  test('are there with their feature alone, and for the supervisor alone', () => {
    expect([XSAVES, XRSTORS, XRSTORS].map((code) => machineWith().step(code ?? ''))).toEqual(['ok', '#GP(0)', '#GP(0)']);
    const haswell = new SystemMachine('long', 'intel', {}, 'haswell');
    haswell.state.set64(L.CR4, 0x20n | OSXSAVE);
    haswell.state.setGpr(RBX, BigInt(At.DATA));
    haswell.processor.stateChanged();
    expect([XSAVES, XRSTORS].map((code) => haswell.step(code ?? ''))).toEqual(['#UD', '#UD']);
    const user = new SystemMachine('long-user', 'intel', {}, 'max');
    user.state.set64(L.CR4, user.state.get64(L.CR4) | OSXSAVE);
    user.state.set64(L.XCR0, 7n);
    user.state.setGpr(RBX, BigInt(At.DATA));
    user.processor.stateChanged();
    expect([XSAVES, XRSTORS].map((code) => user.step(code ?? ''))).toEqual(['#GP(0)', '#GP(0)']);
  });

  test('save closely packed, and bring back what was saved', () => {
    const machine = machineWith(OSXSAVE, 0n, 0x207n);
    machine.state.set64(L.VECTORS + 5 * L.VECTOR_SIZE + 16, 0x1122_3344n);
    machine.state.set32(L.PKRU, 0x55);
    expect(machine.step(XSAVES ?? '')).toBe('ok');
    expect(machine.read64(At.DATA + 520)).toBe((1n << 63n) | 0x207n);
    expect(machine.read64(At.DATA + 576 + 5 * 16)).toBe(0x1122_3344n);
    expect(machine.read64(At.DATA + 832)).toBe(0x55n);
    machine.state.set64(L.VECTORS + 5 * L.VECTOR_SIZE + 16, 7n);
    machine.state.set32(L.PKRU, 0);
    expect(machine.step(XRSTORS ?? '')).toBe('ok');
    expect(machine.state.get64(L.VECTORS + 5 * L.VECTOR_SIZE + 16)).toBe(0x1122_3344n);
    expect(machine.state.get32(L.PKRU)).toBe(0x55);
  });

  test('XRSTORS refuses the standard format, which XRSTOR takes', () => {
    const machine = machineWith();
    expect(machine.step(XSAVE ?? '')).toBe('ok');
    expect([XRSTORS, XRSTOR].map((code) => machine.step(code ?? ''))).toEqual(['#GP(0)', 'ok']);
  });

  test('XSS takes nothing but 0, and is gone without the feature', () => {
    const write = (cpu: string, value: bigint): string => {
      const machine = new SystemMachine('long', 'intel', {}, cpu);
      machine.state.setGpr(RCX, 0xda0n);
      machine.state.setGpr(RDX, 0n);
      machine.state.setGpr(RAX, value);
      return machine.step('0F30');
    };
    expect([write('max', 0n), write('max', 1n), write('max', 0x100n)]).toEqual(['ok', '#GP(0)', '#GP(0)']);
    expect(write('haswell', 0n)).not.toBe('ok');
  });
});

test('LDMXCSR refuses bits that are none', () => {
  const machine = machineWith();
  machine.write32(At.DATA, 0x1_0000);
  expect(machine.step(LDMXCSR ?? '')).toBe('#GP(0)');
  machine.write32(At.DATA, 0xffff);
  expect(machine.step(LDMXCSR ?? '')).toBe('ok');
  expect(machine.state.get32(L.MXCSR)).toBe(0xffff);
});

test('selectors of x87 are saved without REX.W, whole pointers with it', () => {
  const machine = machineWith();
  machine.state.set64(L.X87_IP, 0x1234_5678_9abc_def0n);
  machine.state.set32(L.X87_CS, 0x33);
  machine.step(FXSAVE ?? '');
  expect(machine.read64(At.DATA + 8)).toBe(0x33_9abc_def0n);
  machine.step(`48${FXSAVE}`);
  expect(machine.read64(At.DATA + 8)).toBe(0x1234_5678_9abc_def0n);
});

test('CR4 has the bits of what the model has', () => {
  const bits = OSFXSR | OSXMMEXCPT | OSXSAVE | 0x20n;
  const write = (cpu: string): string => {
    const machine = new SystemMachine('long', 'intel', {}, cpu);
    machine.state.setGpr(RAX, bits);
    return machine.step('0F22E0');
  };
  expect(write('max')).toBe('ok');
  expect(write('nehalem')).toBe('#GP(0)');
});
