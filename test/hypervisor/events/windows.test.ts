import { describe, expect, test } from 'vitest';
import { entryProblem } from '../../../src/hypervisor/events/entry-checks.ts';
import { interruptionInformation } from '../../../src/hypervisor/exits/qualification.ts';
import { exitNumbers } from '../../../src/hypervisor/exits/reasons.ts';
import { interceptSettings } from '../../../src/hypervisor/intercepts/settings.ts';
import type { SettingName } from '../../../src/hypervisor/intercepts/table.ts';
import { vmcbView } from '../../../src/hypervisor/views/vmcb.ts';
import type { InterruptSource } from '../../../src/processor/processor.ts';
import * as L from '../../../src/processor/state/layout.ts';
import { At, Selector } from '../../processor/system/machine.ts';
import { InterceptedGuest, TIER_NAMES, VENDORS, type Vendor } from '../intercepts/guest.ts';

/** A controller with one interrupt that waits. */
class OneInterrupt implements InterruptSource {
  waits = true;
  constructor(private readonly vector: number) {}
  hasInterrupt(): boolean {
    return this.waits;
  }
  acknowledge(): number {
    this.waits = false;
    return this.vector;
  }
  getTpr(): number {
    return 0;
  }
  setTpr(): void {}
}

const made = (vendor: Vendor, source: string, on: readonly SettingName[], tier = TIER_NAMES[0]) => {
  const guest = new InterceptedGuest(vendor, source, tier);
  guest.memory.write(BigInt(At.HANDLER), Uint8Array.of(0x90, 0x90, 0x90, 0xf4));
  guest.intercept(interceptSettings(on));
  return guest;
};

/** Steps and says where each one ended: offset of RIP from the code's start, or the reason of an exit. */
function steps(guest: InterceptedGuest, count: number): (number | string)[] {
  return Array.from({ length: count }, () => {
    const result = guest.processor.run(1);
    if (result.kind === 'exit') return result.exit.reason;
    return result.kind === 'budget' ? Number(guest.state.rip) - At.CODE : result.kind;
  });
}

describe.each(VENDORS)('an interrupt window on %s', (vendor) => {
  test('opens behind the shadow of STI and stays open', () => {
    const guest = made(vendor, 'nop\nsti\nnop\nnop', ['interrupt-window']);
    expect(steps(guest, 5)).toEqual([1, 2, 3, 'interrupt-window', 'interrupt-window']);
    const exit = guest.exit();
    expect([exit.instructionLength, exitNumbers(exit)[vendor === 'intel' ? 'vmx' : 'svm']]).toEqual([
      0,
      vendor === 'intel' ? 7 : 0x64,
    ]);
    guest.processor.intercepts.interruptWindow = false;
    expect(steps(guest, 1)).toEqual([4]);
  });

  test('opens behind the shadow of MOV SS', () => {
    const guest = made(vendor, `mov eax, ${Selector.DATA}\nsti\nmov ss, ax\nnop\nnop`, ['interrupt-window']);
    // STI, then MOV SS in its shadow, then the instruction in that of MOV SS.
    expect(steps(guest, 5)).toEqual([5, 6, 8, 9, 'interrupt-window']);
  });

  test("comes before an interrupt of the machine's on VMX and behind it on SVM, and behind an NMI", () => {
    const guest = made(vendor, 'sti\nnop\nnop', ['interrupt-window']);
    const source = new OneInterrupt(0x31);
    guest.processor.setInterruptSource(source);
    if (vendor === 'amd') {
      expect(steps(guest, 3)).toEqual([1, 2, At.HANDLER + 1 - At.CODE]);
      return;
    }
    expect(steps(guest, 3)).toEqual([1, 2, 'interrupt-window']);
    expect(source.waits).toBe(true);
    guest.processor.raiseNmi();
    expect(steps(guest, 1)).toEqual([At.HANDLER + 1 - At.CODE]);
  });

  test('opens in HLT, which goes on', () => {
    const guest = made(vendor, 'sti\nhlt\nnop', ['interrupt-window']);
    expect(steps(guest, 3)).toEqual([1, 2, 'interrupt-window']);
    expect(guest.state.get32(L.ACTIVITY)).toBe(1);
    guest.intercept(interceptSettings());
    expect(guest.processor.run(1)).toEqual({ kind: 'halted' });
  });

  test('in hot code ends it at the same instruction in both tiers', () => {
    const source = 'mov ecx, 500\ncli\nspin: add rax, rcx\ndec ecx\njnz spin\nsti\nnop\nagain: inc rdx\njmp again';
    const ends = TIER_NAMES.map((tier) => {
      const guest = made(vendor, source, ['interrupt-window'], tier);
      const exit = guest.exit();
      return [exit.reason, exit.rip, exit.icount, guest.processor.stateHash()];
    });
    expect(ends[0]).toEqual(ends[1]);
    expect(ends[0]?.slice(0, 3)).toEqual(['interrupt-window', 0x8000n + 15n, 1504n]);
  });
});

