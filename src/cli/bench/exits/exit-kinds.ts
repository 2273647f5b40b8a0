import type { SettingName } from '../../../hypervisor/intercepts/table.ts';
import type { ExitReason } from '../../../processor/exit.ts';

/** A kind of VM exit, and guest code that makes nothing else. */
export interface ExitKind {
  readonly name: string;
  readonly reason: ExitReason;
  /** 64-bit code that runs once. It has the memory from 8 MiB to 40 MiB, and all registers but RBP. */
  readonly setup?: string;
  /** Code that leaves the guest `count` times. */
  readonly body: string;
  readonly count?: number;
  /** Code behind the loop, such as an interrupt handler. */
  readonly rest?: string;
  /** What KVM doesn't intercept, and is asked to here. */
  readonly intercept?: SettingName;
  /** Whether the same code runs on a bare machine; so it does when missing. */
  readonly bare?: boolean;
  /** The pages that were written are collected again and again. */
  readonly logsWrites?: boolean;
}

/** Interrupts of the timer (IRQ 0, vector 32) without an EOI. */
const TIMER = `
    mov rax, handler
    mov [idt + 0x200], ax
    mov [idt + 0x202], cs
    mov word [idt + 0x204], 0x8e00
    shr rax, 16
    mov [idt + 0x206], ax
    lidt [idt_pointer]
    mov al, 0x11
    out 0x20, al
    mov al, 0x20
    out 0x21, al
    mov al, 4
    out 0x21, al
    ; Automatic EOI.
    mov al, 3
    out 0x21, al
    mov al, 0xfe
    out 0x21, al
    mov al, 0x34
    out 0x43, al
    mov al, 200
    out 0x40, al
    xor eax, eax
    out 0x40, al
    sti`;

const HANDLER = `
handler:
    iretq
    align 16
idt:
    times 0x210 db 0
idt_pointer:
    dw 0x20f
    dq idt`;

/** The kinds that are measured, in the order of the table. */
export const EXIT_KINDS: readonly ExitKind[] = [
  { name: 'cpuid', reason: 'cpuid', body: 'xor eax, eax\ncpuid' },
  // KVM_HC_VAPIC_POLL_IRQ, which does nothing.
  { name: 'hypercall', reason: 'hypercall', body: 'mov eax, 1\nvmcall', bare: false },
  // The scratch register of the first serial port.
  { name: 'port-write', reason: 'io', setup: 'mov edx, 0x3ff', body: 'out dx, al' },
  { name: 'port-read', reason: 'io', setup: 'mov edx, 0x3ff', body: 'in al, dx' },
  { name: 'port-kernel', reason: 'io', body: 'in al, 0x21' },
  { name: 'port-nobody', reason: 'io', setup: 'mov edx, 0x1234', body: 'out dx, al' },
  { name: 'port-string', reason: 'io', setup: 'mov edx, 0x3ff', body: 'mov esi, 0x800000\nmov ecx, 16\nrep outsb', count: 16 },
  // The index register of the I/O APIC.
  { name: 'mmio-write', reason: 'mmio', setup: 'mov edi, 0xfec00000\nxor eax, eax', body: 'mov [rdi], eax' },
  { name: 'mmio-read', reason: 'mmio', setup: 'mov edi, 0xfec00000', body: 'mov eax, [rdi]' },
  // Task priority.
  { name: 'apic-write', reason: 'apic', setup: 'mov edi, 0xfee00080\nxor eax, eax', body: 'mov [rdi], eax' },
  { name: 'apic-read', reason: 'apic', setup: 'mov edi, 0xfee00080', body: 'mov eax, [rdi]' },
  // IA32_MISC_ENABLE, the processor's own.
  { name: 'msr-processor', reason: 'msr-read', setup: 'mov ecx, 0x1a0', body: 'rdmsr' },
  // MSR_KVM_POLL_CONTROL.
  { name: 'msr-read', reason: 'msr-read', setup: 'mov ecx, 0x4b564d05', body: 'rdmsr', bare: false },
  {
    name: 'msr-write',
    reason: 'msr-write',
    setup: 'mov ecx, 0x4b564d05\nxor edx, edx\nmov eax, 1',
    body: 'wrmsr',
    bare: false,
  },
  { name: 'rdtsc', reason: 'rdtsc', body: 'rdtsc', intercept: 'rdtsc' },
  { name: 'pause', reason: 'pause', body: 'pause', intercept: 'pause' },
  { name: 'hlt', reason: 'hlt', setup: TIMER, body: 'hlt', rest: HANDLER },
  {
    name: 'dirty-page',
    reason: 'second-level-violation',
    setup: 'xor ecx, ecx',
    body: 'mov [rcx + 0x800000], al\nadd ecx, 0x1000\nand ecx, 0x1ffffff',
    bare: false,
    logsWrites: true,
  },
];

/** Bodies in one pass of the loop. */
const UNROLLED = 8;

/** Assembly of a guest that leaves for ever, and counts in RBP how often it has. */
export function sourceOf({ setup = '', body, count = 1, rest = '' }: ExitKind): string {
  return `
    org 0x100000
    bits 64
    xor ebp, ebp
${setup}
work:
${`${body}\nadd rbp, ${count}\n`.repeat(UNROLLED)}
    jmp work
${rest}
`;
}
