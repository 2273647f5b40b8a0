import { describe, expect, test } from 'vitest';
import * as L from '../../../src/processor/state/layout.ts';
import { type Mode, SystemMachine } from './machine.ts';

const CR0_EM = 4n;
const CR0_TS = 8n;
const CR0_NE = 0x20n;
const OSFXSR = 1n << 9n;
const OSXMMEXCPT = 1n << 10n;
const OSXSAVE = 1n << 18n;
const SSE = OSFXSR | OSXMMEXCPT;

const PADDB_MMX = '0FFCC1';
const PADDB = '660FFCC1';
const VPADDB = 'C5F9FCC1';
const VPADDB_YMM = 'C5FDFCC1';
const MOVNTI = '0FC303';
const CRC32 = 'F20F38F1C1';
const EMMS = '0F77';
const DIVPS = '0F5EC1';
const VDIVPS_YMM = 'C5FC5EC1';

interface Setting {
  readonly cr0?: bigint;
  readonly cr4?: bigint;
  readonly xcr0?: bigint;
  readonly mode?: Mode;
  readonly cpu?: string;
}

function machineWith({ cr0 = 0n, cr4 = SSE | OSXSAVE, xcr0 = 7n, mode = 'long', cpu = 'max' }: Setting): SystemMachine {
  const machine = new SystemMachine(mode, 'intel', {}, cpu);
  machine.state.set64(L.CR4, machine.state.cr4 | cr4);
  machine.state.set64(L.CR0, machine.state.cr0 | CR0_NE | cr0);
  machine.state.set64(L.XCR0, xcr0);
  machine.state.setGpr(3, 0xb000n);
  machine.processor.stateChanged();
  return machine;
}

const outcomes = (setting: Setting, codes: readonly string[]): string[] => codes.map((code) => machineWith(setting).step(code));

describe('vector instructions are there', () => {
  test.each<[string, Setting, readonly string[]]>([
    ['with all enabled', {}, ['ok', 'ok', 'ok', 'ok']],
    ['with CR0.EM: #UD but for AVX', { cr0: CR0_EM }, ['#UD', '#UD', 'ok', 'ok']],
    ['with CR0.TS: #NM', { cr0: CR0_TS }, ['#NM', '#NM', '#NM', '#NM']],
    ['with CR0.EM and TS', { cr0: CR0_EM | CR0_TS }, ['#UD', '#UD', '#NM', '#NM']],
    ['without CR4.OSFXSR: no SSE', { cr4: OSXSAVE }, ['ok', '#UD', 'ok', 'ok']],
    ['without CR4.OSXSAVE: no AVX', { cr4: SSE }, ['ok', 'ok', '#UD', '#UD']],
    ['without AVX in XCR0', { xcr0: 3n }, ['ok', 'ok', '#UD', '#UD']],
    ['without AVX2: no 256 bits of integers', { cpu: 'max,-avx2' }, ['ok', 'ok', 'ok', '#UD']],
    ['without AVX', { cpu: 'max,-avx' }, ['ok', 'ok', '#UD', '#UD']],
  ])('%s', (_name, setting, expected) => {
    expect(outcomes(setting, [PADDB_MMX, PADDB, VPADDB, VPADDB_YMM])).toEqual(expected);
  });

  test('in protected mode, but VEX not in real mode', () => {
    expect(outcomes({ mode: 'protected' }, [PADDB_MMX, PADDB, VPADDB])).toEqual(['ok', 'ok', 'ok']);
    expect(outcomes({ mode: 'real' }, [PADDB_MMX, PADDB])).toEqual(['ok', 'ok']);
    expect(outcomes({ mode: 'real' }, [VPADDB])).toEqual(['#UD']);
  });

  test('whatever is enabled, where they have no vector registers', () => {
    expect(outcomes({ cr0: CR0_EM | CR0_TS, cr4: 0n }, [MOVNTI, CRC32])).toEqual(['ok', 'ok']);
  });
});

describe('a floating-point exception that is not masked', () => {
  const divide = (code: string, cr4: bigint): [outcome: string, mxcsr: number] => {
    const machine = machineWith({ cr4 });
    // 1 / 0 in the highest lane, with ZE unmasked.
    machine.state.set32(L.MXCSR, 0x1d80);
    const upper = code === VDIVPS_YMM ? 16 : 0;
    machine.state.set32(L.VECTORS + upper + 12, 0x3f80_0000);
    return [machine.step(code), machine.state.get32(L.MXCSR)];
  };

  test.each([
    ['DIVPS', DIVPS],
    ['VDIVPS of 256 bits', VDIVPS_YMM],
  ])('is #XM, or #UD where the system has not enabled that: %s', (_name, code) => {
    // The other lanes are 0 / 0, which is masked.
    expect(divide(code, SSE | OSXSAVE)).toEqual(['#19', 0x1d85]);
    expect(divide(code, OSFXSR | OSXSAVE)).toEqual(['#UD', 0x1d85]);
  });

  test('of x87 that waits goes before MMX instructions and EMMS', () => {
    for (const code of [PADDB_MMX, EMMS]) {
      const machine = machineWith({});
      machine.state.set32(L.X87_CONTROL, 0x37e);
      machine.state.set32(L.X87_STATUS, 0x8081);
      expect(machine.step(code)).toBe('#MF');
    }
  });
});