describe('behind an event that was delivered', () => {
  const IF = 0x202;
  /** Its handler begins with interrupts on. It has run before, so that its code is decoded already. */
  const injected = (vendor: Vendor) => {
    const guest = made(vendor, 'nop', []);
    guest.gate(0x20, Selector.CODE64, 0x8f);
    for (const flags of [2, IF]) {
      guest.state.rip = BigInt(At.CODE);
      guest.state.rflags = flags;
      guest.processor.inject({ vector: 0x20, type: 'external-interrupt' });
      if (flags === 2) guest.processor.run(2);
    }
    return guest;
  };

  test.each(VENDORS)('the next one comes before the first instruction of its handler, on %s', (vendor) => {
    const guest = injected(vendor);
    guest.processor.setInterruptSource(new OneInterrupt(0x31));
    guest.processor.run(1);
    // The frame that the second one left has the handler of the first one.
    expect(guest.read64(Number(guest.state.gpr(4)))).toBe(BigInt(At.HANDLER));
  });

  test('a window is open at once', () => {
    const guest = injected('intel');
    guest.processor.intercepts.interruptWindow = true;
    expect(guest.exit()).toMatchObject({ reason: 'interrupt-window', rip: BigInt(At.HANDLER) });
  });

  test('that was injected INIT comes', () => {
    const guest = injected('intel');
    guest.processor.raiseInit();
    expect(guest.exit()).toMatchObject({ reason: 'init', rip: BigInt(At.HANDLER) });
  });
});

describe('NMIs', () => {
  const IRET_FRAME = [BigInt(At.CODE), BigInt(Selector.CODE64), 2n, BigInt(At.STACK), BigInt(Selector.DATA)];
  const withFrame = (guest: InterceptedGuest, frame = IRET_FRAME) => {
    frame.forEach((value, index) => {
      guest.write64(At.STACK - 40 + index * 8, value);
    });
    guest.state.setGpr(4, BigInt(At.STACK - 40));
    return guest;
  };

  test('have a window on VMX that opens with IRET', () => {
    const guest = withFrame(made('intel', 'iretq', ['nmi-window']));
    guest.state.set32(L.INTERRUPTIBILITY, 8);
    expect(steps(guest, 2)).toEqual([0, 'nmi-window']);
    expect(exitNumbers({ reason: 'nmi-window', rip: 0n, instructionLength: 0, icount: 0n }).vmx).toBe(8);
  });

  test('have no window on SVM but the intercept of IRET, before it is done', () => {
    const guest = withFrame(made('amd', 'iretq', ['iret']));
    guest.state.set32(L.INTERRUPTIBILITY, 8);
    expect(steps(guest, 1)).toEqual(['svm']);
    expect([guest.state.rip, guest.state.get32(L.INTERRUPTIBILITY)]).toEqual([BigInt(At.CODE), 8]);
  });

  test('that leave are not blocked by a virtual one', () => {
    const leaves = (on: readonly SettingName[]) => {
      const guest = made('intel', 'nop', on);
      guest.state.set32(L.INTERRUPTIBILITY, 8);
      guest.processor.raiseNmi();
      return guest.processor.run(1).kind === 'exit';
    };
    expect([leaves(['nmi']), leaves(['nmi', 'virtual-nmis']), leaves([])]).toEqual([false, true, false]);
    const guest = made('intel', 'nop', ['nmi', 'virtual-nmis']);
    guest.processor.raiseNmi();
    const exit = guest.exit();
    expect([interruptionInformation(exit), guest.state.get32(L.INTERRUPTIBILITY)]).toEqual([0x8000_0202, 0]);
  });

  test.each<[readonly SettingName[], blocked: number]>([
    [[], 0],
    [['nmi'], 8],
    [['nmi', 'virtual-nmis'], 0],
  ])('with %j: blocking behind IRET is %i', (on, blocked) => {
    const guest = withFrame(made('intel', 'iretq', on));
    guest.state.set32(L.INTERRUPTIBILITY, 8);
    expect(guest.processor.run(1).kind).toBe('budget');
    expect(guest.state.get32(L.INTERRUPTIBILITY)).toBe(blocked);
  });

  test("may come again behind an IRET that faults on Intel's processors, and the exit says so", () => {
    const bad = [0n, 0xfff8n, 2n, 0n, 0n];
    const of = (vendor: Vendor) => {
      const guest = withFrame(made(vendor, 'iretq', []), bad);
      guest.intercept(interceptSettings([], { exceptions: 1 << 13 }));
      guest.state.set32(L.INTERRUPTIBILITY, 8);
      return [interruptionInformation(guest.exit()), guest.state.get32(L.INTERRUPTIBILITY)];
    };
    expect([of('intel'), of('amd')]).toEqual([
      [0x8000_1b0d, 0],
      [0x8000_0b0d, 8],
    ]);
  });
});

