import { describe, expect, test } from 'vitest';
import { fromSvmEvent, fromVmxEvent, toSvmEvent, toVmxEvent } from '../../../src/hypervisor/events/event-fields.ts';
import { interruptionInformation } from '../../../src/hypervisor/exits/qualification.ts';
import { interceptSettings } from '../../../src/hypervisor/intercepts/settings.ts';
import type { VmExit } from '../../../src/processor/exit.ts';
import type { EventInjection } from '../../../src/processor/processor.ts';
import * as L from '../../../src/processor/state/layout.ts';
import { At, Selector } from '../../processor/system/machine.ts';
import { InterceptedGuest, TIER_NAMES, VENDORS, type Vendor } from '../intercepts/guest.ts';

const ALL_EXCEPTIONS = 0xffff_ffff;

/** The event of an exit for an exception, as an exit handler reads it from the interruption information. */
function eventOf(exit: VmExit): EventInjection | undefined {
  const errorCode = exit.reason === 'exception' ? (exit.errorCode ?? 0) : 0;
  return fromVmxEvent({ information: interruptionInformation(exit), errorCode, instructionLength: exit.instructionLength });
}

describe('an exception that a hypervisor gives back to the guest', () => {
  /** Raises exceptions of many kinds, each several times. Each handler counts in a register and returns behind what raised it. */
  const program = `
    mov rbp, 12
    ; Vectors 0, 1, 3, 6, 13, 14 have handlers that add to r8.
round:
    mov ax, 0xfff8
    mov gs, ax
    ud2
    int3
    db 0xf1
    xor ecx, ecx
    div ecx
    mov rax, [abs qword 0x40000000]
    int 0x30
    pushfq
    or qword [rsp], 0x100
    popfq
    nop
    nop
    pushfq
    and qword [rsp], ~0x100
    popfq
    dec rbp
    jnz round
    hlt
handlers:
`;
  /** [vector, has an error code, bytes that the handler skips] */
  const handlers: readonly (readonly [number, boolean, number])[] = [
    [0, false, 2],
    [1, false, 0],
    [3, false, 0],
    [6, false, 2],
    [13, true, 2],
    [14, true, 10],
    [0x30, false, 0],
  ];
  const code = handlers.map(
    ([vector, hasCode, skip]) => `
align 16
handler_${vector}:
    ${hasCode ? 'xor r9, [rsp]\nrol r9, 7\nadd rsp, 8' : ''}
    mov r10, cr2
    add r9, r10
    mov r10, dr6
    add r9, r10
    xor r9, [rsp]
    rol r9, 5
    xor r9, [rsp + 16]
    inc r8
    add qword [rsp], ${skip}
    iretq
`,
  );

  const build = (vendor: Vendor, tier: (typeof TIER_NAMES)[number]) => {
    const guest = new InterceptedGuest(vendor, program + code.join('') + tableOf(), tier);
    const table = [...guest.memory.read(BigInt(At.CODE), 0x1000)];
    const at = table.findIndex((_, index) => String.fromCharCode(...table.slice(index, index + 8)) === 'HANDLERS') + 8;
    const view = new DataView(Uint8Array.from(table).buffer);
    handlers.forEach(([vector], index) => {
      const offset = view.getUint32(at + index * 4, true);
      guest.write32(At.IDT + vector * 16, (Selector.CODE64 << 16) | (offset & 0xffff));
      // INT n may be used from level 0 anyway; gates are interrupt gates.
      guest.write32(At.IDT + vector * 16 + 4, (offset & 0xffff_0000) | 0x8e00);
    });
    return guest;
  };
  const tableOf = () => `db "HANDLERS"\n${handlers.map(([vector]) => `dd handler_${vector}`).join('\n')}`;

  const registers = (guest: InterceptedGuest) => [8, 9, 4, 5].map((number) => guest.state.gpr(number));

  test.each(VENDORS)('leaves no trace (%s)', (vendor) => {
    const ends = TIER_NAMES.flatMap((tier) => {
      const alone = build(vendor, tier);
      expect(alone.processor.run(10_000)).toEqual({ kind: 'halted' });
      expect(alone.state.gpr(8)).toBeGreaterThan(100n);

      const watched = build(vendor, tier);
      watched.intercept(interceptSettings([], { exceptions: ALL_EXCEPTIONS }));
      let exits = 0;
      for (let result = watched.processor.run(10_000); result.kind === 'exit'; result = watched.processor.run(10_000)) {
        exits++;
        giveBack(watched, result.exit);
      }
      expect(watched.state.get32(L.ACTIVITY)).toBe(1);
      // INT n is no exception.
      expect(exits).toBe(Number(alone.state.gpr(8)) - 12);
      // INT3 and INT1 have left and don't count as retired.
      expect(alone.processor.icount - watched.processor.icount).toBe(24n);
      watched.state.set64(L.ICOUNT, alone.processor.icount);
      return [alone, watched].map((guest) => [registers(guest), guest.processor.stateHash()]);
    });
    for (const end of ends) expect(end).toEqual(ends[0]);
  });

  /** What a hypervisor does: CR2 and DR6 are its own to set, the rest goes through the fields of the next entry. */
  function giveBack({ processor, state, vendor }: InterceptedGuest, exit: VmExit): void {
    if (exit.reason !== 'exception') throw new Error(exit.reason);
    const event = eventOf(exit);
    if (event === undefined) throw new Error('no event');
    if (exit.vector === 14) state.set64(L.CR2, exit.payload ?? 0n);
    // INT1 sets nothing in DR6.
    if (exit.vector === 1 && exit.payload !== undefined) state.set64(L.DR + 48, (state.get64(L.DR + 48) & ~0xfn) | exit.payload);
    if (vendor === 'intel') {
      const again = fromVmxEvent(toVmxEvent(event));
      if (again) processor.inject(again);
      return;
    }
    const again = fromSvmEvent(toSvmEvent(event));
    if (again === undefined) throw new Error('no event');
    // Without software exceptions RIP must be behind the instruction already.
    if (event.type !== 'exception') state.rip += BigInt(exit.instructionLength);
    const asTrap = event.type !== 'exception';
    processor.inject(asTrap ? { ...again, type: event.type, instructionLength: 0 } : again);
  }
});

