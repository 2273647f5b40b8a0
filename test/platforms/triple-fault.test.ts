import { describe, expect, test } from 'vitest';
import type { VmExit } from '../../src/processor/exit.ts';
import { guest, runToEnd } from './run-guest.ts';

/** #UD is handled by a task whose TSS is all zeroes: the switch is committed, then its null CS can't be loaded. */
const BROKEN_TASK = `bits 32
_start:
    lgdt [gdtr]
    jmp 8:next
next:
    mov ax, 16
    mov ds, ax
    mov ss, ax
    mov ax, 24
    ltr ax
    lidt [idtr]
    mov ecx, 0x1234
    stc
    ud2
align 8
gdt: dq 0
    dq 0x00cf9b000000ffff
    dq 0x00cf93000000ffff
    dw 0x67, tss_main
    db 0x10, 0x89, 0, 0
    dw 0x67, tss_broken
    db 0x10, 0x89, 0, 0
gdtr: dw 39
    dd gdt
idtr: dw 9 * 8 - 1
    dd idt
idt: times 6 dq 0
    dw 0, 32
    db 0, 0x85, 0, 0
    dq 0, 0
tss_main: times 104 db 0
tss_broken: times 104 db 0
`;

const BAD_ADDRESS = `bits 64
_start:
    mov eax, 0x55000
    mov cr2, rax
    lidt [empty]
    mov rbx, 0x600000000000
    mov [rbx], rax
empty: dw 0
    dq 0
`;

/** Runs a guest to its triple fault; gives the exit as a debugger sees it, and the vCPU as it stands then. */
function tripleFault(source: string, configuration: Parameters<typeof guest>[1]) {
  const partition = guest(source, configuration);
  const seen: VmExit[] = [];
  partition.setDebugHooks({
    stopAtExit: (_vcpu, exit) => {
      if (exit.reason === 'triple-fault') seen.push(exit);
      return false;
    },
  });
  const { end } = runToEnd(partition);
  const [exit] = seen;
  const [vcpu] = partition.vcpus;
  if (exit?.reason !== 'triple-fault' || !vcpu) throw new Error(`no triple fault was seen, but: ${end.message}`);
  expect(seen).toHaveLength(1);
  expect(end).toMatchObject({ kind: 'triple-fault', status: 125 });
  return { exit, state: vcpu.processor.state, end, lastExit: vcpu.lastExit };
}

describe.each(['kvm', 'bare'] as const)('a triple fault on %s', (platform) => {
  describe.each(['intel', 'amd'] as const)('with %s', (vendor) => {
    test('says which fault each delivery raised, and what CR2 held before', () => {
      const { exit, lastExit } = tripleFault(BAD_ADDRESS, { platform, vendor });
      expect(exit.chain).toEqual([
        {
          vector: 14,
          errorCode: 2,
          payload: 0x6000_0000_0000n,
          kind: undefined,
          raised: { vector: 13, errorCode: 14 * 8 + 3, payload: undefined },
        },
        {
          vector: 8,
          errorCode: 0,
          payload: undefined,
          kind: undefined,
          raised: { vector: 13, errorCode: 8 * 8 + 3, payload: undefined },
        },
      ]);
      expect(exit.cr2).toBe(0x55000n);
      expect(lastExit).toBe(exit);
    });

    test('behind a task switch leaves the registers of the task that met the fault', () => {
      const { exit, state, end } = tripleFault(BROKEN_TASK, { platform, vendor });
      expect(exit.chain.map(({ vector }) => vector)).toEqual([6, 10, 8]);
      expect(exit.chain[0]?.raised).toMatchObject({ vector: 10, errorCode: 0 });
      expect(state.gpr(1)).toBe(0x1234n);
      expect(state.rflags & 0x4001).toBe(1);
      expect(state.cr0 & 8n).toBe(0n);
      expect([state.segment(1).selector, state.segment(2).selector, state.segment(7).selector]).toEqual([8, 16, 24]);
      expect(state.rip).toBe(exit.rip);
      expect(end.message).toContain('#UD, then #TS(0), then #DF(0)');
    });
  });
});