describe("SVM's virtual NMIs", () => {
  const waiting = (source: string, on: readonly SettingName[] = ['nmi', 'virtual-nmis']) => {
    const guest = made('amd', source, on);
    guest.intercept(interceptSettings(on, { virtualNmi: true }));
    return guest;
  };
  const blocked = ({ state }: InterceptedGuest) => (state.get32(L.INTERRUPTIBILITY) & 8) !== 0;

  test('are taken where none is blocked, and block others until IRET', () => {
    const guest = waiting('nop');
    guest.memory.write(BigInt(At.HANDLER), Uint8Array.of(0x90, 0x48, 0xcf));
    expect([steps(guest, 1), guest.processor.virtualNmi, blocked(guest)]).toEqual([[At.HANDLER + 1 - At.CODE], false, true]);
    guest.processor.virtualNmi = true;
    // Behind IRET, before the instruction that it returns to.
    expect(steps(guest, 2)).toEqual([0, At.HANDLER + 1 - At.CODE]);
  });

  test("come behind the machine's, which leave although NMIs are blocked, and before virtual interrupts", () => {
    const guest = waiting('nop');
    guest.processor.virtualInterrupt = { vector: 0x31, priority: 15, ignoresTpr: true };
    guest.state.rflags = 0x202;
    guest.processor.raiseNmi();
    expect([steps(guest, 1), guest.processor.virtualNmi]).toEqual([['nmi'], true]);
    expect([steps(guest, 1), guest.processor.virtualNmi]).toEqual([[At.HANDLER + 1 - At.CODE], false]);
    expect(guest.processor.virtualInterrupt).toBeDefined();
    guest.processor.raiseNmi();
    expect(steps(guest, 1)).toEqual(['nmi']);
  });

  test('wait for the end of a shadow, and wake from HLT', () => {
    const guest = waiting('sti\nnop\nnop');
    guest.state.set32(L.INTERRUPTIBILITY, 8);
    expect(steps(guest, 1)).toEqual([1]);
    guest.state.set32(L.INTERRUPTIBILITY, 1);
    expect(steps(guest, 2)).toEqual([2, At.HANDLER + 1 - At.CODE]);
    const halted = waiting('nop');
    halted.state.set32(L.ACTIVITY, 1);
    expect([steps(halted, 1), halted.state.get32(L.ACTIVITY)]).toEqual([[At.HANDLER + 1 - At.CODE], 0]);
  });

  test('must be enabled, and need the intercept of NMIs', () => {
    expect(steps(waiting('nop', ['nmi']), 1)).toEqual([1]);
    const { processor } = waiting('nop');
    const problem = (on: readonly SettingName[]) => entryProblem(processor, undefined, interceptSettings(on), 'amd')?.cause;
    expect([problem(['virtual-nmis']), problem(['virtual-nmis', 'nmi'])]).toEqual(['control', undefined]);
  });

  test('are in the VMCB with their mask', () => {
    const guest = waiting('nop');
    guest.state.set32(L.INTERRUPTIBILITY, 8);
    const view = vmcbView(guest.processor, undefined, interceptSettings(['nmi', 'virtual-nmis']));
    const [control] = view.children ?? [];
    expect(control?.children?.find(({ name }) => name === 'virtual interrupt control')?.detail).toBe(
      '0x0060, V_TPR 0, V_INTR_PRIO 0, V_NMI, V_NMI_MASK, V_NMI_ENABLE',
    );
  });
});

