; Products of 64 by 64 bits, all 128 of them used: 1000 an iteration.
%include "bench.inc"
setup:
    ret
program:
    mov rax, 0x123456789abcdef
    mov rsi, 0xdeadbeefcafebabe
    xor ebx, ebx
.iteration:
    mov ecx, 1000
.round:
    mul rsi
    xor rax, rdx
    add rbx, rax
    dec ecx
    jnz .round
    dec rdi
    jnz .iteration
    mov rax, rbx
    ret
