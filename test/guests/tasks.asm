; Task switches by jump, call, return, task gate and interrupt; busy bits, nesting, back links, bad task states.

%include "common32.inc"

TASK1   equ FREE        ; TSS of another task of level 0
TASK3   equ FREE + 8    ; TSS of a task of level 3
TASK_GATE equ FREE + 16
TASK_NP equ FREE + 24
TASK_SHORT equ FREE + 32
TASK_BAD equ FREE + 40  ; its TSS has a bad state
TASK16  equ FREE + 48   ; 16-bit TSS
LDT     equ FREE + 56
CODE_BASED equ FREE + 64

%macro tss_descriptor 3 ; selector, address, upper rights and limit
        mov eax, %2
        mov edx, eax
        shl eax, 16
        or eax, %3 & 0xffff
        shr edx, 16
        mov ecx, edx
        and edx, 0xff
        and ecx, 0xff00
        shl ecx, 16
        or edx, ecx
        or edx, %3 >> 8 & 0xff00
        mov bx, %1
        call set_descriptor
%endmacro

; Shows what a TSS and the descriptor of a task say now.
show_state:
        say " busy "
        movzx eax, byte [gdt + TSS + 5]
        show eax
        movzx eax, byte [gdt + TASK1 + 5]
        show eax
        movzx eax, byte [gdt + TASK3 + 5]
        show eax
        say " links "
        show [tss]
        show [tss1]
        show [tss3]
        xor eax, eax
        str ax
        say " tr "
        show eax
        pushf
        pop eax
        and eax, 0x7200
        say " flags "
        show eax
        mov eax, cr0
        and eax, 9
        say " cr0 "
        show eax
        clts
        call newline
        ret

main:
        tss_descriptor TASK1, tss1, 0x00890067
        tss_descriptor TASK3, tss3, 0x00e90067
        tss_descriptor TASK_NP, tss1, 0x00090067
        tss_descriptor TASK_SHORT, tss1, 0x00890066
        tss_descriptor TASK_BAD, tss_bad, 0x00890067
        tss_descriptor TASK16, tss16, 0x0081002b
        descriptor TASK_GATE, TASK1 << 16, 0x0000e500
        descriptor LDT, 0x0000ffff, 0x00008200
        descriptor CODE_BASED, 0x0000ffff, 0x00009a10
        mov eax, cr3
        mov [tss1 + 0x1c], eax
        mov [tss3 + 0x1c], eax
        call show_state

        say "call", 10
        call TASK1:0
        call show_state
        say "jump", 10
        mov dword [tss1 + 0x20], jumped
        jmp TASK1:0
        call show_state
        say "call by gate", 10
        mov dword [tss1 + 0x20], task1
        call TASK_GATE:0
        call show_state
        say "interrupt by gate", 10
        mov word [idt + 0x32 * 8 + 2], TASK_GATE
        mov word [idt + 0x32 * 8 + 2], TASK1
        mov byte [idt + 0x32 * 8 + 5], 0x85
        mov dword [tss1 + 0x20], task1
        mov eax, 0x12345678
        int 0x32
        show eax
        call show_state
        say "exception by gate", 10
        mov word [idt + 13 * 8 + 2], TASK1
        mov byte [idt + 13 * 8 + 5], 0x85
        mov dword [tss1 + 0x20], task_of_fault
        mov eax, 0x3f8
fault:  mov es, eax
after_fault:
        mov byte [idt + 13 * 8 + 5], 0x8e
        mov word [idt + 13 * 8 + 2], CODE
        call show_state
        say "registers come with the task", 10
        mov ecx, 1
        mov edx, 2
        mov ebx, 3
        mov ebp, 4
        mov esi, 5
        mov edi, 6
        mov dword [tss1 + 0x20], show_registers
        call TASK1:0
        show ecx
        show edx
        show ebx
        show ebp
        show esi
        show edi
        call newline
        say "level 3", 10
        check "to level 3"
        jmp TASK3:0
        endcheck
        ; The handler ran in the task of level 3: back to the first one.
        call show_state
        check "back"
        jmp TSS:0
        endcheck
        call show_state

        say "refused", 10
        check "busy"
        call TSS:0
        endcheck
        check "not present"
        call TASK_NP:0
        endcheck
        check "too short"
        call TASK_SHORT:0
        endcheck
        check "from level 3"
        mov eax, .user
        jmp to_user
.user:  call TASK1:0
        endcheck
        check "iret without a task to return to"
        mov word [tss], 0
        push dword 0x4002
        popf
        iret
        endcheck
        check "iret to an available task"
        mov word [tss], TASK1
        push dword 0x4002
        popf
        iret
        endcheck

        say "16 bits", 10
        call TASK16:0
        call show_state
        show [tss16 + 14]
        show [tss16 + 0x12]
        call newline
        finish

task1:  say " in task 1:"
        call show_state
        iret
        say " again in task 1:"
        call show_state
        iret

jumped: say " in task 1:"
        call show_state
        jmp TSS:0

task_of_fault:
        pop eax
        say " in task 1, error "
        show eax
        call show_state
        mov dword [tss + 0x20], after_fault
        mov dword [tss + 0x28], 0
        iret

show_registers:
        show eax
        show ecx
        show edx
        show ebx
        show esp
        show ebp
        show esi
        show edi
        mov eax, gs
        show eax
        sldt eax
        and eax, 0xffff
        show eax
        call newline
        iret

task3:  mov eax, cs
        mov ebx, ss
        int 0x30

        bits 16
task_of_16_bits:
        iret
        bits 32

        align 16
%macro task 6 ; EIP, ESP, CS, data, EFLAGS, LDT
        dd 0, kernel_stack_top, DATA, 0, 0, 0, 0
        dd 0, %1, %5
        dd 0x11111111, 0x22222222, 0x33333333, 0x44444444, %2, 0x55555555, 0x66666666, 0x77777777
        dd %4, %3, %4, %4, %4, %4, %6, 0
%endmacro
tss1:   task task1, stack1_top, CODE, DATA, 2, LDT
tss3:   task task3, user_stack_top, USER_CODE, USER_DATA, 2, 0
tss_bad: task task1, stack1_top, DATA, DATA, 2, 0
tss16:  dw 0, 0, 0, 0, 0, 0, 0
        dw task_of_16_bits - 0x100000, 2
        dw 1, 2, 3, 4, 0x7000, 6, 7, 8
        dw DATA, CODE_BASED, DATA, DATA, 0

        memory
