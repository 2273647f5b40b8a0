; Follows pointers through 32 MiB: hardly a step stays in a cache, and few pages are in the TLB. 1000 steps an iteration.
%include "bench.inc"
COUNT equ 1 << 22
setup:
    ; Element i leads to element (i * 1664525 + 1013904223) mod COUNT: one cycle through all.
    xor ecx, ecx
.element:
    imul eax, ecx, 1664525
    add eax, 1013904223
    and eax, COUNT - 1
    lea rax, [HEAP + rax * 8]
    mov [HEAP + rcx * 8], rax
    inc ecx
    cmp ecx, COUNT
    jb .element
    ret
program:
    mov eax, HEAP
.iteration:
    mov ecx, 1000
.step:
    mov rax, [rax]
    dec ecx
    jnz .step
    dec rdi
    jnz .iteration
    ret
