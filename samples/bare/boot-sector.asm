; A boot sector: 512 bytes at 0000:7C00 in real mode, as a PC's firmware leaves the machine.
;
; What to look at: the registers are 16 bits wide here, CS:IP is 0000:7C00, and DL is the boot drive. `int 0x10` goes through
; the interrupt table at address 0 (type `idt` in the debug console) to a stand-in for the BIOS that prints one character.

bits 16
org 0x7c00

POWER_OFF   equ 0x604

start:
    xor ax, ax
    mov ds, ax
    mov si, message
.next:
    lodsb
    test al, al
    jz .off
    mov ah, 0x0e                ; teletype output
    int 0x10
    jmp .next
.off:
    mov dx, POWER_OFF
    mov ax, 1 << 13
    out dx, ax
.halt:
    hlt
    jmp .halt

message db "Hello from the boot sector", 13, 10, 0

times 510 - ($ - $$) db 0
dw 0xaa55
