; Quarter rounds of ChaCha in registers: 32-bit additions, exclusive ors, rotations. 80 an iteration.
%include "bench.inc"
setup:
    ret
program:
    mov eax, 0x61707865
    mov ebx, 0x3320646e
    mov esi, 0x79622d32
    mov edx, 0x6b206574
.iteration:
    mov ecx, 80
.round:
    add eax, ebx
    xor edx, eax
    rol edx, 16
    add esi, edx
    xor ebx, esi
    rol ebx, 12
    add eax, ebx
    xor edx, eax
    rol edx, 8
    add esi, edx
    xor ebx, esi
    rol ebx, 7
    dec ecx
    jnz .round
    dec rdi
    jnz .iteration
    shl rbx, 32
    or rax, rbx
    ret
