; Two pictures of 1024 bytes blended by a weight: bytes are unpacked, multiplied, shifted and packed again.
%include "bench.inc"
%include "vectors.inc"
A equ HEAP
B equ HEAP + 0x1000
setup:
    enable_vectors
    xor ecx, ecx
.byte:
    imul eax, ecx, 73
    mov [A + rcx], al
    xor al, 0x5a
    rol al, 3
    mov [B + rcx], al
    inc ecx
    cmp ecx, 1024
    jb .byte
    ret
    align 16
weights: times 8 dw 90
others:  times 8 dw 166
halves:  times 8 dw 128
program:
    xor eax, eax
    pxor xmm7, xmm7
    movdqa xmm6, [weights]
    movdqa xmm5, [others]
    movdqa xmm4, [halves]
.iteration:
    pxor xmm8, xmm8
    xor ecx, ecx
.block:
    movdqa xmm0, [A + rcx]
    movdqa xmm1, xmm0
    punpcklbw xmm0, xmm7
    punpckhbw xmm1, xmm7
    movdqu xmm2, [B + rcx]
    movdqa xmm3, xmm2
    punpcklbw xmm2, xmm7
    punpckhbw xmm3, xmm7
    pmullw xmm0, xmm6
    pmullw xmm1, xmm6
    pmullw xmm2, xmm5
    pmullw xmm3, xmm5
    paddw xmm0, xmm2
    paddw xmm1, xmm3
    paddw xmm0, xmm4
    paddw xmm1, xmm4
    psrlw xmm0, 8
    psrlw xmm1, 8
    packuswb xmm0, xmm1
    movdqa [A + rcx], xmm0
    psadbw xmm0, xmm7
    paddq xmm8, xmm0
    add ecx, 16
    cmp ecx, 1024
    jb .block
    movq rdx, xmm8
    add rax, rdx
    inc byte [B + 5]
    dec rdi
    jnz .iteration
    ret
