; A hash table with open addressing: 1000 look-ups or insertions an iteration.
%include "bench.inc"
SLOTS equ 1 << 15
setup:
    mov edi, HEAP
    mov ecx, SLOTS
    xor eax, eax
    rep stosq
    ret
program:
    mov rbx, 88172645463325252
    xor eax, eax
    mov r9, 0x9e3779b97f4a7c15
.iteration:
    mov ecx, 1000
.key:
    mov rdx, rbx
    shl rdx, 13
    xor rbx, rdx
    mov rdx, rbx
    shr rdx, 7
    xor rbx, rdx
    mov rdx, rbx
    shl rdx, 17
    xor rbx, rdx
    mov esi, ebx
    and esi, 0x3fff
    inc esi
    mov rdx, rsi
    imul rdx, r9
    shr rdx, 49
.probe:
    mov r8, [HEAP + rdx * 8]
    test r8, r8
    jz .insert
    cmp r8, rsi
    je .found
    inc edx
    and edx, SLOTS - 1
    jmp .probe
.insert:
    mov [HEAP + rdx * 8], rsi
.found:
    add rax, rdx
    dec ecx
    jnz .key
    dec rdi
    jnz .iteration
    ret
