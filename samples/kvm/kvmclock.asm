; kvmclock: the hypervisor keeps a page of the guest up to date with what the guest needs to make nanoseconds from its TSC.
;
; What to look at: the `wrmsr` hands KVM the address of a 32-byte structure. Step into it and watch kvm.ko fill it in, then
; look at the memory of `clock`: version (even when it's valid), TSC timestamp, system time, multiplier and shift.

bits 64

MSR_KVM_SYSTEM_TIME equ 0x4b564d01
COM1        equ 0x3f8
POWER_OFF   equ 0x604

struc pvclock
    .version        resd 1
    .pad            resd 1
    .tsc_timestamp  resq 1
    .system_time    resq 1
    .multiplier     resd 1
    .shift          resb 1
    .flags          resb 1
                    resb 2
endstruc

section .text
global _start
_start:
    mov rax, clock
    mov rdx, rax
    shr rdx, 32
    or eax, 1                   ; enabled
    mov ecx, MSR_KVM_SYSTEM_TIME
    wrmsr

    call nanoseconds
    mov r12, rax
    mov ecx, 1000
.work:
    dec ecx
    jnz .work
    call nanoseconds
    sub rax, r12
    mov rsi, forward_text
    cmp rax, 0
    jg .report
    mov rsi, backward_text
.report:
    mov dx, COM1
.next:
    lodsb
    test al, al
    jz .off
    out dx, al
    jmp .next
.off:
    mov dx, POWER_OFF
    mov ax, 1 << 13
    out dx, ax
.halt:
    hlt
    jmp .halt

; RAX = guest time in nanoseconds, by the protocol: read again while the version is odd or has changed.
nanoseconds:
    mov rbx, clock
.again:
    mov r8d, [rbx + pvclock.version]
    test r8d, 1
    jnz .again
    rdtsc
    shl rdx, 32
    or rax, rdx
    sub rax, [rbx + pvclock.tsc_timestamp]
    mov cl, [rbx + pvclock.shift]
    test cl, cl
    js .right
    shl rax, cl
    jmp .scale
.right:
    neg cl
    shr rax, cl
.scale:
    mov edx, [rbx + pvclock.multiplier]
    mul rdx
    shrd rax, rdx, 32
    add rax, [rbx + pvclock.system_time]
    cmp r8d, [rbx + pvclock.version]
    jne .again
    ret

section .data
forward_text    db "time goes forward", 10, 0
backward_text   db "time stands still", 10, 0

section .bss
alignb 32
clock: resb pvclock_size
