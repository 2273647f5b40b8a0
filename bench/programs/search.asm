; Binary search in 4096 sorted numbers: 100 searches an iteration.
%include "bench.inc"
COUNT equ 4096
setup:
    xor ecx, ecx
.element:
    imul rax, rcx, 7919
    mov [HEAP + rcx * 8], rax
    inc ecx
    cmp ecx, COUNT
    jb .element
    ret
program:
    mov ebx, 1
    xor eax, eax
.iteration:
    mov ecx, 100
.search:
    imul ebx, ebx, 1103515245
    add ebx, 12345
    mov esi, ebx
    shr esi, 7
    xor edx, edx
    mov r8d, COUNT
.halve:
    lea r9d, [rdx + r8]
    shr r9d, 1
    cmp [HEAP + r9 * 8], rsi
    ja .left
    lea edx, [r9 + 1]
    jmp .check
.left:
    mov r8d, r9d
.check:
    cmp edx, r8d
    jb .halve
    add rax, rdx
    dec ecx
    jnz .search
    dec rdi
    jnz .iteration
    ret
