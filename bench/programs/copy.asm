; Copies 32 KiB by a loop of quadwords.
%include "bench.inc"
setup:
    mov esi, HEAP
    mov eax, 1
.fill:
    mov [rsi], rax
    imul rax, rax, 1103515245
    add rax, 11
    add rsi, 8
    cmp rsi, HEAP + 0x8000
    jb .fill
    ret
program:
    xor eax, eax
.iteration:
    xor ecx, ecx
.word:
    mov rdx, [HEAP + rcx * 8]
    mov [HEAP + 0x10000 + rcx * 8], rdx
    inc ecx
    cmp ecx, 0x1000
    jb .word
    mov r8, rdi
    and r8d, 0x7ff8
    add rax, [HEAP + 0x10000 + r8]
    inc qword [HEAP + r8]
    dec rdi
    jnz .iteration
    ret
