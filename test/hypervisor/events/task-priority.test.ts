import { describe, expect, test } from 'vitest';
import { entryProblem } from '../../../src/hypervisor/events/entry-checks.ts';
import { exitNumbers } from '../../../src/hypervisor/exits/reasons.ts';
import { conform } from '../../../src/hypervisor/intercepts/conform.ts';
import { interceptSettings } from '../../../src/hypervisor/intercepts/settings.ts';
import type { SettingName } from '../../../src/hypervisor/intercepts/table.ts';
import type { InterruptSource } from '../../../src/processor/processor.ts';
import * as L from '../../../src/processor/state/layout.ts';
import { At } from '../../processor/system/machine.ts';
import { InterceptedGuest, type Vendor } from '../intercepts/guest.ts';

/** CR8 and what it is compared with: VMX's TPR shadow and threshold (Intel SDM vol. 3, 30.1), SVM's V_TPR (AMD APM vol. 2, 15.21.2). */

/** The task priority of the machine's own controller. */
class Controller implements InterruptSource {
  tpr = 0x20;
  hasInterrupt(): boolean {
    return false;
  }
  acknowledge(): number {
    return 0;
  }
  getTpr(): number {
    return this.tpr;
  }
  setTpr(value: number): void {
    this.tpr = value;
  }
}

const write = (value: number) => `mov eax, ${value}\nmov cr8, rax\n`;

function made(vendor: Vendor, source: string, on: readonly SettingName[], tprThreshold = 0) {
  const guest = new InterceptedGuest(vendor, source);
  guest.memory.write(BigInt(At.HANDLER), Uint8Array.of(0x90, 0x90, 0xf4));
  const controller = new Controller();
  guest.processor.setInterruptSource(controller);
  guest.intercept(interceptSettings([...on, 'hlt'], { tprThreshold }));
  return { guest, controller };
}

describe('CR8', () => {
  test.each<[Vendor, readonly SettingName[], read: bigint, controller: number, virtual: number]>([
    ['intel', [], 5n, 0x50, 5],
    ['intel', ['tpr-shadow'], 5n, 0x20, 5],
    ['amd', [], 5n, 0x50, 5],
    ['amd', ['interrupt-masking'], 5n, 0x20, 5],
  ])('on %s with %j', (vendor, on, read, tpr, virtual) => {
    const { guest, controller } = made(vendor, `mov rbx, cr8\n${write(5)}mov rcx, cr8\nhlt`, on);
    guest.exit();
    const own = on.length > 0;
    expect([guest.state.gpr(3), guest.state.gpr(1)]).toEqual([own ? 0n : 2n, read]);
    expect([controller.tpr, guest.processor.virtualTpr]).toEqual([tpr, virtual]);
  });

  test("that only the controller has changed isn't V_TPR, which is compared with virtual interrupts", () => {
    const { guest } = made('amd', 'mov rbx, cr8\nhlt', []);
    guest.exit();
    expect([guest.state.gpr(3), guest.processor.virtualTpr]).toEqual([2n, 0]);
  });
});

describe('the TPR threshold', () => {
  test('makes an exit behind the write that goes below it', () => {
    const { guest } = made('intel', `${write(3)}${write(5)}${write(2)}nop\nhlt`, ['tpr-shadow'], 3);
    guest.processor.virtualTpr = 3;
    const exit = guest.exit();
    expect(exit).toMatchObject({ reason: 'tpr', instructionLength: 0, rip: BigInt(At.CODE + 27), icount: 6n });
    expect(exitNumbers(exit).vmx).toBe(43);
  });

  test('comes before INIT, a debug trap, the timer and the monitor trap, which is lost', () => {
    const { guest } = made('intel', write(1), ['tpr-shadow', 'monitor-trap', 'preemption-timer'], 3);
    guest.processor.virtualTpr = 3;
    guest.processor.preemptionTimer = 2;
    expect(guest.exit()).toMatchObject({ reason: 'monitor-trap', rip: BigInt(At.CODE + 5) });
    guest.state.rflags = 0x102;
    guest.processor.preemptionTimer = 1;
    expect(guest.processor.run(1)).toEqual({ kind: 'budget' });
    guest.processor.raiseInit();
    expect(guest.exit()).toMatchObject({ reason: 'tpr', rip: BigInt(At.CODE + 9) });
    expect(guest.processor.pendingDebug).toBe(0x4000n);
  });

  test('comes at an entry behind an injected event, in HLT, but not in a shutdown', () => {
    const at = (activity: number, inject: boolean) => {
      const { guest } = made('intel', 'nop', ['tpr-shadow', 'apic-access-page'], 3);
      guest.state.set32(L.ACTIVITY, activity);
      if (inject) guest.processor.inject({ vector: 2, type: 'nmi' });
      const result = guest.processor.run(1);
      return result.kind === 'exit' ? [result.exit.reason, Number(result.exit.rip)] : result.kind;
    };
    expect(at(0, false)).toEqual(['tpr', At.CODE]);
    expect(at(0, true)).toEqual(['tpr', At.HANDLER]);
    expect(at(1, false)).toEqual(['tpr', At.CODE]);
    expect(at(2, false)).toBe('shutdown');
    // The NMI ends the shutdown.
    expect(at(2, true)).toEqual(['tpr', At.HANDLER]);
  });

  test('fails the entry where it is above the task priority and APIC accesses are not virtualized', () => {
    const { guest } = made('intel', 'nop', ['tpr-shadow'], 3);
    const problem = (on: readonly SettingName[], tprThreshold: number) =>
      entryProblem(guest.processor, undefined, interceptSettings(['tpr-shadow', ...on], { tprThreshold }), 'intel')?.cause;
    expect([problem([], 3), problem(['apic-access-page'], 3), problem(['virtual-interrupts', 'external-interrupt'], 3)]).toEqual([
      'control',
      undefined,
      undefined,
    ]);
    expect([problem(['apic-access-page'], 16), problem([], 0)]).toEqual(['control', undefined]);
    guest.processor.virtualTpr = 3;
    expect(problem([], 3)).toBeUndefined();
  });

  test('is nothing without a shadow or with virtual-interrupt delivery', () => {
    for (const on of [[], ['tpr-shadow', 'virtual-interrupts']] as const) {
      const { guest } = made('intel', `${write(1)}hlt`, on, 3);
      expect(guest.exit().reason).toBe('hlt');
    }
  });

  test('becomes the intercept of all writes of CR8 on SVM', () => {
    const settings = interceptSettings(['tpr-shadow'], { tprThreshold: 3 });
    expect(conform(settings, 'amd').cr.writes).toBe(0x100);
    expect(conform(settings, 'intel')).toMatchObject({ cr: { writes: 0 }, tprThreshold: 3 });
  });
});
