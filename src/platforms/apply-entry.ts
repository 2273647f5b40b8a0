import type { Processor } from '../processor/processor.ts';
import * as L from '../processor/state/layout.ts';
import { Segment } from '../processor/state/layout.ts';
import type { EntryState } from '../programs/boot-image.ts';

const REGISTERS = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi', 'r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'];
const SEGMENTS = [
  ['es', Segment.ES],
  ['cs', Segment.CS],
  ['ss', Segment.SS],
  ['ds', Segment.DS],
  ['fs', Segment.FS],
  ['gs', Segment.GS],
  ['ldtr', Segment.LDTR],
  ['tr', Segment.TR],
] as const;

/** Puts a vCPU that was just reset into the state in which a program is entered. */
export function applyEntry(processor: Processor, entry: EntryState): void {
  const { state } = processor;
  REGISTERS.forEach((name, index) => {
    state.set64(L.GPR + index * 8, BigInt.asUintN(64, entry.registers[name] ?? 0n));
  });
  state.rip = entry.rip;
  state.rflags = Number(BigInt.asUintN(32, entry.registers.rflags ?? 2n));
  state.set64(L.CR0, entry.cr0);
  state.set64(L.CR3, entry.cr3);
  state.set64(L.CR4, entry.cr4);
  state.set64(L.EFER, entry.efer);
  state.set64(L.GDTR_BASE, entry.gdt.base);
  state.set32(L.GDTR_LIMIT, entry.gdt.limit);
  state.set64(L.IDTR_BASE, entry.idt.base);
  state.set32(L.IDTR_LIMIT, entry.idt.limit);
  for (const [name, index] of SEGMENTS) state.setSegment(index, entry.segments[name]);
  state.cpl = (entry.segments.ss.rights >> 5) & 3;
  processor.stateChanged();
}

/** Application processors wait for a start-up IPI. */
export function waitForStartUp(processor: Processor): void {
  const { state } = processor;
  state.set32(L.ACTIVITY, 3);
  const bootstrap = 0x100n;
  state.set64(L.MSR_APIC_BASE, state.get64(L.MSR_APIC_BASE) & ~bootstrap);
  processor.stateChanged();
}
