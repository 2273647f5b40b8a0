import { describe, expect, test } from 'vitest';
import * as L from '../../../src/processor/state/layout.ts';
import { At, type Mode, SystemMachine } from '../system/machine.ts';

const CR0_MP = 2n;
const CR0_EM = 4n;
const CR0_TS = 8n;
const CR0_NE = 0x20n;

const FLD1 = 'd9e8';
const FLDZ = 'd9ee';
const FNINIT = 'dbe3';
const FDIVP = 'def9';
const FNSTSW_AX = 'dfe0';
const FNCLEX = 'dbe2';
const WAIT = '9b';
/** Memory operands at [RBX], or at [BX] in 16-bit code: mod 0 and rm 3 or 7. */
const FSTP_M80 = { 16: 'db3f', 64: 'db3b' };
const FNSTENV = { 16: 'd937', 64: 'd933' };
const FNSAVE = 'dd33';

function machine(mode: Mode, cr0 = CR0_NE, cpu = '', vendor: 'intel' | 'amd' = 'amd'): SystemMachine {
  const made = new SystemMachine(mode, vendor, {}, cpu);
  made.state.set64(L.CR0, made.state.cr0 | cr0);
  made.state.setGpr(3, BigInt(At.DATA));
  made.processor.stateChanged();
  return made;
}

/** All that belongs to the unit, as text. */
function unitState({ state }: SystemMachine): string {
  const words: bigint[] = [];
  for (let at = L.X87_REGISTERS; at < L.MXCSR; at += 8) words.push(state.get64(at));
  return words.map((word) => word.toString(16)).join(' ');
}

/** Makes 1 ÷ 0 with ZE not masked. */
function leaveException(made: SystemMachine): void {
  expect([FNINIT, FLD1, FLDZ].map((code) => made.step(code))).toEqual(['ok', 'ok', 'ok']);
  made.state.set32(L.X87_CONTROL, 0x37b);
  expect(made.step(FDIVP)).toBe('ok');
}

describe('the x87 unit is not available', () => {
  test.each([
    ['x87 with EM', CR0_EM, FLD1, '#NM'],
    ['x87 with TS', CR0_TS, FLD1, '#NM'],
    ['FNINIT with TS', CR0_TS, FNINIT, '#NM'],
    ['x87 with MP alone', CR0_MP, FLD1, 'ok'],
    ['WAIT with TS', CR0_TS, WAIT, 'ok'],
    ['WAIT with MP and TS', CR0_MP | CR0_TS, WAIT, '#NM'],
    ['WAIT with EM', CR0_EM, WAIT, 'ok'],
  ] as const)('%s', (_, cr0, code, outcome) => {
    expect(machine('long', cr0).step(code)).toBe(outcome);
  });

  test('on a processor without it', () => {
    expect(machine('protected', 0n, 'max,-fpu,-lm').step(FLD1)).toBe('#UD');
  });
});

describe('an exception that is not masked', () => {
  test('waits for the next instruction that asks for it', () => {
    const made = machine('long');
    leaveException(made);
    expect(made.step(FNSTSW_AX)).toBe('ok');
    // B, ES and ZE; two registers in use.
    expect(made.state.gpr(0)).toBe(0xb084n);
    const before = unitState(made);
    expect([made.step(FLD1), made.step(WAIT)]).toEqual(['#MF', '#MF']);
    expect(unitState(made)).toBe(before);
    expect([made.step(FNCLEX), made.step(WAIT), made.step(FLD1)]).toEqual(['ok', 'ok', 'ok']);
  });

  test('is not reported with NE clear', () => {
    const made = machine('long', 0n);
    leaveException(made);
    expect([made.step(WAIT), made.step(FLD1)]).toEqual(['ok', 'ok']);
  });

  test('keeps the operands', () => {
    const made = machine('long');
    leaveException(made);
    expect(made.state.get32(L.X87_TAGS)).toBe(0xc0);
  });
});

