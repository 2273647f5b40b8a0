import { describe, expect, test } from 'vitest';
import { exitNumbers } from '../../../src/hypervisor/exits/reasons.ts';
import { interceptSettings } from '../../../src/hypervisor/intercepts/settings.ts';
import type { SettingName } from '../../../src/hypervisor/intercepts/table.ts';
import type { VirtualInterrupt } from '../../../src/processor/events/virtual-interrupt.ts';
import type { InterruptSource } from '../../../src/processor/processor.ts';
import * as L from '../../../src/processor/state/layout.ts';
import { At } from '../../processor/system/machine.ts';
import { InterceptedGuest, TIER_NAMES } from '../intercepts/guest.ts';

/** SVM's V_IRQ (AMD APM vol. 2, 15.21.4). */

const IF = 0x202;
const INTERRUPT: VirtualInterrupt = { vector: 0x31, priority: 3, ignoresTpr: false };

function waiting(source: string, on: readonly SettingName[] = [], interrupt = INTERRUPT, flags = IF, tier = TIER_NAMES[0]) {
  const guest = new InterceptedGuest('amd', source, tier);
  guest.memory.write(BigInt(At.HANDLER), Uint8Array.of(0x90, 0x90, 0xf4));
  guest.intercept(interceptSettings(on, { virtualInterrupt: interrupt }));
  guest.state.rflags = flags;
  return guest;
}

/** Runs one instruction: where RIP is then, from the start of the code or the handler; or the reason of an exit. */
function step({ processor, state }: InterceptedGuest): string {
  const result = processor.run(1);
  if (result.kind === 'exit') return result.exit.reason;
  const offset = Number(state.rip);
  return offset >= At.HANDLER ? `handler+${offset - At.HANDLER}` : `code+${offset - At.CODE}`;
}

describe('a virtual interrupt', () => {
  test('is taken by its vector and waits no longer', () => {
    const guest = waiting('nop\nnop');
    guest.gate(0x31, 0x18, 0x8e);
    expect([step(guest), guest.processor.virtualInterrupt]).toEqual(['handler+1', undefined]);
    expect(guest.read64(Number(guest.state.gpr(4)))).toBe(BigInt(At.CODE));
  });

  test('leaves instead where it is intercepted, and goes on waiting', () => {
    const guest = waiting('nop\nnop', ['interrupt-window']);
    const exit = guest.exit();
    expect([exit.reason, exit.instructionLength, exitNumbers(exit).svm]).toEqual(['interrupt-window', 0, 0x64]);
    expect(guest.processor.virtualInterrupt).toEqual(INTERRUPT);
    expect(step(guest)).toBe('interrupt-window');
  });

  test('waits for IF and for the end of a shadow', () => {
    const guest = waiting('nop\nsti\nnop\nnop', [], INTERRUPT, 2);
    expect([step(guest), step(guest), step(guest), step(guest)]).toEqual(['code+1', 'code+2', 'code+3', 'handler+1']);
  });

  test.each<[Partial<VirtualInterrupt>, tpr: number, taken: boolean]>([
    [{ priority: 3 }, 2, true],
    [{ priority: 3 }, 3, false],
    [{ priority: 3 }, 4, false],
    [{ priority: 3, ignoresTpr: true }, 15, true],
    [{ priority: 0 }, 0, false],
  ])('of %j with V_TPR %i: %s', (values, tpr, taken) => {
    for (const on of [[], ['interrupt-window']] as const) {
      const guest = waiting('nop', on, { ...INTERRUPT, ...values });
      guest.processor.virtualTpr = tpr;
      expect(step(guest)).toBe(taken ? (on.length > 0 ? 'interrupt-window' : 'handler+1') : 'code+1');
    }
  });

  test.each(TIER_NAMES)('comes behind the write of CR8 that lets it through: %s', (tier) => {
    const guest = waiting('mov ecx, 100\nagain: dec ecx\njnz again\nxor eax, eax\nmov cr8, rax\nnop', [], INTERRUPT, IF, tier);
    guest.processor.virtualTpr = 9;
    guest.intercept(interceptSettings(['hlt'], { virtualInterrupt: INTERRUPT }));
    expect(guest.exit()).toMatchObject({ reason: 'hlt', rip: BigInt(At.HANDLER + 2), icount: 205n });
  });

  test('wakes from HLT', () => {
    const guest = waiting('nop');
    guest.state.set32(L.ACTIVITY, 1);
    expect([step(guest), guest.state.get32(L.ACTIVITY)]).toEqual(['handler+1', 0]);
    const masked = waiting('nop', [], INTERRUPT, 2);
    masked.state.set32(L.ACTIVITY, 1);
    expect(masked.processor.run(1)).toEqual({ kind: 'halted' });
  });

  test("comes behind the machine's interrupts and NMIs, whose flag isn't the guest's with V_INTR_MASKING", () => {
    const source: InterruptSource & { waits: boolean } = {
      waits: true,
      hasInterrupt: () => source.waits,
      acknowledge: () => {
        source.waits = false;
        return 0x22;
      },
      getTpr: () => 0,
      setTpr: () => {},
    };
    const guest = waiting('nop', ['external-interrupt', 'interrupt-window', 'nmi']);
    guest.processor.setInterruptSource(source);
    guest.processor.raiseNmi();
    expect([step(guest), step(guest)]).toEqual(['nmi', 'external-interrupt']);
    source.waits = false;
    expect(step(guest)).toBe('interrupt-window');
    const masked = waiting('nop', ['interrupt-masking'], INTERRUPT, 2);
    masked.processor.setInterruptSource(source);
    source.waits = true;
    expect([step(masked), source.waits]).toEqual(['handler+1', false]);
  });

  test('is nothing that VMX has', () => {
    const guest = new InterceptedGuest('intel', 'nop');
    guest.intercept(interceptSettings([], { virtualInterrupt: INTERRUPT }));
    guest.state.rflags = IF;
    expect([step(guest), guest.processor.virtualInterrupt]).toEqual(['code+1', undefined]);
  });

  test('belongs to the state of the vCPU', () => {
    const hash = (interrupt: VirtualInterrupt | undefined) => {
      const guest = waiting('nop');
      guest.processor.virtualInterrupt = interrupt;
      return guest.processor.stateHash();
    };
    expect(hash(INTERRUPT)).not.toBe(hash(undefined));
    expect(hash(INTERRUPT)).not.toBe(hash({ ...INTERRUPT, priority: 4 }));
  });
});