describe('external interrupts that leave', () => {
  const exitWith = (vendor: Vendor, on: readonly SettingName[], flags: number) => {
    const guest = made(vendor, 'nop\nnop', ['external-interrupt', ...on]);
    const source = new OneInterrupt(0x31);
    guest.processor.setInterruptSource(source);
    guest.state.rflags = flags;
    const result = guest.processor.run(1);
    if (result.kind !== 'exit') return result.kind;
    return [interruptionInformation(result.exit), source.waits];
  };
  const IF = 0x202;

  test('have their vector when VMX acknowledges them, and go on waiting otherwise', () => {
    expect(exitWith('intel', ['acknowledge-interrupt'], IF)).toEqual([0x8000_0031, false]);
    expect(exitWith('intel', [], IF)).toEqual([0, true]);
    expect(exitWith('amd', [], IF)).toEqual([0, true]);
  });

  test('ask for no IF on VMX, nor on SVM with its own interrupt flag', () => {
    expect(exitWith('intel', [], 2)).toEqual([0, true]);
    expect(exitWith('amd', [], 2)).toBe('budget');
    expect(exitWith('amd', ['interrupt-masking'], 2)).toEqual([0, true]);
  });

  test('leave a halted vCPU halted', () => {
    const guest = made('intel', 'hlt', ['external-interrupt']);
    guest.processor.setInterruptSource(new OneInterrupt(0x31));
    guest.state.set32(L.ACTIVITY, 1);
    expect(guest.exit().reason).toBe('external-interrupt');
    expect(guest.state.get32(L.ACTIVITY)).toBe(1);
  });
});

describe('INIT and SIPI', () => {
  test('leave where a hypervisor has the machine', () => {
    const guest = made('intel', 'nop', []);
    guest.processor.raiseInit();
    expect([guest.exit().reason, guest.state.rip]).toEqual(['init', BigInt(At.CODE)]);
    guest.state.set32(L.ACTIVITY, 3);
    guest.processor.raiseSipi(0x9f);
    const exit = guest.exit();
    expect([exit, exitNumbers(exit).vmx]).toMatchObject([{ reason: 'sipi', vector: 0x9f }, 4]);
  });

  test('INIT starts a guest of SVM anew unless it is intercepted', () => {
    const guest = made('amd', 'nop', []);
    guest.processor.raiseInit();
    expect(guest.processor.run(1).kind).not.toBe('exit');
    expect(guest.state.cr0 & 1n).toBe(0n);
    const other = made('amd', 'nop', ['init']);
    other.processor.raiseInit();
    expect([other.exit().reason, other.state.cr0 & 1n]).toEqual(['init', 1n]);
  });
});

describe('a guest that spins', () => {
  const SPIN = 'spin: pause\njmp spin';
  const pauses = (vendor: Vendor, source: string, on: readonly SettingName[] = [], tier = TIER_NAMES[0]) => {
    const guest = new InterceptedGuest(vendor, source, tier);
    guest.intercept(interceptSettings(on, { pauseLoop: { gap: 10, window: 100, count: 20 } }));
    const result = guest.processor.run(5000);
    return result.kind === 'exit' ? `${result.exit.reason} ${result.exit.icount}` : result.kind;
  };

  test('leaves after the window of VMX or the count of SVM, in both tiers', () => {
    for (const tier of TIER_NAMES) {
      // Two instructions a round.
      expect(pauses('intel', SPIN, [], tier)).toBe('pause 102');
      expect(pauses('amd', SPIN, [], tier)).toBe('pause 40');
    }
  });

  test('begins a new loop when it does enough between two PAUSEs', () => {
    const slow = `spin: pause\n${'nop\n'.repeat(12)}jmp spin`;
    expect(VENDORS.map((vendor) => pauses(vendor, slow))).toEqual(['budget', 'budget']);
  });

  test('leaves at once where every PAUSE shall', () => {
    expect(VENDORS.map((vendor) => pauses(vendor, SPIN, ['pause']))).toEqual(['pause 0', 'pause 0']);
  });

  test('begins anew with each entry', () => {
    const guest = new InterceptedGuest('amd', SPIN);
    guest.intercept(interceptSettings([], { pauseLoop: { gap: 10, window: 100, count: 20 } }));
    const first = guest.exit();
    guest.processor.performNatively();
    guest.processor.intercepts.spin?.enter();
    expect(guest.exit().icount - first.icount).toBe(42n);
  });

  test("is VMX's business at level 0 alone", () => {
    const leaves = VENDORS.map((vendor) => {
      const guest = new InterceptedGuest(vendor, SPIN, 'interpreter', 'long-user');
      guest.intercept(interceptSettings([], { pauseLoop: { gap: 10, window: 100, count: 20 } }));
      return guest.processor.run(500).kind;
    });
    expect(leaves).toEqual(['budget', 'exit']);
  });
});
