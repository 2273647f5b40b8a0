; Page faults: 64 pages are touched one after the other, the handler maps each, and all are taken away again.
%include "bench.inc"
IDT equ HEAP
TABLE equ HEAP + 0x1000
PAGES equ 0x20000000
setup:
    mov eax, handler
    mov [IDT + 14 * 16], ax
    shr eax, 16
    mov [IDT + 14 * 16 + 6], ax
    mov word [IDT + 14 * 16 + 2], 8
    mov word [IDT + 14 * 16 + 4], 0x8e00
    lidt [idt_pointer]
    ; A table of 4 KiB pages in the place of a large one.
    mov qword [TABLES + 0x2000 + (PAGES >> 21) * 8], TABLE | 7
    ret
program:
    xor eax, eax
.iteration:
    mov ebx, PAGES
    mov ecx, 64
.touch:
    add rax, [rbx]
    inc rax
    add rbx, 0x1000
    dec ecx
    jnz .touch
    mov ebx, PAGES
    xor ecx, ecx
.take:
    mov qword [TABLE + rcx * 8], 0
    invlpg [rbx]
    add rbx, 0x1000
    inc ecx
    cmp ecx, 64
    jb .take
    dec rdi
    jnz .iteration
    ret
handler:
    push rdx
    mov rdx, cr2
    shr rdx, 12
    and edx, 511
    mov qword [TABLE + rdx * 8], (HEAP + 0x4000) | 7
    pop rdx
    add rsp, 8
    iretq
idt_pointer:
    dw 0xfff
    dq IDT
