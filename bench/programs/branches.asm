; Branches that nobody can foresee: on bits of a random sequence. 1000 of each an iteration.
%include "bench.inc"
setup:
    ret
program:
    mov rbx, 88172645463325252
    xor eax, eax
.iteration:
    mov ecx, 1000
.round:
    mov rdx, rbx
    shl rdx, 13
    xor rbx, rdx
    mov rdx, rbx
    shr rdx, 7
    xor rbx, rdx
    mov rdx, rbx
    shl rdx, 17
    xor rbx, rdx
    test bl, 1
    jz .even
    add rax, rbx
    jmp .second
.even:
    xor rax, rbx
.second:
    test bl, 4
    jz .less
    inc rax
    jmp .done
.less:
    sub rax, 3
.done:
    dec ecx
    jnz .round
    dec rdi
    jnz .iteration
    ret
