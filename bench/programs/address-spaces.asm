; Two address spaces in turn: after each switch 16 pages are read and 1000 instructions run in registers.
%include "bench.inc"
OTHER equ HEAP + 0x1000
setup:
    mov esi, TABLES
    mov edi, OTHER
    mov ecx, 512
    rep movsq
    ret
program:
    xor eax, eax
.iteration:
    mov ebx, OTHER
    mov cr3, rbx
    call work
    mov ebx, TABLES
    mov cr3, rbx
    call work
    dec rdi
    jnz .iteration
    ret
work:
    mov ebx, HEAP + 0x10000
    mov ecx, 16
.page:
    add rax, [rbx]
    inc rax
    add rbx, 0x1000
    dec ecx
    jnz .page
    mov ecx, 250
.round:
    lea rax, [rax + rax * 2]
    ror rax, 5
    dec ecx
    jnz .round
    ret
