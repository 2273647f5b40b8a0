; Code that is changed before each call: 100 changes an iteration.
%include "bench.inc"
setup:
    ret
program:
    xor eax, eax
.iteration:
    mov ecx, 100
.change:
    mov [patched + 2], cl
    call patched_code
    dec ecx
    jnz .change
    dec rdi
    jnz .iteration
    ret
    align 256
patched_code:
patched:
    add eax, 1
    ret
    align 256
