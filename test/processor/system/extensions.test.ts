import { describe, expect, test } from 'vitest';
import * as L from '../../../src/processor/state/layout.ts';
import { At, SystemMachine } from './machine.ts';

const RAX = 0;
const RCX = 1;
const RDX = 2;
const RBX = 3;

/** A machine in 64-bit mode with bits of CR4 set besides PAE. */
function machineWith(cr4: bigint, mode: 'long' | 'long-user' = 'long', vendor: 'intel' | 'amd' = 'intel'): SystemMachine {
  const machine = new SystemMachine(mode, vendor);
  machine.state.set64(L.CR4, 0x20n | cr4);
  machine.processor.stateChanged();
  return machine;
}

const PKE = 1n << 22n;
const PCIDE = 1n << 17n;

describe('RDRAND and RDSEED', () => {
  test('give numbers with CF set and the other flags clear', () => {
    const machine = new SystemMachine('long');
    machine.state.rflags = 0x8d6;
    const seen = new Set<bigint>();
    for (const code of ['480FC7F0', '480FC7F0', '480FC7F8']) {
      expect(machine.step(code)).toBe('ok');
      seen.add(machine.state.gpr(RAX));
      expect(machine.state.rflags & 0x8d5).toBe(1);
    }
    expect(seen.size).toBe(3);
  });

  test('write a register as its size says', () => {
    const machine = new SystemMachine('long');
    machine.state.setGpr(RAX, 0xffff_ffff_ffff_ffffn);
    machine.step('660FC7F0');
    expect(machine.state.gpr(RAX) >> 16n).toBe(0xffff_ffff_ffffn);
    machine.step('0FC7F0');
    expect(machine.state.gpr(RAX) >> 32n).toBe(0n);
  });

  test('give the same numbers in every run', () => {
    const numbers = () => {
      const machine = new SystemMachine('long');
      return ['480FC7F0', '480FC7F0'].map((code) => [machine.step(code), machine.state.gpr(RAX)]);
    };
    expect(numbers()).toEqual(numbers());
  });
});

test('RDRAND and RDSEED take no repeat prefix', () => {
  for (const code of ['F30FC7F0', 'F20FC7F0', 'F20FC7F8']) expect(new SystemMachine('long').step(code)).toBe('#UD');
});

describe('RDPID', () => {
  test('reads TSC_AUX where the model has it', () => {
    const amd = new SystemMachine('long', 'amd');
    amd.state.set64(L.MSR_TSC_AUX, 0x1234n);
    expect(amd.step('F30FC7F8')).toBe('ok');
    expect(amd.state.gpr(RAX)).toBe(0x1234n);
    expect(new SystemMachine('long', 'intel').step('F30FC7F8')).toBe('#UD');
  });
});

describe('INVPCID', () => {
  const step = (type: bigint, pcid: bigint, address: bigint, cr4 = PCIDE, mode: 'long' | 'long-user' = 'long') => {
    const machine = machineWith(cr4, mode);
    machine.write64(At.DATA, pcid);
    machine.write64(At.DATA + 8, address);
    machine.state.setGpr(RAX, type);
    machine.state.setGpr(RBX, BigInt(At.DATA));
    // invpcid rax, [rbx]
    return machine.step('660F388203');
  };

  test('passes what it may be asked', () => {
    expect(step(0n, 5n, 0x1000n)).toBe('ok');
    expect(step(1n, 0xfffn, 0n)).toBe('ok');
    expect(step(2n, 0xffff_ffffn, 0n)).toBe('ok');
    expect(step(3n, 0n, 1n << 60n)).toBe('ok');
  });
  test('refuses other types, bits that are reserved, and addresses that are not canonical', () => {
    expect(step(4n, 0n, 0n)).toBe('#GP(0)');
    expect(step(0n, 0x1000n, 0n)).toBe('#GP(0)');
    expect(step(0n, 0n, 1n << 60n)).toBe('#GP(0)');
  });
  test('refuses a PCID other than 0 while CR4.PCIDE is clear', () => {
    expect(step(1n, 1n, 0n, 0n)).toBe('#GP(0)');
    expect(step(1n, 0n, 0n, 0n)).toBe('ok');
  });
  test('is for privilege level 0', () => {
    expect(step(2n, 0n, 0n, PCIDE, 'long-user')).toBe('#GP(0)');
  });
});