describe('injected events', () => {
  /** Injects at the start of a row of NOPs; gives what the handler finds on its stack: error code, if any, and RIP. */
  const inject = (event: EventInjection, mode: 'long' | 'long-user' = 'long', intercepted = 0) => {
    const guest = new InterceptedGuest('intel', 'nop\nnop\nnop\nnop', 'interpreter', mode);
    guest.memory.write(BigInt(At.HANDLER), Uint8Array.of(0x90, 0x90));
    guest.intercept(interceptSettings([], { exceptions: intercepted }));
    guest.processor.inject(event);
    const result = guest.processor.run(1);
    const { state } = guest;
    const top = Number(state.gpr(4));
    return { guest, result, rip: state.rip, top: guest.read64(top), next: guest.read64(top + 8), icount: state.icount };
  };

  test('are delivered before the first instruction, with what belongs to them', () => {
    const code = BigInt(At.CODE);
    expect(inject({ vector: 0x20, type: 'external-interrupt' })).toMatchObject({ rip: 0xe001n, top: code, icount: 1n });
    expect(inject({ vector: 13, type: 'exception', errorCode: 0x18 })).toMatchObject({ top: 0x18n, next: code });
    expect(inject({ vector: 0x30, type: 'software-interrupt', instructionLength: 2 }).top).toBe(code + 2n);
    expect(inject({ vector: 3, type: 'software-exception', instructionLength: 1 }).top).toBe(code + 1n);
    expect(inject({ vector: 1, type: 'privileged-software-exception', instructionLength: 1 }).top).toBe(code + 1n);
  });

  test('are not intercepted themselves', () => {
    const { result, top } = inject({ vector: 13, type: 'exception', errorCode: 0x18 }, 'long', ALL_EXCEPTIONS);
    expect([result.kind, top]).toEqual(['budget', 0x18n]);
  });

  test('block NMIs when they are one', () => {
    const { guest } = inject({ vector: 2, type: 'nmi' });
    expect(guest.state.get32(L.INTERRUPTIBILITY)).toBe(8);
    guest.processor.raiseNmi();
    expect(guest.processor.run(1)).toEqual({ kind: 'budget' });
  });

  test('of software need a gate for their level, but INT1 does not', () => {
    const soft = inject({ vector: 0x30, type: 'software-interrupt', instructionLength: 2 }, 'long-user', 1 << 13);
    // The fault is one of the instruction, at its RIP.
    expect(soft.result).toMatchObject({
      kind: 'exit',
      exit: { vector: 13, errorCode: 0x182, rip: BigInt(At.CODE), instructionLength: 2 },
    });
    expect(soft.result).toMatchObject({ exit: { during: { vector: 0x30, type: 'software-interrupt', instructionLength: 2 } } });
    const privileged = inject({ vector: 1, type: 'privileged-software-exception', instructionLength: 1 }, 'long-user', 1 << 13);
    expect(privileged.result.kind).toBe('budget');
  });

  test('wake a halted vCPU, and an NMI one that has shut down', () => {
    for (const activity of [1, 2]) {
      const guest = new InterceptedGuest('intel', 'nop');
      guest.memory.write(BigInt(At.HANDLER), Uint8Array.of(0x90, 0x90));
      guest.state.set32(L.ACTIVITY, activity);
      guest.processor.inject({ vector: 2, type: 'nmi' });
      expect([guest.processor.run(1).kind, guest.state.rip, guest.state.get32(L.ACTIVITY)]).toEqual(['budget', 0xe001n, 0]);
    }
  });

  test('take the place of a debug trap that waits, unless MOV SS holds it back from a software event', () => {
    const lost = (event: EventInjection, blocking: number) => {
      const guest = new InterceptedGuest('intel', 'nop');
      guest.processor.pendingDebug = 0x4000n;
      guest.state.set32(L.INTERRUPTIBILITY, blocking);
      guest.memory.write(BigInt(At.HANDLER), Uint8Array.of(0x90, 0x90));
      guest.intercept(interceptSettings([], { exceptions: 2 }));
      guest.processor.inject(event);
      return guest.processor.run(1).kind === 'budget';
    };
    const soft: EventInjection = { vector: 0x30, type: 'software-interrupt', instructionLength: 2 };
    expect([lost({ vector: 6, type: 'exception' }, 0), lost(soft, 0), lost(soft, 2)]).toEqual([true, true, false]);
  });
});

