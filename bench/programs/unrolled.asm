; A loop of 480 floating-point instructions, unrolled: much code becomes hot at once. Packed doubles follow x ← a·x·(1 − x).
%include "bench.inc"
%include "vectors.inc"
setup:
    enable_vectors
    ret
    align 16
start_at: dq 0.3, 0.4
rates:    dq 3.7, 3.9
ones:     dq 1.0, 1.0
program:
    movapd xmm0, [start_at]
    movapd xmm6, [rates]
    movapd xmm7, [ones]
.iteration:
    mov ecx, 10
.round:
%rep 120
    movapd xmm1, xmm7
    subpd xmm1, xmm0
    mulpd xmm0, xmm6
    mulpd xmm0, xmm1
%endrep
    dec ecx
    jnz .round
    dec rdi
    jnz .iteration
    movq rax, xmm0
    unpckhpd xmm0, xmm0
    movq rdx, xmm0
    xor rax, rdx
    ret
