import { describe, expect, test } from 'vitest';
import { createProcessor } from '../../../src/processor/cpu.ts';
import { PartitionMemory } from '../../../src/processor/memory/partition-memory.ts';
import { cpuModel } from '../../../src/processor/models/cpu-models.ts';
import { FEATURES } from '../../../src/processor/models/features.ts';
import { msrReference } from '../../../src/processor/models/msr-table.ts';
import * as L from '../../../src/processor/state/layout.ts';
import { SystemMachine } from './machine.ts';

const VENDORS = ['intel', 'amd'] as const;

function text(registers: readonly number[]): string {
  return new TextDecoder().decode(new Uint8Array(Uint32Array.from(registers).buffer)).replaceAll('\0', '');
}

describe('CPUID', () => {
  test.each([
    ['intel', 'GenuineIntel'],
    ['amd', 'AuthenticAMD'],
  ] as const)('of %s says so', (vendor, name) => {
    const { ebx, ecx, edx } = cpuModel(vendor).cpuid(0, 0);
    expect(text([ebx, edx, ecx])).toBe(name);
  });

  test.each(VENDORS)('of %s advertises what the decoder knows', (vendor) => {
    const model = cpuModel(vendor);
    expect(model.cpuid(1, 0).ecx & (1 << 31)).toBe(0);
    for (const name of [
      'fpu',
      'fxsr',
      'sse2',
      'sse4_2',
      'avx2',
      'fma',
      'xsave',
      'lm',
      'nx',
      'pae',
      'smep',
      'smap',
      'umip',
      'cx16',
      'popcnt',
      'movbe',
      'lzcnt',
      'x2apic',
      'fsgsbase',
      'invtsc',
    ]) {
      const bit = FEATURES.get(name);
      expect(model.has(name)).toBe(true);
      expect(bit && (model.cpuid(bit.leaf, 0)[bit.register] >>> bit.bit) & 1, name).toBe(1);
    }
  });

  test('unknown leaves give the highest one on Intel, zeroes on AMD', () => {
    expect(cpuModel('intel').cpuid(0x100, 0)).toEqual(cpuModel('intel').cpuid(0x16, 0));
    expect(cpuModel('amd').cpuid(0x100, 0)).toEqual({ eax: 0, ebx: 0, ecx: 0, edx: 0 });
  });

  test('subleaves are told apart where the leaf has some', () => {
    const intel = cpuModel('intel');
    expect(intel.cpuid(4, 0).eax & 0xff).toBe(0x21);
    expect(intel.cpuid(4, 2).eax & 0xff).toBe(0x43);
    expect(intel.cpuid(4, 9).eax).toBe(0);
    expect(intel.cpuid(7, 1)).toEqual({ eax: 0, ebx: 0, ecx: 0, edx: 0 });
    expect(intel.cpuid(1, 5)).toEqual(intel.cpuid(1, 0));
  });

  test('tells each vCPU its APIC id and the number of cores', () => {
    const memory = new PartitionMemory([{ gpa: 0n, length: 0x10000 }], 3);
    const processor = createProcessor({ index: 2, memory, model: cpuModel('intel') });
    const { state } = processor;
    memory.write(0xff_f0n, Uint8Array.of(0x0f, 0xa2, 0x0f, 0xa2));
    state.setSegment(L.Segment.CS, { selector: 0xf00, base: 0xf000n, limit: 0xffff, rights: 0x9b });
    state.rip = 0xff0n;
    state.setGpr(0, 1n);
    processor.stateChanged();
    processor.run(1);
    expect(state.gpr(3) >> 16n).toBe(0x0203n);
    expect((state.gpr(2) >> 28n) & 1n).toBe(1n);
    state.setGpr(0, 0xbn);
    state.setGpr(1, 1n);
    processor.run(1);
    expect([state.gpr(0), state.gpr(3), state.gpr(2)]).toEqual([2n, 3n, 2n]);
  });
});

