import { describe, expect, test } from 'vitest';
import { FEATURES, IMPLEMENTED, REQUIRED_BY } from '../../../src/processor/models/features.ts';
import { NAMED_MODELS } from '../../../src/processor/models/named-models.ts';
import { CpuError, parseCpu } from '../../../src/processor/models/parse-cpu.ts';
import { type Mode, SystemMachine } from './machine.ts';

describe('a processor by name', () => {
  test.each(Object.keys(NAMED_MODELS))('%s advertises only what is emulated, and what its features need', (name) => {
    for (const vendor of ['intel', 'amd'] as const) {
      const table = NAMED_MODELS[name]?.(vendor);
      expect(table?.features.filter((feature) => !IMPLEMENTED.has(feature))).toEqual([]);
      expect(() => parseCpu(name, table?.vendor)).not.toThrow();
    }
  });

  test('differs from the others as the real ones do', () => {
    expect([parseCpu('nehalem').has('movbe'), parseCpu('haswell').has('movbe')]).toEqual([false, true]);
    expect([parseCpu('haswell').has('smap'), parseCpu('skylake').has('smap')]).toEqual([false, true]);
    expect([parseCpu('epyc').vendor, parseCpu('nehalem').vendor]).toEqual(['amd', 'intel']);
    expect(parseCpu('haswell').cpuid(1, 0).eax).toBe(0x306c3);
    expect(parseCpu('max', 'amd').has('rdpid')).toBe(true);
  });

  test('takes switches, with or without a name', () => {
    expect(parseCpu('haswell,-movbe,+umip').has('movbe')).toBe(false);
    expect(parseCpu('haswell, -movbe, +UMIP').has('umip')).toBe(true);
    expect(parseCpu('-rdrand', 'amd')).toMatchObject({ name: 'epyc', vendor: 'amd' });
    expect(parseCpu('haswell,-movbe').cpuid(1, 0).ecx & (1 << 22)).toBe(0);
  });

  test.each([
    ['pentium', 'There is no processor model "pentium"; there are nehalem, haswell, skylake, epyc, max.'],
    ['haswel', 'Did you mean haswell?'],
    ['haswell,-movb', 'There is no processor feature "movb". Did you mean movbe?'],
    ['haswell,skylake', 'A processor has one model; "skylake" is too many.'],
    ['haswell,+avx512f', 'There is no processor feature "avx512f".'],
    ['haswell,+vme', "The emulated processor doesn't have the feature vme yet."],
    ['haswell,-pae', 'The feature lm needs pae; switch both on, or both off: +pae or -lm.'],
  ])('%s is refused with a sentence', (text, sentence) => {
    expect(() => parseCpu(text)).toThrow(CpuError);
    expect(() => parseCpu(text)).toThrow(sentence);
  });

  test('loses what needs a feature that is switched off', () => {
    const model = parseCpu('haswell,-avx');
    expect(['avx', 'avx2', 'fma', 'f16c', 'sse4_2', 'lm'].filter((name) => model.has(name))).toEqual(['sse4_2', 'lm']);
    expect(() => parseCpu('haswell,-avx,+avx2')).toThrow('The feature avx2 needs avx');
  });

  test('of the other vendor is refused', () => {
    expect(() => parseCpu('epyc', 'intel')).toThrow("The processor model epyc is AMD's");
  });
});

test('what needs features and what is needed are features', () => {
  for (const [feature, users] of Object.entries(REQUIRED_BY))
    for (const name of [feature, ...users]) expect(FEATURES.has(name), name).toBe(true);
});

describe('without a feature', () => {
  const step = (without: string, code: string, mode: Mode = 'long') => {
    const machine = new SystemMachine(mode, 'intel', {}, `max,-${without}`);
    machine.state.setGpr(3, 0xb000n);
    return machine.step(code);
  };

  test.each([
    ['rdtscp', '0F01F9'],
    ['movbe', '0F38F003'],
    ['fsgsbase', 'F3480FAEC0'],
    ['smap', '0F01CB'],
    ['rdrand', '0FC7F0'],
    ['rdseed', '0FC7F8'],
    ['rdpid', 'F30FC7F8'],
    ['invpcid', '660F388203'],
    ['pku', '0F01EE'],
    ['cx16', '480FC70B'],
    ['lahf', '9F'],
    ['bmi1', 'C4E2F8F3C8'],
    ['bmi2', 'C4E2F8F5C3'],
    ['adx', '660F38F6C3'],
    ['popcnt', 'F30FB8C3'],
  ])('%s, its instruction is undefined', (feature, code) => {
    expect(step(feature, code)).toBe('#UD');
  });

  test.each([
    ['mmx', '0FFCC1'],
    ['sse', '0F58C1'],
    ['sse2', '660FFEC1'],
    ['sse3', 'F20F7CC1'],
    ['ssse3', '660F3800C1'],
    ['sse4_1', '660F3840C1'],
    ['sse4_2', 'F20F38F1C3'],
    ['aes', '660F38DCC1'],
    ['pclmulqdq', '660F3A44C100'],
    ['sha', '0F38C8C1'],
    ['avx', 'C5F858C1'],
    ['avx2', 'C5F5FCC1'],
    ['fma', 'C4E2F1A8C1'],
    ['f16c', 'C4E27913C1'],
  ])('%s, its vector instruction is undefined, and else it is there', (feature, code) => {
    const outcome = (cpu: string) => {
      const machine = new SystemMachine('long', 'intel', {}, cpu);
      machine.enableVectors();
      return machine.step(code);
    };
    // 64-bit mode can't be without SSE2, so these two are asked for in other words.
    const without = ['sse', 'sse2'].includes(feature) ? `max,-${feature},-lm` : `max,-${feature}`;
    expect([outcome('max'), outcome(without)]).toEqual(['ok', '#UD']);
  });

  test("its MSRs are nobody's", () => {
    for (const [feature, index] of [
      ['pat', 0x277],
      ['mtrr', 0x2ff],
      ['sep', 0x174],
      ['rdtscp', 0xc000_0103],
    ] as const) {
      expect(parseCpu('nehalem').msr(index), feature).toBeDefined();
      expect(parseCpu(`nehalem,-${feature}`).msr(index), feature).toBeUndefined();
    }
  });

  test('LZCNT and TZCNT are BSR and BSF', () => {
    for (const [feature, code] of [
      ['lzcnt', 'F30FBDC3'],
      ['bmi1', 'F30FBCC3'],
    ] as const) {
      const machine = new SystemMachine('long', 'intel', {}, `max,-${feature}`);
      machine.state.setGpr(3, 0x30n);
      machine.step(code);
      expect(machine.state.gpr(0)).toBe(feature === 'lzcnt' ? 5n : 4n);
    }
  });

  test('its bit of CR4 can not be set', () => {
    for (const [feature, bit] of [
      ['smep', 20],
      ['smap', 21],
      ['umip', 11],
      ['pge', 7],
      ['pcid', 17],
      ['fsgsbase', 16],
      ['pku', 22],
    ] as const) {
      const machine = new SystemMachine('long', 'intel', {}, feature === 'pge' ? 'max' : `max,-${feature}`);
      machine.state.setGpr(0, 0x20n | (1n << BigInt(bit)));
      expect(machine.step('0F22E0'), feature).toBe(feature === 'pge' ? 'ok' : '#GP(0)');
    }
  });

  test('LAHF still works outside 64-bit mode, and CMPXCHG8B without CX16', () => {
    expect(step('lahf', '9F', 'protected')).toBe('ok');
    expect(step('cx16', '0FC70B')).toBe('ok');
  });
});
