; An interpreter for bytecode that jumps through a table from each instruction to the next.
%include "bench.inc"
setup:
    ret
program:
    mov eax, 1
    mov ebx, 7
.iteration:
    mov esi, code
    mov ecx, 50
%macro next 0
    movzx edx, byte [rsi]
    inc rsi
    jmp [table + rdx * 8]
%endmacro
    next
op_add:
    add rax, rbx
    next
op_xor:
    xor rbx, rax
    next
op_triple:
    lea rax, [rax + rax * 2]
    next
op_step:
    add rbx, 5
    next
op_mix:
    mov rdx, rbx
    shr rdx, 3
    xor rax, rdx
    next
op_rotate:
    rol rbx, 1
    next
op_not:
    not rax
    next
op_loop:
    dec ecx
    jz op_end
    mov esi, code
    next
op_end:
    dec rdi
    jnz program.iteration
    xor rax, rbx
    ret
code:
    db 0, 1, 2, 3, 4, 5, 6, 1, 3, 5, 2, 0, 4, 6, 1, 7
    align 8
table:
    dq op_add, op_xor, op_triple, op_step, op_mix, op_rotate, op_not, op_loop
