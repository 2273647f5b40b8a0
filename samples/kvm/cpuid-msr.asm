; CPUID and MSR exits: the guest asks who its hypervisor is, and reads and writes a model-specific register.
;
; What to look at: tick "CPUID" and "MSR" in Breakpoints. Each stop comes before the handler begins; Step Into goes to its
; first stage. The leaf 0x40000000 answers "KVMKVMKVM"; on `"platform": "bare"` CPUID doesn't exit, and says that there is
; no hypervisor.

bits 64

COM1        equ 0x3f8
POWER_OFF   equ 0x604
TSC_AUX     equ 0xc0000103
POLL_CONTROL equ 0x4b564d05     ; MSR_KVM_POLL_CONTROL

section .text
global _start
_start:
    mov eax, 1
    cpuid
    bt ecx, 31                  ; a hypervisor is there
    jnc .bare

    mov eax, 0x40000000
    cpuid
    mov [signature], ebx
    mov [signature + 4], ecx
    mov [signature + 8], edx
    mov rsi, signature
    call print

    mov ecx, POLL_CONTROL
    rdmsr
    wrmsr
    mov ecx, TSC_AUX
    xor edx, edx
    mov eax, 7
    wrmsr
    jmp .off
.bare:
    mov rsi, bare_text
    call print
.off:
    mov dx, POWER_OFF
    mov ax, 1 << 13
    out dx, ax
.halt:
    hlt
    jmp .halt

print:
    mov dx, COM1
.next:
    lodsb
    test al, al
    jz .done
    out dx, al
    jmp .next
.done:
    mov al, 10
    out dx, al
    ret

section .data
bare_text   db "no hypervisor", 0
signature   times 16 db 0
