import { describe, expect, test } from 'vitest';
import { Flag } from '../../../src/processor/state/cpu-state.ts';
import * as L from '../../../src/processor/state/layout.ts';
import { At, Selector, SystemMachine, describe as say } from './machine.ts';

const INT_20 = 'cd20';

describe('gates of the IDT in long mode', () => {
  const cases: readonly (readonly [name: string, selector: number, rights: number, result: string])[] = [
    ['not present', Selector.CODE64, 0x0e, '#NP(102)'],
    ['a task gate', Selector.CODE64, 0x85, '#GP(102)'],
    ['a 16-bit gate', Selector.CODE64, 0x86, '#GP(102)'],
    ['a call gate', Selector.CODE64, 0x8c, '#GP(102)'],
    ['to a null selector', 0, 0x8e, '#GP(0)'],
    ['to data', Selector.DATA, 0x8e, '#GP(10)'],
    ['to 32-bit code', Selector.CODE32, 0x8e, '#GP(8)'],
    ['beyond the table', 0x1000, 0x8e, '#GP(1000)'],
  ];
  test.each(cases)('%s', (_name, selector, rights, result) => {
    const machine = new SystemMachine('long');
    machine.gate(0x20, selector, rights);
    expect(machine.step(INT_20)).toBe(result);
    expect(machine.state.rip).toBe(BigInt(At.CODE));
  });

  test('beyond the limit', () => {
    const machine = new SystemMachine('long');
    expect(machine.step('cd50')).toBe('#GP(282)');
  });

  test('software interrupts of level 3 ask the privilege of the gate', () => {
    const machine = new SystemMachine('long-user');
    expect(machine.step(INT_20)).toBe('#GP(102)');
    machine.gate(0x20, Selector.CODE64, 0xee);
    expect(machine.deliver(INT_20)).toBe('ok');
    expect(machine.state.cpl).toBe(0);
  });

  test('the frame is aligned and holds SS, RSP, RFLAGS, CS, RIP', () => {
    const machine = new SystemMachine('long');
    machine.state.setGpr(4, BigInt(At.STACK - 5));
    machine.deliver(INT_20);
    const frame = At.STACK - 16 - 40;
    expect(machine.state.gpr(4)).toBe(BigInt(frame));
    expect([0, 8, 16, 24, 32].map((at) => machine.read64(frame + at))).toEqual([
      BigInt(At.CODE + 2),
      BigInt(Selector.CODE64),
      2n,
      BigInt(At.STACK - 5),
      BigInt(Selector.DATA),
    ]);
  });

  test('a stack pointer of the TSS that is not canonical is #SS', () => {
    const machine = new SystemMachine('long');
    machine.write64(At.TSS + 0x24, 1n << 47n);
    machine.gate(0x20, Selector.CODE64, 0x8e, 1);
    expect(machine.step(INT_20)).toBe('#SS(0)');
  });

  test('a stack beyond the limit of the TSS is #TS', () => {
    const machine = new SystemMachine('long-user');
    machine.gate(0x20, Selector.CODE64, 0xee);
    machine.state.setSegment(L.Segment.TR, { selector: Selector.TSS, base: BigInt(At.TSS), limit: 10, rights: 0x8b });
    expect(machine.step(INT_20)).toBe('#TS(40)');
  });
});

