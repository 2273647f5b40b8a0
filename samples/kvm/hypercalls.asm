; KVM hypercalls: the guest asks the hypervisor by `vmcall`, with a number in RAX and arguments in RBX, RCX, RDX, RSI.
;
; What to look at: set a breakpoint on the first `vmcall`, continue to it, then Step Into (F11). The call stack shows the
; guest's frame, the VM exit with its reason, and above it kvm-intel's exit handler and kvm.ko's emulation. Step through
; their stages; Step Out is back in the guest with the answer in RAX. On AMD ("vendor": "amd") KVM patches the instruction
; into `vmmcall` at its first use, and the stages show it.

bits 64

COM1            equ 0x3f8
POWER_OFF       equ 0x604
SLP_EN          equ 1 << 13

KVM_HC_KICK_CPU     equ 5
KVM_HC_SEND_IPI     equ 10
KVM_HC_SCHED_YIELD  equ 11
UNKNOWN_HYPERCALL   equ 999

section .text
global _start
_start:
    mov rsi, yield_text
    call print
    mov eax, KVM_HC_SCHED_YIELD
    xor ebx, ebx                ; APIC id of the vCPU to yield to
    vmcall
    call print_result

    mov rsi, kick_text
    call print
    mov eax, KVM_HC_KICK_CPU
    xor ebx, ebx                ; flags
    xor ecx, ecx                ; APIC id of the vCPU to wake
    vmcall
    call print_result

    mov rsi, unknown_text
    call print
    mov eax, UNKNOWN_HYPERCALL  ; answered with -1000: KVM_ENOSYS
    vmcall
    call print_result

    mov dx, POWER_OFF
    mov ax, SLP_EN
    out dx, ax
.halt:
    hlt
    jmp .halt

; Prints the string at RSI, which ends with 0.
print:
    mov dx, COM1
.next:
    lodsb
    test al, al
    jz .done
    out dx, al
    jmp .next
.done:
    ret

; Prints RAX as a signed decimal number and a new line.
print_result:
    push rbx
    mov rbx, number_end
    mov rcx, 10
    test rax, rax
    jns .positive
    neg rax
    push rax
    mov dx, COM1
    mov al, '-'
    out dx, al
    pop rax
.positive:
    dec rbx
    xor edx, edx
    div rcx
    add dl, '0'
    mov [rbx], dl
    test rax, rax
    jnz .positive
    mov rsi, rbx
    call print
    pop rbx
    ret

section .data
yield_text      db "KVM_HC_SCHED_YIELD: ", 0
kick_text       db "KVM_HC_KICK_CPU:    ", 0
unknown_text    db "hypercall 999:      ", 0
number          times 24 db 0
number_end      db 10, 0
