; Interrupt redirection: interrupts come to a guest from the hypervisor, through its synthetic interrupt controller (SynIC). A synthetic timer
; puts messages into the guest's message page; another one skips the page and is a plain interrupt.
;
; What to look at: *Partitions* shows the SynIC of the virtual processor: which interrupt source has which vector, what its slot holds,
; when its timers expire. Step into the `wrmsr` that sets a timer's count. An interrupt of a source with auto-EOI needs no EOI.

bits 64

%include "hyperv.inc"

TIMER_SOURCE    equ 4
HvMessageTimerExpired equ 0x80000010
TICKS           equ 5

; STIMERn_CONFIG.
PERIODIC        equ 1 << 1
AUTO_ENABLE     equ 1 << 3
DIRECT          equ 1 << 12
SOURCE          equ 16

section .text
global _start
_start:
    mov rax, wake
    call begin_interrupts
    mov ebx, TIMER_SOURCE
    call begin_synic

    ; Every 0.1 ms, as messages. Setting the count starts it.
    wrmsr_of HV_X64_MSR_STIMER0_CONFIG, PERIODIC | AUTO_ENABLE | TIMER_SOURCE << SOURCE
    wrmsr_of HV_X64_MSR_STIMER0_COUNT, 1000
    mov r12d, TICKS
.next:
    mov ebx, TIMER_SOURCE
    call take_message
    cmp eax, HvMessageTimerExpired
    jne .strange
    say "timer 0x"
    mov eax, [message]                  ; which timer
    call print_hex
    say ": expired at 0x"
    mov rax, [message + 8]
    call print_hex
    say ", told at 0x"
    mov rax, [message + 16]
    call print_hex
    say 10
    dec r12d
    jnz .next
    wrmsr_of HV_X64_MSR_STIMER0_COUNT, 0

    ; Once, as an interrupt of the local APIC: 0.2 ms from now.
    mov rax, tick
    call begin_interrupts
    wrmsr_of HV_X64_MSR_STIMER0_CONFIG, AUTO_ENABLE | DIRECT | INTERRUPT << 4
    mov ecx, HV_X64_MSR_TIME_REF_COUNT
    rdmsr
    shl rdx, 32
    or rax, rdx
    add rax, 2000
    mov r8, rax
    wrmsr_of HV_X64_MSR_STIMER0_COUNT, r8
.wait:
    sti
    hlt
    cli
    cmp byte [ticked], 0
    je .wait
    say "direct timer: interrupted", 10
    jmp finish
.strange:
    say "a message of another type came: 0x"
    call print_hex
    say 10
    jmp finish

tick:
    push rax
    mov byte [ticked], 1
    mov eax, 0xfee000b0                 ; EOI: no source with auto-EOI is behind this one
    mov dword [rax], 0
    pop rax
    iretq

section .data
ticked  db 0

%include "hyperv.inc"
