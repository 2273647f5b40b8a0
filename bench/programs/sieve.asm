; The sieve of Eratosthenes over 64 KiB.
%include "bench.inc"
SIZE equ 0x10000
setup:
    ret
program:
    xor eax, eax
.iteration:
    mov esi, HEAP
    mov ecx, SIZE / 8
    mov rdx, 0x0101010101010101
.fill:
    mov [rsi], rdx
    add rsi, 8
    dec ecx
    jnz .fill
    mov ecx, 2
.next:
    cmp byte [HEAP + rcx], 0
    je .composite
    mov edx, ecx
    imul edx, ecx
.cross:
    mov byte [HEAP + rdx], 0
    add edx, ecx
    cmp edx, SIZE
    jb .cross
.composite:
    inc ecx
    cmp ecx, 256
    jb .next
    xor ecx, ecx
.count:
    movzx edx, byte [HEAP + rcx]
    add rax, rdx
    inc ecx
    cmp ecx, SIZE
    jb .count
    dec rdi
    jnz .iteration
    ret
