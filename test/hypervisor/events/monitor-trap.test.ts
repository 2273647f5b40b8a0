import { describe, expect, test } from 'vitest';
import { fromVmxEvent, injectsMonitorTrap } from '../../../src/hypervisor/events/event-fields.ts';
import { exitNumbers } from '../../../src/hypervisor/exits/reasons.ts';
import { IoBitmap } from '../../../src/hypervisor/intercepts/io-bitmap.ts';
import { type InterceptSettings, interceptSettings } from '../../../src/hypervisor/intercepts/settings.ts';
import type { SettingName } from '../../../src/hypervisor/intercepts/table.ts';
import * as L from '../../../src/processor/state/layout.ts';
import { At } from '../../processor/system/machine.ts';
import { InterceptedGuest, TIER_NAMES } from '../intercepts/guest.ts';

/** The monitor trap flag (Intel SDM vol. 3, 26.5.2). */

type Values = Partial<Omit<InterceptSettings, 'on'>>;

function trapped(source: string, on: readonly SettingName[] = [], values: Values = {}, tier = TIER_NAMES[0]) {
  const guest = new InterceptedGuest('intel', source, tier);
  guest.memory.write(BigInt(At.HANDLER), Uint8Array.of(0x90, 0x90, 0xf4));
  guest.intercept(interceptSettings(['monitor-trap', ...on], values));
  return guest;
}

/** Reasons of the next exits, each with the offset of RIP in the code, or `handler` and the offset there. */
function exits(guest: InterceptedGuest, count: number): string[] {
  return Array.from({ length: count }, () => {
    const { reason, rip } = guest.exit();
    const offset = Number(rip);
    return `${reason} ${offset >= At.HANDLER ? `handler+${offset - At.HANDLER}` : offset - At.CODE}`;
  });
}

describe('a monitor trap', () => {
  test.each(TIER_NAMES)('comes behind each instruction: %s', (tier) => {
    const guest = trapped('mov ecx, 20\nagain: dec ecx\njnz again\nhlt', ['hlt'], {}, tier);
    const seen = exits(guest, 42);
    expect(seen.slice(0, 4)).toEqual(['monitor-trap 5', 'monitor-trap 7', 'monitor-trap 5', 'monitor-trap 7']);
    expect(seen.at(-1)).toBe('hlt 9');
    expect(guest.processor.icount).toBe(41n);
  });

  test('has its number, no length, and ends no instruction of its own', () => {
    const exit = trapped('nop').exit();
    expect([exitNumbers(exit).vmx, exit.instructionLength, exit.icount]).toEqual([37, 0, 1n]);
  });

  test('comes wherever a run is cut', () => {
    const guest = trapped('nop\nnop');
    expect(guest.processor.run(1)).toEqual({ kind: 'budget' });
    expect(exits(guest, 1)).toEqual(['monitor-trap 1']);
  });

  test('comes behind each pass of a repeated instruction, in the shadow of MOV SS, and in HLT', () => {
    expect(exits(trapped(`mov edi, ${At.DATA}\nmov ecx, 3\nrep stosb`), 5).slice(2)).toEqual([
      'monitor-trap 10',
      'monitor-trap 10',
      'monitor-trap 12',
    ]);
    const shadowed = trapped('mov eax, ss\nmov ss, eax\nnop');
    expect(exits(shadowed, 2)).toEqual(['monitor-trap 2', 'monitor-trap 4']);
    expect(shadowed.state.get32(L.INTERRUPTIBILITY)).toBe(2);
    const halted = trapped('hlt');
    expect(exits(halted, 1)).toEqual(['monitor-trap 1']);
    expect(halted.state.get32(L.ACTIVITY)).toBe(1);
  });

  test('comes before the handler of a fault, of a software event and of an injected one', () => {
    expect(exits(trapped('ud2'), 2)).toEqual(['monitor-trap handler+0', 'monitor-trap handler+1']);
    expect(exits(trapped('int 0x30'), 1)).toEqual(['monitor-trap handler+0']);
    const injected = trapped('nop');
    injected.processor.inject({ vector: 6, type: 'exception' });
    expect(exits(injected, 1)).toEqual(['monitor-trap handler+0']);
  });

  test('comes before a debug trap, which goes on waiting', () => {
    const guest = trapped('nop\nnop', [], { exceptions: 2 });
    guest.state.rflags = 0x102;
    expect(exits(guest, 1)).toEqual(['monitor-trap 1']);
    expect(guest.processor.pendingDebug).toBe(0x4000n);
    expect(exits(guest, 1)).toEqual(['exception 1']);
  });

  test('is lost with another exit in front of it', () => {
    const guest = trapped('nop\ncpuid\nnop');
    expect(exits(guest, 2)).toEqual(['monitor-trap 1', 'cpuid 1']);
    guest.processor.skipInstruction(2);
    // What the hypervisor has done in the place of the guest ends none of its instructions.
    expect(exits(guest, 1)).toEqual(['monitor-trap 4']);
    const first = trapped('nop\nnop', [], {});
    first.processor.run(1);
    first.processor.raiseInit();
    expect(exits(first, 2)).toEqual(['init 1', 'monitor-trap 2']);
  });

  test('comes behind an access that is no exit, and not behind one that the hypervisor makes', () => {
    const io = IoBitmap.filled(false);
    io.set(0x82, 0x82, true);
    const guest = trapped('in al, 0x81\nin al, 0x82\nnop', [], { io });
    expect(exits(guest, 1)).toEqual(['io 0']);
    guest.processor.completeAccess(0n);
    expect(exits(guest, 2)).toEqual(['monitor-trap 2', 'io 2']);
    guest.processor.completeAccess(0n);
    expect(exits(guest, 1)).toEqual(['monitor-trap 5']);
  });

  test('can be injected, also where none is asked for', () => {
    const guest = trapped('nop\nnop');
    guest.intercept(interceptSettings());
    const entry = { information: 0x8000_0700, errorCode: 0, instructionLength: 0 };
    expect([fromVmxEvent(entry), injectsMonitorTrap(entry)]).toEqual([undefined, true]);
    guest.processor.injectMonitorTrap();
    expect(exits(guest, 1)).toEqual(['monitor-trap 0']);
    expect(guest.processor.run(2)).toEqual({ kind: 'budget' });
  });

  test('is nothing that SVM has', () => {
    const guest = new InterceptedGuest('amd', 'nop\nnop\nnop');
    guest.intercept(interceptSettings(['monitor-trap']));
    expect(guest.processor.run(3)).toEqual({ kind: 'budget' });
  });
});
