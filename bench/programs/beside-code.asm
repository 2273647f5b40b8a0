; Counters right behind the instructions that count, as small programs have them: 300 stores an iteration.
%include "bench.inc"
setup:
    ret
program:
    xor eax, eax
    mov [first], rax
.iteration:
    mov ecx, 100
.count:
    mov rax, [first]
    lea rax, [rax + rax * 2 + 1]
    mov [first], rax
    inc dword [second]
    add [third], ecx
    dec ecx
    jnz .count
    dec rdi
    jnz .iteration
    mov rax, [first]
    ret
first: dq 0
second: dd 0
third: dd 0