describe('an exit in the delivery of an event', () => {
  const PAGE_FAULT = 1 << 14;
  /** A guest whose stack pointer leads to a page that isn't there. */
  const withoutStack = (vendor: Vendor, source: string, exceptions = PAGE_FAULT) => {
    const guest = new InterceptedGuest(vendor, source);
    guest.memory.write(BigInt(At.HANDLER), Uint8Array.of(0x90, 0x90));
    guest.state.setGpr(4, 0x4000_1000n);
    guest.intercept(interceptSettings([], { exceptions }));
    return guest;
  };

  test.each<[string, string, Partial<EventInjection>, length: number]>([
    ['INT n', 'int 0x30', { vector: 0x30, type: 'software-interrupt', instructionLength: 2 }, 2],
    ['INT3', 'int3', { vector: 3, type: 'software-exception', instructionLength: 1 }, 1],
    ['INT1', 'db 0xf1', { vector: 1, type: 'privileged-software-exception', instructionLength: 1 }, 1],
    ['#UD', 'ud2', { vector: 6, type: 'exception' }, 0],
    ['#GP', 'mov ax, 0x99\nmov ds, ax', { vector: 13, type: 'exception', errorCode: 0x98 }, 0],
  ])('of %s names that event, and injecting it again goes on', (_name, source, event, length) => {
    const guest = withoutStack('intel', source);
    const exit = guest.exit();
    const { rip } = exit;
    expect(exit).toMatchObject({
      reason: 'exception',
      vector: 14,
      payload: 0x4000_0ff8n,
      instructionLength: length,
      during: event,
    });
    // CR2 is the fault's own, which wasn't delivered.
    expect([guest.state.get64(L.CR2), guest.state.rip, guest.state.gpr(4)]).toEqual([0n, rip, 0x4000_1000n]);
    guest.state.setGpr(4, BigInt(At.STACK));
    if (exit.during) guest.processor.inject(exit.during);
    expect(guest.processor.run(1)).toEqual({ kind: 'budget' });
    expect(guest.state.rip).toBe(0xe001n);
    const frame = At.STACK - (event.errorCode === undefined ? 40 : 48);
    expect(guest.read64(frame + (event.errorCode === undefined ? 0 : 8))).toBe(rip + BigInt(length));
  });

  test('of an external interrupt finds it taken from its controller, and an NMI with NMIs blocked', () => {
    const guest = withoutStack('intel', 'sti\nnop\nnop');
    const taken: number[] = [];
    guest.processor.setInterruptSource({
      hasInterrupt: () => taken.length === 0,
      acknowledge: () => taken.push(0x31) && 0x31,
      getTpr: () => 0,
      setTpr: () => {},
    });
    expect(guest.exit()).toMatchObject({ vector: 14, during: { vector: 0x31, type: 'external-interrupt' } });
    expect(taken).toEqual([0x31]);
    const other = withoutStack('amd', 'nop');
    other.processor.raiseNmi();
    expect(other.exit()).toMatchObject({ vector: 14, during: { vector: 2, type: 'nmi' } });
    expect(other.state.get32(L.INTERRUPTIBILITY)).toBe(8);
  });

  test('of a page fault has CR2 set by the last page fault, also when it makes a double fault', () => {
    const guest = withoutStack('intel', 'mov rax, [abs qword 0x50000000]', 1 << 8);
    const exit = guest.exit();
    // The two page faults make a double fault, which leaves by itself.
    expect(exit).toMatchObject({ reason: 'exception', vector: 8, errorCode: 0 });
    expect([exit.during, guest.state.get64(L.CR2)]).toEqual([undefined, 0x4000_0ff8n]);
    // A page fault that leaves is none yet.
    const other = withoutStack('intel', 'mov rax, [abs qword 0x50000000]', 1 << 14);
    expect(other.exit()).toMatchObject({ vector: 14, payload: 0x5000_0000n });
    expect(other.state.get64(L.CR2)).toBe(0n);
  });

  test('comes before two faults become a double fault, whose own failure is a triple fault', () => {
    const source = 'mov ax, 0x99\nmov ds, ax';
    expect(withoutStack('amd', source, PAGE_FAULT | (1 << 8)).exit()).toMatchObject({ vector: 14, during: { vector: 13 } });
    const doubled = withoutStack('amd', source, 1 << 8).exit();
    expect([doubled, doubled.during]).toMatchObject([{ vector: 8 }, undefined]);
    const guest = withoutStack('intel', source, 0);
    const exit = guest.exit();
    expect(exit).toMatchObject({ reason: 'triple-fault', chain: [{ vector: 13 }, { vector: 14 }, { vector: 8 }] });
    expect(exit.during).toBeUndefined();
  });

  test('may be left to the processor', () => {
    const guest = withoutStack('intel', 'ud2', PAGE_FAULT);
    expect(guest.exit()).toMatchObject({ vector: 14, during: { vector: 6 } });
    guest.state.setGpr(4, BigInt(At.STACK));
    guest.processor.performNatively();
    expect([guest.state.rip, guest.read64(At.STACK - 40)]).toEqual([BigInt(At.HANDLER), BigInt(At.CODE)]);
  });

  test('is also a task switch through a gate', () => {
    const guest = new InterceptedGuest('intel', 'int 0x30', 'interpreter', 'protected');
    guest.write32(At.IDT + 0x30 * 8, Selector.FREE << 16);
    guest.write32(At.IDT + 0x30 * 8 + 4, 0x8500);
    expect(guest.exit()).toMatchObject({
      reason: 'task-switch',
      source: 'gate',
      rip: BigInt(At.CODE),
      instructionLength: 2,
      during: { vector: 0x30, type: 'software-interrupt', instructionLength: 2 },
    });
  });
});

describe('the filter of page faults', () => {
  /** Error codes: 0 a read, 2 a write, 4 user. */
  test.each<[bit: boolean, mask: number, match: number, read: boolean, write: boolean]>([
    [true, 0, 0, true, true],
    [false, 0, 0, false, false],
    [true, 2, 2, false, true],
    [false, 2, 2, true, false],
    [true, 0, 1, false, false],
    [false, 0, 1, true, true],
  ])('bit 14 %s, mask %i, match %i: reads leave %s, writes %s', (bit, mask, match, read, write) => {
    const leaves = (vendor: Vendor, source: string) => {
      const guest = new InterceptedGuest(vendor, source);
      guest.intercept(interceptSettings([], { exceptions: bit ? 1 << 14 : 0, pageFaults: { mask, match } }));
      const result = guest.processor.run(1);
      return result.kind === 'exit';
    };
    const reads = 'mov rax, [abs qword 0x40000000]';
    const writes = 'mov [abs qword 0x40000000], rax';
    expect([leaves('intel', reads), leaves('intel', writes)]).toEqual([read, write]);
    // SVM has no filter: all leave where some shall.
    expect(leaves('amd', reads)).toBe(bit || mask !== 0 || match !== 0);
  });
});