describe('protection keys', () => {
  /** Data at 2 MiB, in a page for users with key 5. */
  const withKey = (pkru: number, mode: 'long' | 'long-user' = 'long-user', cr4 = PKE) => {
    const machine = machineWith(cr4, mode);
    machine.write64(At.PD + 8, 0x20_0087n | (5n << 59n));
    machine.state.set32(L.PKRU, pkru);
    machine.processor.stateChanged();
    machine.state.setGpr(RBX, 0x20_0000n);
    return machine;
  };
  const READ = '8B03';
  const WRITE = '8903';
  const ACCESS = 1 << 10;
  const WRITES = 2 << 10;

  test('forbid reads and writes, with bit 5 of the error code', () => {
    expect(withKey(ACCESS).step(READ)).toBe('#PF(25)');
    expect(withKey(ACCESS).step(WRITE)).toBe('#PF(27)');
  });
  test('forbid writes alone', () => {
    expect(withKey(WRITES).step(READ)).toBe('ok');
    expect(withKey(WRITES).step(WRITE)).toBe('#PF(27)');
  });
  test('hold for the supervisor in pages for users; without CR0.WP it may write', () => {
    expect(withKey(ACCESS, 'long').step(READ)).toBe('#PF(21)');
    const machine = withKey(WRITES, 'long');
    expect(machine.step(WRITE)).toBe('#PF(23)');
    machine.state.set64(L.CR0, machine.state.cr0 & ~0x1_0000n);
    machine.processor.stateChanged();
    expect(machine.step(WRITE)).toBe('ok');
  });
  test('mean nothing for other keys, and while CR4.PKE is clear', () => {
    expect(withKey(~(3 << 10)).step(WRITE)).toBe('ok');
    expect(withKey(ACCESS, 'long-user', 0n).step(READ)).toBe('ok');
  });
  test('hold from WRPKRU on, whatever was accessed before', () => {
    const machine = withKey(0);
    expect(machine.step(WRITE)).toBe('ok');
    machine.state.setGpr(RAX, BigInt(ACCESS));
    machine.state.setGpr(RCX, 0n);
    machine.state.setGpr(RDX, 0n);
    expect(machine.step('0F01EF')).toBe('ok');
    expect(machine.step(READ)).toBe('#PF(25)');
    machine.state.setGpr(RAX, 0n);
    expect(machine.step('0F01EE')).toBe('ok');
    expect(machine.state.gpr(RAX)).toBe(BigInt(ACCESS));
  });
  test('RDPKRU and WRPKRU want ECX and EDX to be 0, and CR4.PKE set', () => {
    const machine = withKey(0);
    machine.state.setGpr(RCX, 1n);
    expect(machine.step('0F01EE')).toBe('#GP(0)');
    machine.state.setGpr(RCX, 0n);
    machine.state.setGpr(RDX, 1n);
    expect(machine.step('0F01EF')).toBe('#GP(0)');
    expect(withKey(0, 'long-user', 0n).step('0F01EE')).toBe('#UD');
  });
  test('CPUID says that the operating system uses them', () => {
    for (const [cr4, bit] of [
      [PKE, 1],
      [0n, 0],
    ] as const) {
      const machine = machineWith(cr4);
      machine.state.setGpr(RAX, 7n);
      machine.state.setGpr(RCX, 0n);
      machine.step('0FA2');
      expect(Number((machine.state.gpr(RCX) >> 4n) & 1n)).toBe(bit);
    }
  });
});

test('CLFLUSHOPT and CLWB access their line like a read', () => {
  const machine = new SystemMachine('long');
  machine.state.setGpr(RBX, BigInt(At.DATA));
  expect(machine.step('660FAE3B')).toBe('ok');
  expect(machine.step('660FAE33')).toBe('ok');
  machine.state.setGpr(RBX, 0x40_0000n);
  expect(machine.step('660FAE3B')).toBe('#PF(0)');
});
