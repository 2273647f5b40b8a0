import { describe, expect, test } from 'vitest';
import * as L from '../../../src/processor/state/layout.ts';
import { At, type Mode, Selector, SystemMachine } from './machine.ts';

const MOV_CR0_RAX = '0f22c0';
const MOV_CR3_RAX = '0f22d8';
const MOV_CR4_RAX = '0f22e0';
const MOV_CR8_RAX = '440f22c0';

describe('control registers', () => {
  const cases: readonly (readonly [name: string, mode: Mode, code: string, rax: bigint, result: string])[] = [
    ['paging without protection is refused', 'protected', MOV_CR0_RAX, 0x8000_0010n, '#GP(0)'],
    ['NW without CD is refused', 'protected', MOV_CR0_RAX, 0x2000_0011n, '#GP(0)'],
    ['undefined bits of CR0 are ignored', 'protected', MOV_CR0_RAX, 0x11n | (1n << 20n), 'ok'],
    ['the upper half of CR0 is refused', 'long', MOV_CR0_RAX, 0x1_8001_0011n, '#GP(0)'],
    ['paging stays on in 64-bit mode', 'long', MOV_CR0_RAX, 0x11n, '#GP(0)'],
    ['paging goes off in compatibility mode', 'compatible', MOV_CR0_RAX, 0x11n, 'ok'],
    ['PAE stays on in long mode', 'long', MOV_CR4_RAX, 0n, '#GP(0)'],
    ['reserved bits of CR4 are refused', 'long', MOV_CR4_RAX, 0x20n | (1n << 31n), '#GP(0)'],
    ['bits of absent features are refused', 'long', MOV_CR4_RAX, 0x80_0020n, '#GP(0)'],
    ['SMEP, SMAP, UMIP and FSGSBASE can be set', 'long', MOV_CR4_RAX, 0x31_0820n, 'ok'],
    ['an address beyond MAXPHYADDR is refused in CR3', 'long', MOV_CR3_RAX, 1n << 40n, '#GP(0)'],
    ['the upper half of CR3 counts for nothing outside long mode', 'protected', MOV_CR3_RAX, 0x7_0000_1000n, 'ok'],
    ['CR8 has four bits', 'long', MOV_CR8_RAX, 16n, '#GP(0)'],
    ['CR1 is undefined', 'protected', '0f22c8', 0n, '#UD'],
    ['CR9 is undefined', 'long', '440f22c8', 0n, '#UD'],
    ['level 3 may not', 'long-user', MOV_CR0_RAX, 0x8001_0011n, '#GP(0)'],
    ['level 3 gets undefined instruction first', 'long-user', '0f22c8', 0n, '#UD'],
  ];
  test.each(cases)('%s', (_name, mode, code, rax, result) => {
    const machine = new SystemMachine(mode);
    machine.state.setGpr(0, rax);
    expect(machine.step(code)).toBe(result);
  });

  test('long mode begins with paging under LME and ends with it', () => {
    const machine = new SystemMachine('protected');
    const { state } = machine;
    machine.msr(0xc000_0080, 0x100n);
    expect(machine.step('0f30')).toBe('ok');
    state.setGpr(0, 0x8000_0011n);
    expect(machine.step(MOV_CR0_RAX)).toBe('#GP(0)');
    state.setGpr(0, 0x20n);
    expect(machine.step(MOV_CR4_RAX)).toBe('ok');
    state.setGpr(0, BigInt(At.PML4));
    expect(machine.step(MOV_CR3_RAX)).toBe('ok');
    state.setGpr(0, 0x8000_0011n);
    expect(machine.step(MOV_CR0_RAX)).toBe('ok');
    expect(state.efer).toBe(0x500n);
    expect(machine.processor.mode).toBe(32);
    machine.msr(0xc000_0080, 0n);
    expect(machine.step('0f30')).toBe('#GP(0)');
    state.setGpr(0, 0x11n);
    expect(machine.step(MOV_CR0_RAX)).toBe('ok');
    expect(state.efer).toBe(0x100n);
  });

  test('long mode does not begin in 64-bit code or with a 16-bit task', () => {
    const machine = new SystemMachine('protected');
    const { state } = machine;
    state.set64(L.EFER, 0x100n);
    state.set64(L.CR4, 0x20n);
    state.set64(L.CR3, BigInt(At.PML4));
    state.setGpr(0, 0x8000_0011n);
    const tss = state.segment(L.Segment.TR);
    state.setSegment(L.Segment.TR, { ...tss, rights: 0x83 });
    expect(machine.step(MOV_CR0_RAX)).toBe('#GP(0)');
    state.setSegment(L.Segment.TR, tss);
    const code = state.segment(L.Segment.CS);
    state.setSegment(L.Segment.CS, { ...code, rights: code.rights | 0x2000 });
    expect(machine.step(MOV_CR0_RAX)).toBe('#GP(0)');
  });

  test('page directory pointers with reserved bits are refused with paging, CR3 and CR4', () => {
    const machine = new SystemMachine('protected');
    const { state } = machine;
    machine.write64(At.PDPT, BigInt(At.PD | 7));
    state.set64(L.CR4, 0x20n);
    state.set64(L.CR3, BigInt(At.PDPT));
    state.setGpr(0, 0x8000_0011n);
    expect(machine.step(MOV_CR0_RAX)).toBe('#GP(0)');
    machine.write64(At.PDPT, BigInt(At.PD | 1));
    expect(machine.step(MOV_CR0_RAX)).toBe('ok');
    machine.write64(At.PDPT, BigInt(At.PD | 3));
    state.setGpr(0, BigInt(At.PDPT));
    expect(machine.step(MOV_CR3_RAX)).toBe('#GP(0)');
  });

  test('LMSW sets PE and does not clear it; CLTS clears TS', () => {
    const machine = new SystemMachine('protected');
    const { state } = machine;
    state.setGpr(0, 0xen);
    expect(machine.step('0f01f0')).toBe('ok');
    expect(state.cr0).toBe(0x1fn);
    expect(machine.step('0f06')).toBe('ok');
    expect(state.cr0).toBe(0x17n);
  });

  test('UMIP keeps SGDT, SIDT, SLDT, STR and SMSW from level 3', () => {
    const machine = new SystemMachine('long-user');
    machine.state.setGpr(0, BigInt(At.DATA));
    for (const code of ['0f0100', '0f0108', '0f00c0', '0f00c8', '0f01e0']) {
      machine.reset();
      machine.state.setGpr(0, BigInt(At.DATA));
      expect(machine.step(code)).toBe('ok');
      machine.reset();
      machine.state.set64(L.CR4, 0x820n);
      machine.state.setGpr(0, BigInt(At.DATA));
      machine.processor.stateChanged();
      expect(machine.step(code)).toBe('#GP(0)');
    }
  });

  test('the task priority is bits 7 to 4 of the interrupt controller', () => {
    const machine = new SystemMachine('long');
    let priority = 0x35;
    machine.processor.setInterruptSource({
      hasInterrupt: () => false,
      acknowledge: () => 0,
      getTpr: () => priority,
      setTpr: (value) => {
        priority = value;
      },
    });
    expect(machine.step('440f20c0')).toBe('ok');
    expect(machine.state.gpr(0)).toBe(3n);
    machine.state.setGpr(0, 9n);
    machine.step(MOV_CR8_RAX);
    expect(priority).toBe(0x90);
  });
});

