; A body around a sun, in steps, with scalar doubles: sums, products, quotients and roots that depend on each other.
%include "bench.inc"
%include "vectors.inc"
setup:
    enable_vectors
    ret
    align 8
one:    dq 1.0
time:   dq 0.001
speed:  dq 0.75
program:
    xor eax, eax
.iteration:
    ; Place (xmm0, xmm1), velocity (xmm2, xmm3).
    movsd xmm0, [one]
    xorpd xmm1, xmm1
    xorpd xmm2, xmm2
    movsd xmm3, [speed]
    movsd xmm7, [time]
    mov ecx, 1000
.step:
    movapd xmm4, xmm0
    mulsd xmm4, xmm4
    movapd xmm5, xmm1
    mulsd xmm5, xmm5
    addsd xmm4, xmm5
    sqrtsd xmm5, xmm4
    mulsd xmm4, xmm5
    movsd xmm6, [one]
    divsd xmm6, xmm4
    mulsd xmm6, xmm7
    movapd xmm4, xmm6
    mulsd xmm4, xmm0
    subsd xmm2, xmm4
    mulsd xmm6, xmm1
    subsd xmm3, xmm6
    movapd xmm4, xmm2
    mulsd xmm4, xmm7
    addsd xmm0, xmm4
    movapd xmm4, xmm3
    mulsd xmm4, xmm7
    addsd xmm1, xmm4
    dec ecx
    jnz .step
    movq rdx, xmm0
    add rax, rdx
    movq rdx, xmm1
    xor rax, rdx
    dec rdi
    jnz .iteration
    ret