describe('an access that faults', () => {
  test.each([
    ['FLD m64', 'dd03', 0x40_0000n],
    ['FLD m80 across pages', 'db2b', 0x3f_fff8n],
    ['FSTP m80 across pages', 'db3b', 0x3f_fff8n],
    ['FISTP m16', 'df1b', 0x40_0000n],
    ['FNSAVE across pages', 'dd33', 0x3f_ffa0n],
    ['FRSTOR across pages', 'dd23', 0x3f_ffa0n],
    ['FLDENV across pages', 'd923', 0x3f_fff0n],
  ])('changes nothing: %s', (_, code, address) => {
    const made = machine('long');
    for (const first of [FNINIT, FLD1, FLDZ]) made.step(first);
    made.state.setGpr(3, address);
    const before = unitState(made);
    expect(made.step(code)).toMatch(/^#PF/);
    expect(unitState(made)).toBe(before);
    expect(made.read64(0x3f_fff8)).toBe(0n);
  });
});

describe('images', () => {
  test('in protected mode have selectors and offsets', () => {
    const made = machine('protected');
    for (const code of [FNINIT, FLD1]) made.step(code);
    const at = made.state.rip;
    made.step(FSTP_M80[64]);
    expect(made.step(FNSTENV[64])).toBe('ok');
    const words = Array.from({ length: 7 }, (_, index) => made.read32(At.DATA + index * 4));
    expect(words).toEqual([0xffff_037f, 0xffff_0000, 0xffff_ffff, Number(at), 0x033b_0008, At.DATA, 0xffff_0010]);
  });

  test('of Intel have no selectors', () => {
    const made = machine('protected', CR0_NE, 'haswell', 'intel');
    for (const code of [FNINIT, FLD1, FSTP_M80[64]]) made.step(code);
    made.step(FNSTENV[64]);
    expect([made.read32(At.DATA + 16), made.read32(At.DATA + 24)]).toEqual([0x033b_0000, 0xffff_0000]);
  });

  test('in real mode have linear addresses', () => {
    const made = machine('real');
    made.state.setSegment(L.Segment.DS, { selector: 0x200, base: 0x2000n, limit: 0xffff, rights: 0x93 });
    made.processor.stateChanged();
    for (const code of [FNINIT, FLD1]) made.step(code);
    const at = Number(made.state.rip);
    made.step(FSTP_M80[16]);
    expect(made.step(FNSTENV[16])).toBe('ok');
    const image = 0x2000 + At.DATA;
    const words = Array.from({ length: 7 }, (_, index) => made.read32(image + index * 2) & 0xffff);
    expect(words).toEqual([0x037f, 0, 0xffff, at, 0x033f, image, 0]);
    // With 32-bit words the upper halves of addresses stand in bits 27:12 of the next word.
    made.step(`66${FNSTENV[16]}`);
    expect([made.read32(image + 12), made.read32(image + 16)]).toEqual([0xffff_0000 + at, 0x033f]);
  });

  test('of FNSAVE leave the unit initialized', () => {
    const made = machine('long');
    for (const code of [FNINIT, FLD1, FLDZ, FNSAVE]) made.step(code);
    // ST(0) is zero, ST(1) one.
    expect([made.read64(At.DATA + 28), made.read64(At.DATA + 38)]).toEqual([0n, 1n << 63n]);
    const { state } = made;
    expect([state.get32(L.X87_CONTROL), state.get32(L.X87_STATUS), state.get32(L.X87_TAGS)]).toEqual([0x37f, 0, 0]);
    expect(made.step('dd23')).toBe('ok');
    expect([state.get32(L.X87_STATUS), state.get32(L.X87_TAGS)]).toEqual([0x3000, 0xc0]);
  });
});

test('INIT leaves the unit alone, a reset does not', () => {
  const made = machine('long');
  for (const code of [FNINIT, FLD1]) made.step(code);
  const before = unitState(made);
  made.processor.raiseInit();
  made.processor.run(0);
  expect([made.state.rip, unitState(made)]).toEqual([0xfff0n, before]);
  made.processor.reset();
  // All registers +0, none of them empty.
  expect([made.state.get32(L.X87_CONTROL), made.state.get32(L.X87_TAGS)]).toEqual([0x40, 0xff]);
});