describe('debug registers', () => {
  test('general detection traps an access, after privilege and before the access', () => {
    const machine = new SystemMachine('protected');
    machine.state.set64(L.DR + 56, 0x2400n);
    machine.processor.stateChanged();
    expect(machine.step('0f21c0')).toBe('#DB');
    const user = new SystemMachine('protected-user');
    user.state.set64(L.DR + 56, 0x2400n);
    user.processor.stateChanged();
    expect(user.step('0f21c0')).toBe('#GP(0)');
  });

  test('general detection sets BD and is off in the handler', () => {
    const machine = new SystemMachine('protected');
    machine.state.set64(L.DR + 56, 0x2400n);
    machine.processor.stateChanged();
    machine.deliver('0f21c0');
    expect(machine.state.get64(L.DR + 48) & 0x2000n).toBe(0x2000n);
    expect(machine.state.get64(L.DR + 56)).toBe(0x400n);
  });

  test('a hypervisor that wants the access gets it before general detection', () => {
    const machine = new SystemMachine('protected');
    machine.state.set64(L.DR + 56, 0x2400n);
    machine.processor.stateChanged();
    machine.processor.intercepts.dr = { read: 0xff, write: 0xff };
    expect(machine.step('0f21c0')).toBe('dr');
  });

  test('fixed bits of DR6 and DR7 stay', () => {
    const machine = new SystemMachine('long');
    const { state } = machine;
    state.setGpr(0, 0xffff_ffffn);
    expect(machine.step('0f23f0')).toBe('ok');
    expect(state.get64(L.DR + 48)).toBe(0xffff_efffn);
    state.setGpr(0, 0n);
    machine.step('0f23f0');
    expect(state.get64(L.DR + 48)).toBe(0xffff_0ff0n);
    machine.step('0f23f8');
    expect(state.get64(L.DR + 56)).toBe(0x400n);
  });

  test.each([
    ['0f23f0', 1n << 32n],
    ['0f23f8', 1n << 32n],
  ])('the upper halves of DR6 and DR7 are refused (%s)', (code, value) => {
    const machine = new SystemMachine('long');
    machine.state.setGpr(0, value);
    expect(machine.step(code)).toBe('#GP(0)');
  });

  test('DR4 and DR5 are undefined under CR4.DE', () => {
    const machine = new SystemMachine('protected');
    expect(machine.step('0f21e0')).toBe('ok');
    machine.state.set64(L.CR4, 8n);
    machine.processor.stateChanged();
    expect(machine.step('0f21e0')).toBe('#UD');
  });

  test('INT1 goes to vector 1 whatever the privilege of its gate, and leaves DR6 alone', () => {
    const machine = new SystemMachine('protected-user');
    machine.deliver('f1');
    expect(machine.state.cpl).toBe(0);
    expect(machine.state.get64(L.DR + 48)).toBe(0xffff_0ff0n);
  });
});

