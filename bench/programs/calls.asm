; Recursive calls: the fifteenth Fibonacci number.
%include "bench.inc"
setup:
    ret
program:
    xor ebx, ebx
.iteration:
    mov esi, 15
    call fibonacci
    add rbx, rax
    dec rdi
    jnz .iteration
    mov rax, rbx
    ret
fibonacci:
    cmp rsi, 2
    jae .more
    mov rax, rsi
    ret
.more:
    push rsi
    dec rsi
    call fibonacci
    pop rsi
    push rax
    sub rsi, 2
    call fibonacci
    pop rdx
    add rax, rdx
    ret
