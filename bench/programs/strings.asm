; String instructions with REP: 4 KiB stored, copied and compared.
%include "bench.inc"
setup:
    ret
program:
    mov r8, rdi
    xor ebx, ebx
.iteration:
    mov eax, r8d
    mov edi, HEAP
    mov ecx, 4096
    rep stosb
    mov esi, HEAP
    mov edi, HEAP + 0x2000
    mov ecx, 512
    rep movsq
    mov esi, HEAP
    mov edi, HEAP + 0x2000
    mov ecx, 4096
    repe cmpsb
    add rbx, rcx
    add rbx, [HEAP + 0x2010]
    dec r8
    jnz .iteration
    mov rax, rbx
    ret
