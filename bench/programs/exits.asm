; Writes to an I/O port that leave the guest: 100 an iteration.
%include "bench.inc"
setup:
    ret
program:
    xor eax, eax
.iteration:
    mov ecx, 100
.one:
    out 0x80, al
    inc eax
    dec ecx
    jnz .one
    dec rdi
    jnz .iteration
    ret
