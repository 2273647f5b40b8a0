; Looks for a byte in 4 KiB, 16 bytes at a time, as strlen and memchr do.
%include "bench.inc"
%include "vectors.inc"
setup:
    enable_vectors
    mov edi, HEAP
    mov ecx, 4096
    mov al, 'x'
    rep stosb
    mov byte [HEAP + 4090], 0
    ret
program:
    xor eax, eax
.iteration:
    pxor xmm0, xmm0
    mov esi, HEAP
.block:
    movdqa xmm1, [rsi]
    pcmpeqb xmm1, xmm0
    pmovmskb edx, xmm1
    add rsi, 16
    test edx, edx
    jz .block
    bsf edx, edx
    lea rdx, [rsi + rdx - 16]
    add rax, rdx
    dec rdi
    jnz .iteration
    ret
