; Vector instructions: four prices in singles, with a discount, become whole numbers and are printed.
;
; What to look at: open Vectors in the Variables view and step with F10. Each XMM register shows its lanes, and MXCSR its flags:
; PE appears with the first product that isn't exact. A debugger can change a lane, and the guest goes on with it. Try the launch
; attribute "cpu": "skylake,-sse4_1": DPPS is then an undefined instruction, as on a processor without it.

bits 64

COM1        equ 0x3f8
POWER_OFF   equ 0x604           ; ACPI PM1a control: SLP_EN
SLP_EN      equ 1 << 13
OSFXSR      equ 1 << 9          ; CR4: the system software saves XMM registers, so that they may be used
OSXMMEXCPT  equ 1 << 10         ; and handles #XM

section .text
global _start
_start:
    mov rax, cr0
    and eax, ~(1 << 2)          ; EM: there is a floating-point unit
    mov cr0, rax
    mov rax, cr4
    or eax, OSFXSR | OSXMMEXCPT
    mov cr4, rax

    movaps xmm0, [prices]
    mulps xmm0, [factors]       ; lane by lane
    cvtps2dq xmm1, xmm0         ; rounded as MXCSR says
    movaps [results], xmm1
    movaps xmm2, xmm0
    dpps xmm2, [ones], 0xf1     ; the sum of all lanes, in the lowest
    cvtss2si ebx, xmm2

    mov rsi, results
    mov ecx, 4
.lane:
    lodsd
    call print
    dec ecx
    jnz .lane
    mov eax, ebx
    call print

    mov dx, POWER_OFF
    mov ax, SLP_EN
    out dx, ax                  ; never returns
.halt:
    hlt
    jmp .halt

; Prints EAX in decimal and ends the line.
print:
    mov rdi, text_end - 1
    mov byte [rdi], 10
    mov r8d, 10
.digit:
    xor edx, edx
    div r8d
    add dl, '0'
    dec rdi
    mov [rdi], dl
    test eax, eax
    jnz .digit
    mov dx, COM1
.next:
    mov al, [rdi]
    out dx, al
    inc rdi
    cmp rdi, text_end
    jb .next
    ret

section .data
align 16
prices:     dd 19.99, 5.25, 100.0, 0.5
factors:    dd 0.9, 0.9, 0.75, 1.0
ones:       dd 1.0, 1.0, 1.0, 1.0
results:    times 4 dd 0
text:       times 16 db 0
text_end:
