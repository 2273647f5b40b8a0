; Product of two matrices of 32 by 32 integers.
%include "bench.inc"
A equ HEAP
B equ HEAP + 0x1000
C equ HEAP + 0x2000
setup:
    xor ecx, ecx
.element:
    imul eax, ecx, 2654435
    mov [A + rcx * 4], eax
    not eax
    mov [B + rcx * 4], eax
    inc ecx
    cmp ecx, 1024
    jb .element
    ret
program:
    xor eax, eax
.iteration:
    xor ecx, ecx
.row:
    xor ebx, ebx
.column:
    mov esi, ecx
    shl esi, 7
    lea edx, [rbx * 4]
    xor r8d, r8d
    mov r10d, 32
.product:
    mov r9d, [A + rsi]
    imul r9d, [B + rdx]
    add r8d, r9d
    add esi, 4
    add edx, 128
    dec r10d
    jnz .product
    mov edx, ecx
    shl edx, 5
    add edx, ebx
    mov [C + rdx * 4], r8d
    inc ebx
    cmp ebx, 32
    jb .column
    inc ecx
    cmp ecx, 32
    jb .row
    add rax, [C + 0x200]
    inc dword [A + 0x80]
    dec rdi
    jnz .iteration
    ret
