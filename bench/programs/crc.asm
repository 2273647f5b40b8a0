; CRC-32 of 4 KiB by a table.
%include "bench.inc"
TABLE equ HEAP + 0x10000
setup:
    xor ecx, ecx
.entry:
    mov eax, ecx
    mov edx, 8
.bit:
    shr eax, 1
    jnc .clear
    xor eax, 0xedb88320
.clear:
    dec edx
    jnz .bit
    mov [TABLE + rcx * 4], eax
    mov [HEAP + rcx], al
    inc ecx
    cmp ecx, 256
    jb .entry
    ret
program:
    mov eax, -1
.iteration:
    xor ecx, ecx
.byte:
    movzx edx, byte [HEAP + rcx]
    xor dl, al
    shr eax, 8
    xor eax, [TABLE + rdx * 4]
    inc ecx
    cmp ecx, 0x1000
    jb .byte
    dec rdi
    jnz .iteration
    not eax
    ret