test('MOV CR is privileged before a hypervisor sees it, and seen before its value is checked', () => {
  const machine = new SystemMachine('protected');
  machine.processor.intercepts.cr.write = 1;
  machine.state.setGpr(0, 0x8000_0010n);
  expect(machine.step(MOV_CR0_RAX)).toBe('cr');
  const user = new SystemMachine('protected-user');
  user.processor.intercepts.cr.write = 1;
  expect(user.step(MOV_CR0_RAX)).toBe('#GP(0)');
});

test('RDFSBASE and its kin need CR4.FSGSBASE and 64-bit mode', () => {
  const machine = new SystemMachine('long-user');
  const { state } = machine;
  expect(machine.step('f3480faec0')).toBe('#UD');
  state.set64(L.CR4, 0x1_0020n);
  machine.processor.stateChanged();
  state.setGpr(0, 0x1234_5678_9abcn);
  expect(machine.step('f3480faed0')).toBe('ok');
  expect(machine.step('f3480faec3')).toBe('ok');
  expect(state.gpr(3)).toBe(0x1234_5678_9abcn);
  expect(machine.step('f30faec3')).toBe('ok');
  expect(state.gpr(3)).toBe(0x5678_9abcn);
  state.setGpr(0, 1n << 47n);
  expect(machine.step('f3480faed8')).toBe('#GP(0)');
  const compatible = new SystemMachine('compatible');
  compatible.state.set64(L.CR4, 0x1_0020n);
  compatible.processor.stateChanged();
  expect(compatible.step('f30faec0')).toBe('#UD');
});

test('the busy TSS and the null selector are refused by LTR', () => {
  const machine = new SystemMachine('protected');
  machine.state.setGpr(0, BigInt(Selector.TSS));
  expect(machine.step('0f00d8')).toBe('#GP(40)');
  machine.state.setGpr(0, 0n);
  expect(machine.step('0f00d8')).toBe('#GP(0)');
});
