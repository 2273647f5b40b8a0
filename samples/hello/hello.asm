; The smallest guest: it prints a line on the serial port and powers the machine off.
;
; What to look at: press F5, then step with F10. Each `out dx, al` is a VM exit: Step Into (F11) on one goes into the
; hypervisor, from kvm-intel's exit handler through kvm.ko to the VMM process and its serial port, and Step Out comes back.

bits 64

COM1        equ 0x3f8
POWER_OFF   equ 0x604           ; ACPI PM1a control: SLP_EN
SLP_EN      equ 1 << 13

section .text
global _start
_start:
    mov rsi, message
    mov ecx, message_length
    call print
    mov dx, POWER_OFF
    mov ax, SLP_EN
    out dx, ax                  ; never returns
.halt:
    hlt
    jmp .halt

; Prints ECX bytes at RSI.
print:
    mov dx, COM1
.next:
    lodsb
    out dx, al
    dec ecx
    jnz .next
    ret

section .data
message:        db "Hello from a guest", 10
message_length  equ $ - message
