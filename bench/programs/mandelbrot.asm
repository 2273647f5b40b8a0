; Points of the Mandelbrot set, two at a time in packed doubles, which are compared and masked.
%include "bench.inc"
%include "vectors.inc"
setup:
    enable_vectors
    ret
    align 16
four:   dq 4.0, 4.0
ones:   dq 1.0, 1.0
left:   dq -2.0, -1.96875
stride: dq 0.0625, 0.0625
bottom: dq -1.1, -1.1
program:
    xor eax, eax
.iteration:
    movapd xmm8, [left]
    movapd xmm9, [bottom]
    mov ecx, 16
.points:
    xorpd xmm0, xmm0
    xorpd xmm1, xmm1
    xorpd xmm7, xmm7
    mov edx, 60
.again:
    movapd xmm2, xmm0
    mulpd xmm2, xmm0
    movapd xmm3, xmm1
    mulpd xmm3, xmm1
    movapd xmm4, xmm2
    addpd xmm4, xmm3
    cmpltpd xmm4, [four]
    movmskpd r8d, xmm4
    test r8d, r8d
    jz .out
    andpd xmm4, [ones]
    addpd xmm7, xmm4
    mulpd xmm1, xmm0
    addpd xmm1, xmm1
    addpd xmm1, xmm9
    movapd xmm0, xmm2
    subpd xmm0, xmm3
    addpd xmm0, xmm8
    dec edx
    jnz .again
.out:
    haddpd xmm7, xmm7
    cvttsd2si r8, xmm7
    add rax, r8
    addpd xmm8, [stride]
    addpd xmm9, [stride]
    dec ecx
    jnz .points
    dec rdi
    jnz .iteration
    ret
