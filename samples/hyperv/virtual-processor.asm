; Virtual processor: the partition's view of a processor. Its number, its time, its registers as the hypervisor has them, and a page by which
; the guest tells the time without asking.
;
; What to look at: the TIME_REF_COUNT MSR and RDTSC with the reference TSC page say the same. The first is a VM exit, the second isn't: *VM Exits*
; shows the difference.

bits 64

%include "hyperv.inc"

section .text
global _start
_start:
    call begin_hypercalls
    say "virtual processor 0x"
    mov ecx, HV_X64_MSR_VP_INDEX
    call print_msr
    say "time it has run, in 100 ns: 0x"
    mov ecx, HV_X64_MSR_VP_RUNTIME
    call print_msr

    mov rbx, reference_page
    or rbx, ENABLE
    wrmsr_of HV_X64_MSR_REFERENCE_TSC, rbx
    say "reference time by MSR, in 100 ns: 0x"
    mov ecx, HV_X64_MSR_TIME_REF_COUNT
    call print_msr
    say "by the reference TSC page:         0x"
    call read_reference_tsc
    call print_hex
    say 10, "sequence 0x"
    mov eax, [reference_page]
    call print_hex
    say ", scale 0x"
    mov rax, [reference_page + 8]
    call print_hex
    say 10
    jmp finish

print_msr:
    rdmsr
    shl rdx, 32
    or rax, rdx
    call print_hex
    say 10
    ret

; RAX = (TSC * scale) / 2^64 + offset, as long as the page hasn't changed meanwhile.
read_reference_tsc:
    mov r8d, [reference_page]           ; sequence; 0: the page says nothing, use the MSR
    test r8d, r8d
    jz .by_msr
    rdtsc
    shl rdx, 32
    or rax, rdx
    mul qword [reference_page + 8]
    mov rax, rdx
    add rax, [reference_page + 16]
    cmp r8d, [reference_page]
    jne read_reference_tsc
    ret
.by_msr:
    mov ecx, HV_X64_MSR_TIME_REF_COUNT
    rdmsr
    shl rdx, 32
    or rax, rdx
    ret

%include "hyperv.inc"

section .bss
alignb 4096
reference_page: resb 4096
