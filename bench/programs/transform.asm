; Products of a matrix of 4 by 4 singles with 256 vectors.
%include "bench.inc"
%include "vectors.inc"
setup:
    enable_vectors
    xor ecx, ecx
.number:
    lea eax, [rcx + 3]
    cvtsi2ss xmm0, eax
    movss [HEAP + rcx * 4], xmm0
    inc ecx
    cmp ecx, 1024
    jb .number
    ret
    align 16
matrix:
    dd 0.5, 0.25, 0.125, 0.0625
    dd 0.25, 0.5, 0.0625, 0.125
    dd 0.125, 0.0625, 0.5, 0.25
    dd 0.0625, 0.125, 0.25, 0.0
program:
    xor eax, eax
    movaps xmm8, [matrix]
    movaps xmm9, [matrix + 16]
    movaps xmm10, [matrix + 32]
    movaps xmm11, [matrix + 48]
.iteration:
    mov esi, HEAP
    mov ecx, 256
.vector:
    movaps xmm0, [rsi]
    movaps xmm1, xmm0
    shufps xmm1, xmm1, 0x00
    mulps xmm1, xmm8
    movaps xmm2, xmm0
    shufps xmm2, xmm2, 0x55
    mulps xmm2, xmm9
    addps xmm1, xmm2
    movaps xmm2, xmm0
    shufps xmm2, xmm2, 0xaa
    mulps xmm2, xmm10
    addps xmm1, xmm2
    shufps xmm0, xmm0, 0xff
    mulps xmm0, xmm11
    addps xmm1, xmm0
    movaps [rsi], xmm1
    add esi, 16
    dec ecx
    jnz .vector
    movd edx, xmm1
    add rax, rdx
    ; New numbers before these become too small.
    test edi, 15
    jnz .next
    push rdi
    push rax
    call setup
    pop rax
    pop rdi
.next:
    dec rdi
    jnz .iteration
    ret
