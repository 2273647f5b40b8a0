; Arithmetic in registers, nothing else: 1000 rounds an iteration.
%include "bench.inc"
setup:
    ret
program:
    mov eax, 1
    mov ebx, 2
    mov esi, 3
.iteration:
    mov ecx, 1000
.round:
    add rax, rbx
    xor rbx, rax
    lea rsi, [rsi + rax * 2 + 5]
    sub rbx, rsi
    ror rsi, 7
    dec ecx
    jnz .round
    dec rdi
    jnz .iteration
    xor rax, rsi
    ret
