import { describe, expect, test } from 'vitest';
import { entryFieldsProblem, entryProblem, eventInjProblem } from '../../../src/hypervisor/events/entry-checks.ts';
import { fromSvmEvent, fromVmxEvent, toSvmEvent, toVmxEvent } from '../../../src/hypervisor/events/event-fields.ts';
import { interceptSettings } from '../../../src/hypervisor/intercepts/settings.ts';
import type { SettingName } from '../../../src/hypervisor/intercepts/table.ts';
import { ExitEntry } from '../../../src/hypervisor/journal/exit-entry.ts';
import { subjectOf, vectorOf } from '../../../src/hypervisor/journal/exit-subject.ts';
import { kvmIntercepts } from '../../../src/platforms/kvm/intercepts.ts';
import type { EventInjection } from '../../../src/processor/processor.ts';
import * as L from '../../../src/processor/state/layout.ts';
import { SystemMachine } from '../../processor/system/machine.ts';

const EVENTS: readonly (readonly [EventInjection, vmx: number, svm: bigint])[] = [
  [{ vector: 0x20, type: 'external-interrupt' }, 0x8000_0020, 0x8000_0020n],
  [{ vector: 2, type: 'nmi' }, 0x8000_0202, 0x8000_0202n],
  [{ vector: 6, type: 'exception' }, 0x8000_0306, 0x8000_0306n],
  [{ vector: 13, type: 'exception', errorCode: 0x18 }, 0x8000_0b0d, 0x18_8000_0b0dn],
  [{ vector: 0x80, type: 'software-interrupt', instructionLength: 2 }, 0x8000_0480, 0x8000_0480n],
  [{ vector: 1, type: 'privileged-software-exception', instructionLength: 1 }, 0x8000_0501, 0x8000_0301n],
  [{ vector: 3, type: 'software-exception', instructionLength: 1 }, 0x8000_0603, 0x8000_0303n],
];

describe('events in the form of both vendors', () => {
  test.each(EVENTS)('%o', (event, information, eventInj) => {
    const fields = toVmxEvent(event);
    expect(fields.information).toBe(information);
    expect(fromVmxEvent(fields)).toEqual(event);
    expect(toSvmEvent(event)).toBe(eventInj);
    const back = fromSvmEvent(eventInj, event.instructionLength);
    // SVM knows no software exceptions.
    const type = event.type.endsWith('software-exception') ? 'exception' : event.type;
    expect(back).toEqual(type === event.type ? event : { vector: event.vector, type });
  });

  test('without an event nothing is valid', () => {
    expect([toVmxEvent(undefined).information, toSvmEvent(undefined)]).toEqual([0, 0n]);
    expect([fromVmxEvent({ information: 0x20, errorCode: 0, instructionLength: 0 }), fromSvmEvent(0x20n)]).toEqual([
      undefined,
      undefined,
    ]);
  });
});

test.each<[number, number | undefined, EventInjection, request: string, subject: string]>([
  [14, 2, { vector: 0x31, type: 'external-interrupt' }, '#PF(0x2), delivering interrupt 0x31', '#PF'],
  [6, undefined, { vector: 0x80, type: 'software-interrupt', instructionLength: 2 }, '#UD, delivering int 0x80', '#UD'],
  [14, 0, { vector: 13, type: 'exception', errorCode: 0x18 }, '#PF(0), delivering #GP(0x18)', '#PF'],
])('exception %i(%s) in the delivery of %o is said so in the journal', (vector, errorCode, during, request, subject) => {
  const exit = { reason: 'exception', vector, errorCode, type: 3, during, rip: 0n, instructionLength: 0, icount: 0n } as const;
  const record = new ExitEntry(1, 1, 0, 'intel', exit, 0n, 64);
  expect([record.request, subjectOf(record), vectorOf(record)]).toEqual([request, subject, subject]);
});

describe('entry fields', () => {
  const fields = (information: number, errorCode = 0, instructionLength = 0) => ({ information, errorCode, instructionLength });
  test.each<[string, ReturnType<typeof fields>, protectedMode: boolean, right: boolean]>([
    ['nothing valid', fields(0x0000_0fff), true, true],
    ['a reserved type', fields(0x8000_0120), true, false],
    ['an NMI with another vector', fields(0x8000_0203), true, false],
    ['an exception beyond 31', fields(0x8000_0320), true, false],
    ['#GP without its error code', fields(0x8000_030d), true, false],
    ['#GP with it', fields(0x8000_0b0d), true, true],
    ['#GP with it in real mode', fields(0x8000_0b0d), false, false],
    ['#GP without it in real mode', fields(0x8000_030d), false, true],
    ['#UD with an error code', fields(0x8000_0b06), true, false],
    ['#AC', fields(0x8000_0b11), true, true],
    ['an interrupt with an error code', fields(0x8000_0820), true, false],
    ['a reserved bit', fields(0x8000_1306), true, false],
    ['a long error code', fields(0x8000_0b0d, 0x1_0000), true, false],
    ['a monitor trap', fields(0x8000_0700), true, true],
    ['a monitor trap with a vector', fields(0x8000_0701), true, false],
    ['INT n of 2 bytes', fields(0x8000_0480, 0, 2), true, true],
    ['INT n of 16 bytes', fields(0x8000_0480, 0, 16), true, false],
    ['an interrupt of 16 bytes, whose length is ignored', fields(0x8000_0020, 0, 16), true, true],
  ])('%s', (_name, event, protectedMode, right) => {
    expect(entryFieldsProblem(event, protectedMode) === undefined).toBe(right);
  });

  test.each<[bigint, boolean]>([
    [0x8000_0020n, true],
    [0x8000_0120n, false],
    [0x8000_0302n, false],
    [0x8000_0303n, true],
    [0x8000_0320n, false],
    [0x8000_0480n, true],
    [0x8000_0503n, false],
    // SVM doesn't look at error codes.
    [0x8000_030dn, true],
    [0x0000_0520n, true],
  ])('EVENTINJ %s', (eventInj, right) => {
    expect(eventInjProblem(eventInj) === undefined).toBe(right);
  });
});

