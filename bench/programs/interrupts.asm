; Software interrupts and the way back: 100 an iteration.
%include "bench.inc"
setup:
    mov eax, handler
    mov [idt + 0x80 * 16], ax
    shr eax, 16
    mov [idt + 0x80 * 16 + 6], ax
    mov word [idt + 0x80 * 16 + 2], 8
    mov word [idt + 0x80 * 16 + 4], 0x8e00
    lidt [idt_pointer]
    ret
program:
    xor eax, eax
.iteration:
    mov ecx, 100
.one:
    int 0x80
    dec ecx
    jnz .one
    dec rdi
    jnz .iteration
    ret
handler:
    inc rax
    iretq
idt_pointer:
    dw 0xfff
    dq idt
idt equ HEAP