describe('MSRs', () => {
  const values: readonly (readonly [name: string, msr: number, value: bigint, result: string])[] = [
    ['FS base', 0xc000_0100, 0x7fff_ffff_ffffn, 'ok'],
    ['FS base that is not canonical', 0xc000_0100, 1n << 47n, '#GP(0)'],
    ['KERNEL_GS_BASE that is not canonical', 0xc000_0102, 1n << 63n, '#GP(0)'],
    ['LSTAR that is not canonical', 0xc000_0082, 1n << 47n, '#GP(0)'],
    ['SYSENTER_EIP that is not canonical', 0x176, 1n << 47n, '#GP(0)'],
    ['SFMASK beyond 32 bits', 0xc000_0084, 1n << 32n, '#GP(0)'],
    ['EFER with a reserved bit', 0xc000_0080, 0x502n, '#GP(0)'],
    ['EFER with SVME', 0xc000_0080, 0x1500n, '#GP(0)'],
    ['EFER without LME while paging', 0xc000_0080, 0x400n, '#GP(0)'],
    ['EFER with LMA cleared, which is ignored', 0xc000_0080, 0x901n, 'ok'],
    ['PAT of known types', 0x277, 0x0007_0406_0007_0406n, 'ok'],
    ['PAT with type 2', 0x277, 2n, '#GP(0)'],
    ['MTRR default type', 0x2ff, 0xc06n, 'ok'],
    ['MTRR default type 2', 0x2ff, 0xc02n, '#GP(0)'],
    ['MTRR base beyond MAXPHYADDR', 0x200, 1n << 40n, '#GP(0)'],
    ['MTRR mask', 0x201, 0xff_0000_0800n, 'ok'],
    ['MTRRCAP', 0xfe, 0n, '#GP(0)'],
    ['APIC base', 0x1b, 0xfee0_0900n, 'ok'],
    ['x2APIC mode from xAPIC mode', 0x1b, 0xfee0_0d00n, 'ok'],
    ['x2APIC mode without the APIC', 0x1b, 0xfee0_0500n, '#GP(0)'],
    ['TSC_AUX beyond 32 bits', 0xc000_0103, 1n << 32n, '#GP(0)'],
  ];
  test.each(values)('writing %s', (_name, msr, value, result) => {
    const machine = new SystemMachine('long');
    machine.msr(msr, value);
    expect(machine.step('0f30')).toBe(result);
  });

  test('from x2APIC mode the way back leads through off', () => {
    const machine = new SystemMachine('long');
    const write = (value: bigint) => {
      machine.msr(0x1b, value);
      return machine.step('0f30');
    };
    expect(write(0xfee0_0d00n)).toBe('ok');
    expect(write(0xfee0_0900n)).toBe('#GP(0)');
    expect(write(0xfee0_0100n)).toBe('ok');
    expect(write(0xfee0_0d00n)).toBe('#GP(0)');
    expect(write(0xfee0_0900n)).toBe('ok');
  });

  test('the local APIC has no x2APIC mode without the feature', () => {
    const machine = new SystemMachine('long', 'intel', {}, '-x2apic');
    machine.msr(0x1b, 0xfee0_0d00n);
    expect(machine.step('0f30')).toBe('#GP(0)');
    machine.msr(0x1b, 0xfee0_0900n);
    expect(machine.step('0f30')).toBe('ok');
  });

  test('MISC_ENABLE takes execute-disable away', () => {
    const machine = new SystemMachine('long');
    const { state } = machine;
    const nx = () => {
      state.setGpr(0, 0x8000_0001n);
      expect(machine.step('0fa2')).toBe('ok');
      return (state.gpr(2) >> 20n) & 1n;
    };
    machine.msr(0xc000_0080, 0xd00n);
    expect([machine.step('0f30'), nx()]).toEqual(['ok', 1n]);
    machine.msr(0xc000_0080, 0x500n);
    machine.step('0f30');
    machine.msr(0x1a0, 0x4_0000_1801n);
    expect([machine.step('0f30'), nx()]).toEqual(['ok', 0n]);
    machine.msr(0xc000_0080, 0xd00n);
    expect(machine.step('0f30')).toBe('#GP(0)');
  });

  test('performance counters of AMD are there and never count', () => {
    const machine = new SystemMachine('long', 'amd');
    for (const msr of [0xc001_0000, 0xc001_0003, 0xc001_0004, 0xc001_0007]) {
      machine.msr(msr, 0x53_0076n);
      expect(machine.step('0f30')).toBe('ok');
      expect(machine.step('0f32')).toBe('ok');
      expect(machine.state.gpr(0)).toBe(0n);
    }
  });

  test('read back what was written', () => {
    const machine = new SystemMachine('long');
    const { state } = machine;
    for (const msr of [0x174, 0x175, 0x176, 0x250, 0x200, 0xc000_0081, 0xc000_0082, 0xc000_0083, 0xc000_0101, 0xc000_0102]) {
      machine.msr(msr, 0x0606_0006n);
      expect(machine.step('0f30')).toBe('ok');
      state.setGpr(0, ~0n & 0xffff_ffff_ffff_ffffn);
      expect(machine.step('0f32')).toBe('ok');
      expect([state.gpr(0), state.gpr(2)], msr.toString(16)).toEqual([0x0606_0006n, 0n]);
    }
  });

  test('writing the TSC moves TSC_ADJUST by as much, and the other way round', () => {
    const machine = new SystemMachine('long');
    const { state } = machine;
    machine.msr(0x10, 1_000_000n);
    machine.step('0f30');
    machine.step('0f31');
    expect(Number(state.gpr(0))).toBeGreaterThanOrEqual(1_000_000);
    expect(Number(state.gpr(0))).toBeLessThan(1_000_010);
    expect(Number(state.get64(L.MSR_TSC_ADJUST))).toBeGreaterThan(999_990);
    machine.msr(0x3b, 0n);
    machine.step('0f30');
    machine.step('0f31');
    expect(Number(state.gpr(0))).toBeLessThan(20);
  });

  test('each vendor has its own', () => {
    const read = (vendor: 'intel' | 'amd', msr: number) => {
      const machine = new SystemMachine('long', vendor);
      machine.msr(msr, 0n);
      return machine.step('0f32');
    };
    expect([read('intel', 0x3a), read('amd', 0x3a)]).toEqual(['ok', 'msr-read']);
    expect([read('intel', 0xc001_0015), read('amd', 0xc001_0015)]).toEqual(['msr-read', 'ok']);
  });

  test('those of the local APIC and unknown ones leave', () => {
    const machine = new SystemMachine('long');
    for (const msr of [0x800, 0x6e0, 0x4b56_4d00, 0x1234]) {
      machine.msr(msr, 1n);
      expect(machine.step('0f32')).toBe('msr-read');
      expect(machine.step('0f30')).toBe('msr-write');
    }
  });

  test('are for level 0', () => {
    const machine = new SystemMachine('long-user');
    machine.msr(0x1234, 0n);
    expect([machine.step('0f32'), machine.step('0f30')]).toEqual(['#GP(0)', '#GP(0)']);
  });

  test('have one name each, for a vendor or for both', () => {
    const names = msrReference().map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const vendor of VENDORS) expect(msrReference(vendor).length).toBeLessThan(msrReference().length);
  });
});

describe('counters', () => {
  test('RDTSC at level 3 asks CR4.TSD, RDPMC asks CR4.PCE', () => {
    const machine = new SystemMachine('long-user');
    expect([machine.step('0f31'), machine.step('0f01f9'), machine.step('0f33')]).toEqual(['ok', 'ok', '#GP(0)']);
    machine.state.set64(L.CR4, 0x24n);
    machine.processor.stateChanged();
    expect([machine.step('0f31'), machine.step('0f01f9')]).toEqual(['#GP(0)', '#GP(0)']);
  });

  test('XGETBV and XSETBV are undefined without OSXSAVE', () => {
    const machine = new SystemMachine('long');
    expect([machine.step('0f01d0'), machine.step('0f01d1')]).toEqual(['#UD', '#UD']);
  });
});