describe('the state of the guest', () => {
  interface Guest {
    readonly flags?: number;
    readonly blocking?: number;
    readonly activity?: number;
    readonly pendingDebug?: bigint;
    readonly virtualNmis?: boolean;
  }
  const interrupt: EventInjection = { vector: 0x20, type: 'external-interrupt' };
  const nmi: EventInjection = { vector: 2, type: 'nmi' };
  const debug: EventInjection = { vector: 1, type: 'exception' };
  const undefinedOpcode: EventInjection = { vector: 6, type: 'exception' };
  const machineCheck: EventInjection = { vector: 18, type: 'exception' };
  const IF = 0x202;
  const TF = 0x102;
  const machine = new SystemMachine('long');
  const check = (event: EventInjection, guest: Guest, vendor: 'intel' | 'amd') => {
    machine.reset();
    const { state, processor } = machine;
    state.rflags = guest.flags ?? 2;
    state.set32(L.INTERRUPTIBILITY, guest.blocking ?? 0);
    state.set32(L.ACTIVITY, guest.activity ?? 0);
    processor.pendingDebug = guest.pendingDebug ?? 0n;
    return entryProblem(processor, event, interceptSettings(guest.virtualNmis ? ['nmi', 'virtual-nmis'] : []), vendor);
  };

  test.each<[string, EventInjection, Guest, right: boolean]>([
    ['an interrupt with IF', interrupt, { flags: IF }, true],
    ['an interrupt without IF', interrupt, {}, false],
    ['an interrupt behind STI', interrupt, { flags: IF, blocking: 1 }, false],
    ['an interrupt behind MOV SS', interrupt, { flags: IF, blocking: 2 }, false],
    ['an interrupt with NMIs blocked', interrupt, { flags: IF, blocking: 8 }, true],
    ['an NMI behind STI', nmi, { flags: IF, blocking: 1 }, true],
    ['an NMI behind MOV SS', nmi, { blocking: 2 }, false],
    ['an NMI in an NMI', nmi, { blocking: 8 }, true],
    ['a virtual NMI in a virtual NMI', nmi, { blocking: 8, virtualNmis: true }, false],
    ['an exception behind MOV SS', undefinedOpcode, { blocking: 2 }, true],
    ['an exception behind STI without IF', undefinedOpcode, { blocking: 1 }, false],
    ['both shadows', undefinedOpcode, { flags: IF, blocking: 3 }, false],
    ['an interrupt into HLT', interrupt, { flags: IF, activity: 1 }, true],
    ['#DB into HLT', debug, { activity: 1 }, true],
    ['#UD into HLT', undefinedOpcode, { activity: 1 }, false],
    ['an NMI into a shutdown', nmi, { activity: 2 }, true],
    ['#MC into a shutdown', machineCheck, { activity: 2 }, true],
    ['an interrupt into a shutdown', interrupt, { flags: IF, activity: 2 }, false],
    ['an NMI into a wait for SIPI', nmi, { activity: 3 }, false],
    ['a shadow in HLT', nmi, { flags: IF, blocking: 1, activity: 1 }, false],
    ['TF behind MOV SS without a trap that waits', undefinedOpcode, { flags: TF, blocking: 2 }, false],
    ['TF behind MOV SS with it', undefinedOpcode, { flags: TF, blocking: 2, pendingDebug: 0x4000n }, true],
    ['a trap that waits without TF in HLT', nmi, { activity: 1, pendingDebug: 0x4000n }, false],
  ])('%s', (_name, event, guest, right) => {
    expect(check(event, guest, 'intel')).toEqual(right ? undefined : { cause: 'guest-state', text: expect.any(String) });
    // EVENTINJ asks for nothing of that.
    expect(check(event, guest, 'amd')).toBeUndefined();
  });
});

describe('controls of VMX', () => {
  const machine = new SystemMachine('long');
  const problem = (...on: readonly SettingName[]) =>
    entryProblem(machine.processor, undefined, interceptSettings(on), 'intel')?.text;

  test.each<[SettingName, needed: readonly SettingName[], text: string]>([
    ['virtual-nmis', ['nmi'], '"Virtual NMIs" needs "NMI exiting"'],
    ['nmi-window', ['nmi', 'virtual-nmis'], '"NMI-window exiting" needs "Virtual NMIs"'],
    ['virtual-interrupts', ['tpr-shadow', 'external-interrupt'], '"Virtual-interrupt delivery" needs "Use TPR shadow"'],
    ['apic-registers', ['tpr-shadow'], '"APIC-register virtualization" needs "Use TPR shadow"'],
    ['unrestricted-guest', ['second-level-translation'], '"Unrestricted guest" needs "Enable EPT"'],
    ['exit-save-timer', ['preemption-timer'], '"Save VMX-preemption timer value" needs "Activate VMX-preemption timer"'],
  ])('%s need %j', (name, needed, text) => {
    expect([problem(name), problem(name, ...needed)]).toEqual([text, undefined]);
  });

  test('that KVM asks for go together, unless a user takes one away', () => {
    const of = (changes: readonly string[]) =>
      entryProblem(machine.processor, undefined, kvmIntercepts('intel', changes), 'intel')?.text;
    expect([of([]), of(['-virtual-interrupts'])]).toEqual([undefined, undefined]);
    expect(of(['-external-interrupt'])).toBe('"Virtual-interrupt delivery" needs "External-interrupt exiting"');
  });
});