describe('delivery of exceptions', () => {
  test('faults push RF, traps do not', () => {
    const machine = new SystemMachine('long');
    machine.deliver('0f0b');
    expect(machine.read64(At.STACK - 24) & BigInt(Flag.RF)).toBe(BigInt(Flag.RF));
    machine.reset();
    machine.deliver('cc');
    expect(machine.read64(At.STACK - 24) & BigInt(Flag.RF)).toBe(0n);
    expect(machine.read64(At.STACK - 40)).toBe(BigInt(At.CODE + 1));
  });

  test('an instruction breakpoint does not push RF', () => {
    const machine = new SystemMachine('long');
    machine.state.set64(L.DR, BigInt(At.CODE));
    machine.state.set64(L.DR + 56, 0x402n);
    machine.processor.stateChanged();
    machine.deliver('90');
    expect(machine.read64(At.STACK - 24)).toBe(2n);
    expect(machine.state.get64(L.DR + 48)).toBe(0xffff_0ff1n);
  });

  test('a page fault sets CR2', () => {
    const machine = new SystemMachine('long');
    machine.state.setGpr(0, 0x7000_1234n);
    machine.deliver('8b00');
    expect(machine.state.get64(L.CR2)).toBe(0x7000_1234n);
    expect(machine.read64(At.STACK - 48)).toBe(0n);
  });

  test('an exception on the way of an exception has EXT set, one on the way of INT n has not', () => {
    const machine = new SystemMachine('long');
    machine.gate(6, Selector.CODE64, 0x0e);
    machine.deliver('0f0b');
    expect(machine.read64(At.STACK - 48)).toBe(0x33n);
    machine.reset();
    machine.gate(0x20, Selector.CODE64, 0x0e);
    machine.deliver(INT_20);
    expect(machine.read64(At.STACK - 48)).toBe(0x102n);
  });

  const pairs: readonly (readonly [name: string, code: string, broken: readonly number[], result: number])[] = [
    ['contributory after benign is itself', '0f0b', [6], 11],
    ['contributory after contributory is a double fault', '8ec0', [13], 8],
    ['contributory after a page fault is a double fault', '8b04250000007f', [14], 8],
  ];
  test.each(pairs)('%s', (_name, code, broken, vector) => {
    const machine = new SystemMachine('long');
    for (const gate of broken) machine.gate(gate, Selector.CODE64, 0x0e);
    machine.write64(At.IDT + vector * 16, BigInt(At.HANDLER + 0x10) | (BigInt(Selector.CODE64) << 16n) | (0x8en << 40n));
    machine.state.setGpr(0, 0x1000n);
    machine.deliver(code);
    expect(machine.state.rip >> 4n).toBe(BigInt((At.HANDLER + 0x10) >> 4));
  });

  test('a fault in the delivery of a double fault is a triple fault, with the chain', () => {
    const machine = new SystemMachine('long');
    for (const gate of [6, 8, 11, 13]) machine.gate(gate, Selector.CODE64, 0x0e);
    machine.processor.intercepts.exceptions = 0;
    expect(machine.step('0f0b')).toBe('triple fault #UD #NP(33) #DF(0)');
    expect(machine.step('90')).toBe('shutdown');
  });

  test('a triple fault that starts at a software interrupt is one too', () => {
    const machine = new SystemMachine('long');
    machine.state.set32(L.IDTR_LIMIT, 0);
    machine.processor.intercepts.exceptions = 0;
    expect(machine.step(INT_20)).toBe('triple fault #GP(102) #DF(0)');
  });

  test('the interrupt shadow ends with the delivery', () => {
    const machine = new SystemMachine('protected');
    machine.state.set32(L.INTERRUPTIBILITY, 1);
    machine.deliver('0f0b');
    expect(machine.state.get32(L.INTERRUPTIBILITY)).toBe(0);
  });

  test('an interrupt wakes a halted processor and clears IF in its handler', () => {
    const machine = new SystemMachine('protected');
    let pending = false;
    machine.processor.setInterruptSource({
      hasInterrupt: () => pending,
      acknowledge: () => {
        pending = false;
        return 0x20;
      },
      getTpr: () => 0,
      setTpr: () => {},
    });
    machine.state.rflags = 2 | Flag.IF;
    machine.step('f4');
    expect(say(machine.processor.run(1))).toBe('halted');
    pending = true;
    machine.memory.write(BigInt(At.HANDLER), Uint8Array.of(0x90));
    expect(say(machine.processor.run(1))).toBe('ok');
    expect(machine.state.rip).toBe(BigInt(At.HANDLER + 1));
    expect(machine.state.rflags & Flag.IF).toBe(0);
  });

  test('an NMI blocks the next one until IRET', () => {
    const machine = new SystemMachine('protected');
    machine.memory.write(BigInt(At.HANDLER), Uint8Array.of(0x90, 0xcf));
    machine.memory.write(BigInt(At.CODE), Uint8Array.of(0x90, 0x90));
    machine.processor.raiseNmi();
    machine.processor.run(1);
    expect(machine.state.rip).toBe(BigInt(At.HANDLER + 1));
    machine.processor.raiseNmi();
    machine.processor.run(1);
    expect(machine.state.rip).toBe(BigInt(At.CODE));
    machine.processor.run(1);
    expect(machine.state.rip).toBe(BigInt(At.HANDLER + 1));
  });

  test('single steps give way to a software interrupt, and go on behind it', () => {
    const machine = new SystemMachine('protected');
    machine.memory.write(BigInt(At.HANDLER), Uint8Array.of(0xcf));
    machine.memory.write(BigInt(At.CODE), Uint8Array.of(0xcd, 0x20, 0x90, 0x90));
    machine.state.rflags = 2 | Flag.TF;
    machine.processor.intercepts.exceptions = 2;
    expect(say(machine.processor.run(10))).toBe('#DB');
    expect(machine.state.rip).toBe(BigInt(At.CODE + 3));
  });
});

