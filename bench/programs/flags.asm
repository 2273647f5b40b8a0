; The flags through the stack: 100 times PUSHF and POPF an iteration.
%include "bench.inc"
setup:
    ret
program:
    xor eax, eax
.iteration:
    mov ecx, 100
.one:
    pushfq
    add rax, [rsp]
    popfq
    dec ecx
    jnz .one
    dec rdi
    jnz .iteration
    ret
