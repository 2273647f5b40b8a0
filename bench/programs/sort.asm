; Shell sort of 1024 random numbers.
%include "bench.inc"
COUNT equ 1024
setup:
    ret
program:
    mov r9d, 12345
    xor r10d, r10d
.iteration:
    xor ecx, ecx
.fill:
    imul r9d, r9d, 1103515245
    add r9d, 12345
    mov [HEAP + rcx * 4], r9d
    inc ecx
    cmp ecx, COUNT
    jb .fill
    mov ebx, COUNT / 2
.gap:
    mov ecx, ebx
.element:
    mov eax, [HEAP + rcx * 4]
    mov edx, ecx
.shift:
    mov esi, edx
    sub esi, ebx
    jb .place
    mov r8d, [HEAP + rsi * 4]
    cmp r8d, eax
    jbe .place
    mov [HEAP + rdx * 4], r8d
    mov edx, esi
    jmp .shift
.place:
    mov [HEAP + rdx * 4], eax
    inc ecx
    cmp ecx, COUNT
    jb .element
    shr ebx, 1
    jnz .gap
    mov eax, [HEAP + 400]
    add r10, rax
    dec rdi
    jnz .iteration
    mov rax, r10
    ret
