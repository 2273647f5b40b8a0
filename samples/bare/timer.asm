; A timer interrupt: the local APIC's timer ticks ten times while the guest halts between ticks.
;
; What to look at: the Local APIC scope shows the timer count down. Guest time comes from retired instructions, and a halted
; guest jumps to its next event, so the run is the same each time. While you single-step, interrupts wait.

bits 64

APIC            equ 0xfee00000
APIC_EOI        equ APIC + 0xb0
APIC_SPURIOUS   equ APIC + 0xf0
APIC_LVT_TIMER  equ APIC + 0x320
APIC_INITIAL    equ APIC + 0x380
APIC_DIVIDE     equ APIC + 0x3e0
PERIODIC        equ 1 << 17
VECTOR          equ 0x40
TICKS           equ 10
COM1            equ 0x3f8
POWER_OFF       equ 0x604
CODE            equ 0x20

section .text
global _start
_start:
    mov rax, tick
    mov rdi, idt + VECTOR * 16
    mov [rdi], ax
    mov word [rdi + 2], CODE
    mov word [rdi + 4], 0x8e00
    shr rax, 16
    mov [rdi + 6], ax
    lidt [idt_register]

    ; The old interrupt controllers stay quiet.
    mov al, 0xff
    out 0x21, al
    out 0xa1, al

    mov rbx, APIC
    mov dword [rbx + (APIC_SPURIOUS - APIC)], 0x1ff     ; enabled, spurious vector 0xff
    mov dword [rbx + (APIC_DIVIDE - APIC)], 0b1011      ; divide by 1
    mov dword [rbx + (APIC_LVT_TIMER - APIC)], PERIODIC | VECTOR
    mov dword [rbx + (APIC_INITIAL - APIC)], 100000

.wait:
    sti
    hlt
    cmp byte [count], TICKS
    jb .wait

    cli
    mov dx, COM1
    mov al, 10
    out dx, al
    mov dx, POWER_OFF
    mov ax, 1 << 13
    out dx, ax
.halt:
    hlt
    jmp .halt

tick:
    push rax
    push rdx
    inc byte [count]
    mov dx, COM1
    mov al, '.'
    out dx, al
    mov eax, APIC_EOI
    mov dword [rax], 0
    pop rdx
    pop rax
    iretq

section .data
count           db 0
idt_register:
    dw 256 * 16 - 1
    dq idt

section .bss
alignb 16
idt: resb 256 * 16
