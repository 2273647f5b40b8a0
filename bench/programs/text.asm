; Splits a line of text into words and numbers, byte by byte.
%include "bench.inc"
setup:
    ret
program:
    xor eax, eax
    xor ebx, ebx
.iteration:
    mov esi, line
.next:
    movzx ecx, byte [rsi]
    inc rsi
    test ecx, ecx
    jz .end
    lea edx, [rcx - 'a']
    cmp edx, 25
    jbe .word
    lea edx, [rcx - '0']
    cmp edx, 9
    jbe .number
    jmp .next
.word:
    imul rax, rax, 31
    add rax, rcx
    movzx ecx, byte [rsi]
    inc rsi
    lea edx, [rcx - 'a']
    cmp edx, 25
    jbe .word
    dec rsi
    jmp .next
.number:
    lea ebp, [rbx + rbx * 4]
    lea ebx, [rdx + rbp * 2]
    movzx ecx, byte [rsi]
    inc rsi
    lea edx, [rcx - '0']
    cmp edx, 9
    jbe .number
    dec rsi
    jmp .next
.end:
    dec rdi
    jnz .iteration
    add rax, rbx
    ret
line:
    db 'int main(void) { return compute(1234, width + 77) * 3; } // the end of it', 0
