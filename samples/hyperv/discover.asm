; Partition: the guest finds out that a hypervisor is there, that it speaks Hyper-V's interface, and what its partition may do.
;
; What to look at: step into a `cpuid`. The processor leaves the guest, and the hypervisor answers the leaves from 0x40000000 on
; from the partition's privileges: what the partition may not do isn't shown, and asking for it all the same is #GP or
; HV_STATUS_ACCESS_DENIED. Take one away ("privileges": ["-timers"]) and run it again. *Partitions* shows them by name.

bits 64

%include "hyperv.inc"

section .text
global _start
_start:
    mov eax, 1
    cpuid
    bt ecx, 31                  ; "a hypervisor is present"
    jnc no_hypervisor

    mov eax, HV_CPUID_VENDOR
    cpuid
    mov r12d, eax
    mov [vendor], ebx
    mov [vendor + 4], ecx
    mov [vendor + 8], edx
    say "hypervisor: "
    mov rsi, vendor
    call print
    say 10, "last leaf: 0x"
    mov eax, r12d
    call print_hex

    mov eax, HV_CPUID_INTERFACE
    cpuid
    cmp eax, 'Hv#1'
    jne no_interface

    say 10, "privileges: 0x"
    mov eax, HV_CPUID_FEATURES
    cpuid
    mov r12d, eax
    mov r13d, ebx
    mov r14d, edx
    mov rax, r13
    shl rax, 32
    or rax, r12
    call print_hex
    say 10, "features: 0x"
    mov eax, r14d
    call print_hex

    say 10, "hints: 0x"
    mov eax, HV_CPUID_HINTS
    cpuid
    call print_hex

    say 10, "most virtual processors: 0x"
    mov eax, HV_CPUID_LIMITS
    cpuid
    call print_hex
    say 10
    jmp finish

no_hypervisor:
    say "no hypervisor is here: run this with --platform hyperv", 10
    jmp finish
no_interface:
    say 10, "this hypervisor doesn't speak Hyper-V's interface", 10
    jmp finish

section .data
vendor  times 13 db 0

%include "hyperv.inc"
