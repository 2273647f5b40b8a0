import { describe, expect, test } from 'vitest';
import { entryProblem } from '../../../src/hypervisor/events/entry-checks.ts';
import { exitNumbers } from '../../../src/hypervisor/exits/reasons.ts';
import { interceptSettings } from '../../../src/hypervisor/intercepts/settings.ts';
import type { SettingName } from '../../../src/hypervisor/intercepts/table.ts';
import * as L from '../../../src/processor/state/layout.ts';
import { At, Selector } from '../../processor/system/machine.ts';
import { InterceptedGuest, TIER_NAMES } from '../intercepts/guest.ts';

/** The VMX-preemption timer (Intel SDM vol. 3, 26.5.1). */

const SPIN = 'again: inc rax\ndec rcx\njmp again';

function timed(preemptionTimer: number, source = SPIN, on: readonly SettingName[] = [], tier = TIER_NAMES[0]) {
  const guest = new InterceptedGuest('intel', source, tier);
  guest.memory.write(BigInt(At.HANDLER), Uint8Array.of(0x90, 0x90, 0xf4));
  guest.intercept(interceptSettings(['preemption-timer', ...on], { preemptionTimer }));
  return guest;
}

/** Reason of the next exit, instructions before it, and what the timer holds then. */
function next(guest: InterceptedGuest): readonly [reason: string, icount: number, timer: number] {
  const { reason, icount } = guest.exit();
  return [reason, Number(icount), guest.processor.preemptionTimer];
}

describe('the preemption timer', () => {
  test('makes an exit after so many instructions in both tiers, wherever a run is cut', () => {
    const ends = TIER_NAMES.map((tier) => {
      const guest = timed(100_003, SPIN, [], tier);
      for (let run = 0; run < 10; run++) expect(guest.processor.run(7777)).toEqual({ kind: 'budget' });
      const exit = guest.exit();
      return [exit.icount, exit.rip, exit.instructionLength, exitNumbers(exit).vmx, guest.processor.stateHash()];
    });
    expect(ends[0]).toEqual(ends[1]);
    expect(ends[0]?.slice(0, 4)).toEqual([100_003n, BigInt(At.CODE + 3), 0, 52]);
  });

  test('counts anew from each entry, and goes on where it was saved', () => {
    const source = 'nop\nnop\ncpuid\nnop\nnop\nnop\nnop';
    const reloaded = timed(4, source);
    expect(next(reloaded)).toEqual(['cpuid', 2, 4]);
    reloaded.processor.skipInstruction(2);
    expect(next(reloaded)).toEqual(['preemption-timer', 7, 4]);
    const saved = timed(4, source, ['exit-save-timer']);
    expect(next(saved)).toEqual(['cpuid', 2, 2]);
    // Time in the hypervisor doesn't count.
    saved.processor.skipInstruction(2);
    saved.processor.skipTime(1000n);
    expect(next(saved)).toEqual(['preemption-timer', 5, 0]);
    expect(next(saved)).toEqual(['preemption-timer', 5, 0]);
  });

  test('at 0 leaves before the first instruction and behind an injected event', () => {
    expect(next(timed(0))).toEqual(['preemption-timer', 0, 0]);
    const guest = timed(0);
    guest.processor.inject({ vector: 6, type: 'exception' });
    expect(guest.exit()).toMatchObject({ reason: 'preemption-timer', rip: BigInt(At.HANDLER) });
  });

  test('counts in HLT, which it leaves as it is, and wakes from a shutdown', () => {
    const guest = timed(50, 'hlt');
    expect(guest.processor.run(1000)).toEqual({ kind: 'halted' });
    expect(guest.processor.preemptionDeadline).toBe(50n);
    guest.processor.skipTime(48n);
    expect(guest.processor.run(1000)).toEqual({ kind: 'halted' });
    guest.processor.skipTime(1n);
    expect(next(guest)).toEqual(['preemption-timer', 1, 50]);
    expect([guest.state.get32(L.ACTIVITY), guest.processor.preemptionDeadline]).toEqual([1, undefined]);
    const shut = timed(0);
    shut.state.set32(L.ACTIVITY, 2);
    expect(next(shut)[0]).toBe('preemption-timer');
    const waiting = timed(0);
    waiting.state.set32(L.ACTIVITY, 3);
    expect(waiting.processor.run(1)).toEqual({ kind: 'halted' });
  });

  test('comes behind debug traps and before windows and NMIs', () => {
    const trapped = timed(1, 'nop\nnop');
    trapped.state.rflags = 0x102;
    trapped.intercept(interceptSettings(['preemption-timer'], { preemptionTimer: 1, exceptions: 2 }));
    expect(next(trapped)[0]).toBe('exception');
    const guest = timed(1, 'nop\nnop', ['nmi', 'nmi-window', 'virtual-nmis', 'interrupt-window']);
    guest.state.rflags = 0x202;
    guest.state.set32(L.INTERRUPTIBILITY, 8);
    expect(next(guest)).toEqual(['interrupt-window', 0, 1]);
    guest.state.rflags = 2;
    guest.processor.run(1);
    guest.state.rflags = 0x202;
    guest.state.set32(L.INTERRUPTIBILITY, 0);
    guest.processor.raiseNmi();
    expect(next(guest)[0]).toBe('preemption-timer');
    guest.processor.preemptionTimer = 5;
    expect(next(guest)[0]).toBe('nmi-window');
  });

  test('is not held back by the shadows of STI and MOV SS', () => {
    expect(next(timed(1, 'sti\nnop'))).toEqual(['preemption-timer', 1, 1]);
    const guest = timed(2, `mov eax, ${Selector.DATA}\nmov ss, eax\nnop`);
    expect(next(guest)).toEqual(['preemption-timer', 2, 2]);
    expect(guest.state.get32(L.INTERRUPTIBILITY)).toBe(2);
  });

  test('belongs to the state of the vCPU, wherever a run is cut', () => {
    const hash = (ticks: number, ...runs: readonly number[]) => {
      const guest = timed(ticks);
      for (const run of runs) guest.processor.run(run);
      return guest.processor.stateHash();
    };
    expect(hash(1000, 30)).toBe(hash(1000, 10, 20));
    expect(hash(1000, 30)).not.toBe(hash(1001, 30));
    expect(hash(1000)).not.toBe(hash(1001));
  });

  test('must be active where it is to be saved', () => {
    const { processor } = timed(0);
    const problem = (on: readonly SettingName[], vendor: 'intel' | 'amd') =>
      entryProblem(processor, undefined, interceptSettings(on), vendor)?.cause;
    expect(problem(['exit-save-timer'], 'intel')).toBe('control');
    expect(problem(['exit-save-timer', 'preemption-timer'], 'intel')).toBeUndefined();
    expect(problem(['exit-save-timer'], 'amd')).toBeUndefined();
  });
});