describe('exceptions that a debugger wants to see', () => {
  test.each([
    ['cc', 3],
    ['f1', 1],
    ['0f0b', 6],
  ] as const)('%s stops before delivery, and goes on when told', (code, vector) => {
    const machine = new SystemMachine('protected');
    const { processor } = machine;
    processor.intercepts.exceptions = 0;
    processor.debugExceptions = 1 << vector;
    machine.memory.write(BigInt(At.HANDLER), Uint8Array.of(0x90, 0x90));
    const stop = machine.step(code);
    expect(stop).toMatch(/^#(BP|DB|UD)$/);
    expect(machine.state.rip).toBe(BigInt(At.CODE));
    processor.resumePast();
    processor.run(1);
    expect(machine.state.rip >> 4n).toBe(BigInt(At.HANDLER >> 4));
  });
});

describe('real mode', () => {
  test('an interrupt goes through the vector table and clears IF and TF', () => {
    const machine = new SystemMachine('real');
    machine.write32(0x20 * 4, 0x0200_0010);
    machine.state.rflags = 2 | Flag.IF;
    expect(machine.step(INT_20)).toBe('ok');
    expect([machine.state.segment(L.Segment.CS).selector, machine.state.rip]).toEqual([0x200, 0x10n]);
    expect(machine.state.rflags & Flag.IF).toBe(0);
    expect(machine.read64(At.STACK - 6) & 0xffff_ffff_ffffn).toBe(BigInt(At.CODE + 2) | (0x202n << 32n));
  });

  test('data can be written through CS after an interrupt', () => {
    const machine = new SystemMachine('real');
    machine.write32(0x20 * 4, At.HANDLER);
    machine.step(INT_20);
    expect(machine.step('2ec606000901')).toBe('ok');
  });

  test('a word across the end of a segment is #GP, through SS #SS', () => {
    const machine = new SystemMachine('real');
    machine.state.setGpr(3, 0xffffn);
    machine.state.setGpr(5, 0xffffn);
    expect([machine.step('8b07'), machine.step('8b4600'), machine.step('8a07')]).toEqual(['#GP(0)', '#SS(0)', 'ok']);
  });

  test('an interrupt beyond the limit of the table is #GP', () => {
    const machine = new SystemMachine('real');
    machine.state.set32(L.IDTR_LIMIT, 0x82);
    expect(machine.step(INT_20)).toBe('#GP(0)');
    expect(machine.step('cd1f')).toBe('ok');
  });

  test.each(['0f00c0', '0f00d0', '0f00d8', '0f02c0', '0f03c0', '0f00e0', '63c0'])('%s is undefined', (code) => {
    expect(new SystemMachine('real').step(code)).toBe('#UD');
  });
});

describe('task gates', () => {
  test('an exception through one leaves for a hypervisor that wants task switches, and is done when it says so', () => {
    const machine = new SystemMachine('protected');
    machine.descriptor(Selector.FREE, 0x0000_8900_0000_0067n | (0xc000n << 16n));
    machine.write32(0xc020, At.HANDLER);
    machine.write32(0xc024, 2);
    machine.write32(0xc038, At.INNER_STACK);
    for (const [at, selector] of [
      [0x48, Selector.DATA],
      [0x4c, Selector.CODE32],
      [0x50, Selector.DATA],
      [0x54, Selector.DATA],
    ] as const)
      machine.write32(0xc000 + at, selector);
    machine.gate(13, Selector.FREE, 0x85);
    machine.processor.intercepts.taskSwitch = true;
    machine.state.setGpr(0, 0x1000n);
    machine.state.setGpr(1, 0x1234n);
    expect(machine.deliver('8ec0')).toBe('task-switch');
    expect(machine.state.rip).toBe(BigInt(At.CODE));
    machine.processor.performNatively();
    expect(machine.state.rip).toBe(BigInt(At.HANDLER));
    expect(machine.state.segment(L.Segment.TR).selector).toBe(Selector.FREE);
    expect(machine.read32(At.INNER_STACK - 4)).toBe(0x1000);
    expect(machine.read32(At.TSS + 0x2c)).toBe(0x1234);
    expect(machine.state.rflags & Flag.NT).toBe(Flag.NT);
  });
});

describe('x87 instructions under CR0 (Intel SDM vol. 3, table 2-2)', () => {
  const MP = 2n;
  const EM = 4n;
  const TS = 8n;
  test.each([
    ['FWAIT', '9b', 0n, 'ok'],
    ['FWAIT with EM alone', '9b', EM, 'ok'],
    ['FWAIT with TS alone', '9b', TS, 'ok'],
    ['FWAIT with MP alone', '9b', MP, 'ok'],
    ['FWAIT with TS and MP', '9b', TS | MP, '#NM'],
    ['FNINIT with EM', 'dbe3', EM, '#NM'],
    ['FNINIT with TS', 'dbe3', TS, '#NM'],
    ['FNINIT with TS and MP', 'dbe3', TS | MP, '#NM'],
    ['FLD with EM and MP', 'd9c0', EM | MP, '#NM'],
  ] as const)('%s', (_name, code, bits, result) => {
    for (const mode of ['protected', 'long', 'long-user'] as const) {
      const machine = new SystemMachine(mode);
      machine.state.set64(L.CR0, (machine.state.cr0 & ~(MP | EM | TS)) | bits);
      machine.processor.stateChanged();
      expect(machine.step(code), mode).toBe(result);
    }
  });
});
