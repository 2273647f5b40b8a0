import { describe, expect, test } from 'vitest';
import { svmExitInfo } from '../../../src/hypervisor/exits/qualification.ts';
import { exitNumbers } from '../../../src/hypervisor/exits/reasons.ts';
import { conform } from '../../../src/hypervisor/intercepts/conform.ts';
import { interceptSettings } from '../../../src/hypervisor/intercepts/settings.ts';
import { toVmcs } from '../../../src/hypervisor/intercepts/vmcs-controls.ts';
import { isVmExit } from '../../../src/processor/intercepts.ts';
import { At } from '../../processor/system/machine.ts';
import { InterceptedGuest } from './guest.ts';

/** Exits behind the instruction that writes CR0 to CR15 or EFER (AMD APM vol. 2, table B-1, offset 010h; appendix C). */

const EFER = 0xc000_0080;
const TF = 0x102;

function trapped(source: string, crTraps: number, writes = 0) {
  const guest = new InterceptedGuest('amd', source);
  guest.intercept(interceptSettings(['efer-write-trap'], { crTraps, cr: { reads: 0, writes }, exceptions: 0x2002 }));
  return guest;
}

/** Code, EXITINFO1, and how far behind the start of the code RIP is. */
function next(guest: InterceptedGuest): readonly [code: number, info1: bigint, offset: number] {
  const exit = guest.exit();
  const { info1 } = svmExitInfo(exit, { addressSize: 64, segment: 0 });
  return [exitNumbers(exit).svm, info1, Number(guest.state.rip) - At.CODE];
}

describe('a trap of a write', () => {
  test.each<[string, register: number, length: number, value: bigint]>([
    ['mov eax, 0x8001003b\nmov cr0, rax', 0, 8, 0x8001_003bn],
    ['mov eax, 0x1234\nmov cr2, rax', 2, 8, 0x1234n],
    ['mov rax, cr3\nmov cr3, rax', 3, 6, BigInt(At.PML4)],
    ['mov eax, 0x20\nmov cr4, rax', 4, 8, 0x20n],
    ['mov eax, 7\nmov cr8, rax', 8, 9, 7n],
    ['mov eax, 0x1b\nlmsw ax', 0, 8, 0x8001_001bn],
    ['clts', 0, 2, 0x8001_0011n],
  ])('%j', (source, register, length, value) => {
    expect(next(trapped(source, 1 << register))).toEqual([0x90 + register, value, length]);
    // Others don't leave for it.
    const others = trapped(`${source}\nhlt`, 0xffff & ~(1 << register));
    expect(others.processor.run(10)).toEqual({ kind: 'halted' });
  });

  test('of EFER comes behind WRMSR and is an exit although the MSR is not intercepted', () => {
    const guest = trapped(`mov ecx, ${EFER}\nmov eax, 0xd01\nxor edx, edx\nwrmsr\nnop`, 0);
    const exit = guest.exit();
    expect([exitNumbers(exit), exit.instructionLength]).toEqual([{ vmx: 32, svm: 0x8f }, 0]);
    expect(svmExitInfo(exit, { addressSize: 64, segment: 0 }).info1).toBe(0xd01n);
    expect([guest.state.efer, isVmExit(guest.processor.intercepts, exit)]).toEqual([0xd01n, true]);
  });

  test('does not come where the write faults', () => {
    expect(next(trapped('mov eax, 16\nmov cr8, rax', 0x100))[0]).toBe(0x40 + 13);
  });

  test('gives way to the intercept, whose write by the hypervisor makes none', () => {
    const guest = trapped('mov eax, 7\nmov cr8, rax\nhlt', 0x100, 0x100);
    expect(next(guest)).toEqual([0x18, 1n << 63n, 5]);
    guest.processor.performNatively();
    expect(guest.processor.run(10)).toEqual({ kind: 'halted' });
  });

  test('comes wherever a run is cut, and before a debug trap', () => {
    const guest = trapped('clts\nnop', 1);
    guest.state.rflags = TF;
    expect(guest.processor.run(1)).toEqual({ kind: 'budget' });
    expect([next(guest)[0], next(guest)[0]]).toEqual([0x90, 0x41]);
  });

  test('becomes the intercept of the write on VMX', () => {
    const settings = interceptSettings([], { crTraps: 0x119 });
    expect(conform(settings, 'amd').crTraps).toBe(0x119);
    const controls = toVmcs(settings);
    expect([controls.cr0.mask, controls.cr4.mask]).toEqual([0xffff_ffff_ffff_ffffn, 0xffff_ffff_ffff_ffffn]);
    expect(controls.words.primary & 0x0008_8000).toBe(0x0008_8000);
  });
});

describe('other exits of SVM', () => {
  test('SMIs leave before INIT, or have no effect', () => {
    const guest = new InterceptedGuest('amd', 'nop\nnop');
    guest.processor.raiseSmi();
    expect(guest.processor.run(1)).toEqual({ kind: 'budget' });
    guest.intercept(interceptSettings(['smi', 'init']));
    guest.processor.raiseInit();
    guest.processor.raiseSmi();
    expect(next(guest)).toEqual([0x62, 0n, 1]);
    expect(next(guest)[0]).toBe(0x63);
    const intel = new InterceptedGuest('intel', 'nop');
    intel.intercept(interceptSettings(['smi']));
    intel.processor.raiseSmi();
    expect(intel.processor.run(1)).toEqual({ kind: 'budget' });
  });

  test('HLT leaves as idle unless a virtual interrupt waits; its own intercept comes first', () => {
    const halting = (on: readonly ('hlt' | 'idle-hlt')[], waits: boolean) => {
      const guest = new InterceptedGuest('amd', 'hlt');
      const virtualInterrupt = waits ? { vector: 0x31, priority: 3, ignoresTpr: false } : undefined;
      guest.intercept(interceptSettings(on, { virtualInterrupt }));
      const result = guest.processor.run(1);
      return result.kind === 'exit' ? exitNumbers(result.exit).svm : result.kind;
    };
    expect([halting(['idle-hlt'], false), halting(['idle-hlt'], true), halting([], false)]).toEqual([0xa6, 'budget', 'budget']);
    expect([halting(['hlt', 'idle-hlt'], false), halting(['hlt', 'idle-hlt'], true)]).toEqual([0x78, 0x78]);
  });
});
