; 64-bit mode: levels, stacks of the TSS and of the interrupt stack table, double fault, SYSCALL and SYSENTER, SWAPGS, MSRs.

%include "common64.inc"

        bits 64
GATE64  equ FREE        ; and FREE + 8: call gate for level 3
DATA_NP equ FREE + 16
CODE_NP equ FREE + 24

%macro msr 3 ; index, high, low
        mov ecx, %1
        mov edx, %2
        mov eax, %3
        wrmsr
%endmacro
%macro show_msr 1
        mov ecx, %1
        rdmsr
        shl rdx, 32
        or rax, rdx
        show64 rax
%endmacro
%macro gate64 4 ; vector, target, IST, rights
        mov rax, %2
        mov [idt + %1 * 16], ax
        mov word [idt + %1 * 16 + 2], CODE64
        mov byte [idt + %1 * 16 + 4], %3
        mov byte [idt + %1 * 16 + 5], %4
        shr rax, 16
        mov [idt + %1 * 16 + 6], ax
        shr rax, 16
        mov [idt + %1 * 16 + 8], eax
        mov dword [idt + %1 * 16 + 12], 0
%endmacro

main64:
        check64 "interrupt from a crooked stack"
        sub rsp, 3
        int 0x20
        endcheck64
        user64 "interrupt from level 3"
        user64_end
        user64 "int3"
        int3
        user64_end
        user64 "hlt"
        hlt
        user64_end
        user64 "undefined"
        ud2
        user64_end
        user64 "push es is no instruction"
        db 0x06
        user64_end
        user64 "far call with an immediate is no instruction"
        db 0x9a, 0, 0, 0, 0, 8, 0
        user64_end
        user64 "swapgs"
        swapgs
        user64_end
        user64 "rdmsr"
        rdmsr
        user64_end
        user64 "mov cr8"
        mov rax, cr8
        user64_end
        user64 "load the supervisor's data"
        mov eax, DATA
        mov es, eax
        user64_end
        user64 "load a null stack"
        mov eax, 3
        mov ss, eax
        user64_end
        user64 "iret to level 0"
        push DATA
        push stack_top
        push 2
        push CODE64
        push main64
        iretq
        user64_end

        say64 "interrupt stacks", 10
        gate64 0x21, stubs64 + 0x21 * 16, 1, 0x8e
        check64 "stack 1 at level 0"
        int 0x21
        endcheck64
        gate64 0x21, stubs64 + 0x21 * 16, 2, 0xee
        user64 "stack 2 from level 3"
        int 0x21
        user64_end
        gate64 0x21, stubs64 + 0x21 * 16, 3, 0x8e
        check64 "stack 3, which is null"
        mov rax, 0x800000000000
        mov [tss64 + 0x24 + 16], rax
        int 0x21
        endcheck64
        gate64 0x21, stubs64 + 0x21 * 16, 0, 0x8f
        check64 "trap gate keeps IF"
        sti
        int 0x21
        endcheck64
        cli
        mov byte [idt + 0x22 * 16 + 5], 0x8e
        mov word [idt + 0x22 * 16 + 2], CODE
        check64 "gate to 32-bit code"
        int 0x22
        endcheck64
        mov word [idt + 0x22 * 16 + 2], DATA
        check64 "gate to data"
        int 0x22
        endcheck64
        mov word [idt + 0x22 * 16 + 2], 0
        check64 "gate to null"
        int 0x22
        endcheck64
        say64 "double fault", 10
        gate64 8, stubs64 + 8 * 16, 2, 0x8e
        check64 "page fault without a stack"
        mov rsp, 0x7000000000
        mov rax, [rsp]
        endcheck64
        check64 "not present while general protection"
        mov byte [idt + 13 * 16 + 5], 0x0e
        mov eax, 0x3f8
        mov es, eax
        endcheck64
        mov byte [idt + 13 * 16 + 5], 0x8e
        check64 "not present while page fault"
        mov byte [idt + 14 * 16 + 5], 0x0e
        mov rcx, 0x7000000000
        mov rax, [rcx]
        endcheck64
        mov byte [idt + 14 * 16 + 5], 0x8e

        say64 "syscall", 10
        msr 0xc0000081, 0x00530040, 0
        msr 0xc0000082, 0, syscall_target
        msr 0xc0000084, 0, 0x200
        check64 "without SCE"
        mov ecx, 0xc0000080
        rdmsr
        and eax, ~1
        wrmsr
        syscall
        endcheck64
        mov ecx, 0xc0000080
        rdmsr
        or eax, 1
        wrmsr
        ; Selectors by convention: 40h code of level 0, 48h its stack; 60h code and 58h stack of level 3.
        user64 "syscall and sysret"
        mov rbx, rsp
        syscall
        sub rbx, rsp
        user64_end
        check64 "sysret to 32 bits"
        mov ecx, user32
        mov r11d, 0x3ad7
        sysret
        endcheck64
        check64 "sysret to 64 bits"
        mov ecx, user_int
        mov r11, 0xfffffffffffc7ad7
        mov rsp, user_stack_top
        o64 sysret
        endcheck64
        user64 "sysret from level 3"
        o64 sysret
        user64_end
        check64 "syscall at level 0"
        mov ebx, 0x1234
        syscall
        endcheck64
        say64 "sysenter", 10
        msr 0x174, 0, 0
        check64 "without a selector"
        sysenter
        endcheck64
        msr 0x174, 0, 0x40
        msr 0x175, 0, kernel_stack_top
        msr 0x176, 0, sysenter_target
        user64 "sysenter"
        mov rcx, rsp
        lea rdx, [rel user_int]
        sysenter
        user64_end
        user64 "sysexit from level 3"
        sysexit
        user64_end

        say64 "bases", 10
        msr 0xc0000100, 0x12, 0x34567890
        msr 0xc0000101, 0xffff8001, 0x11111111
        msr 0xc0000102, 0x00000022, 0x22222222
        show_msr 0xc0000100
        show_msr 0xc0000101
        swapgs
        show_msr 0xc0000101
        show_msr 0xc0000102
        call newline64
        msr 0xc0000101, 0, resume_rsp
        check64 "through gs "
        mov rax, [gs:0]
        sub rax, [resume_rsp]
        show64 rax
        endcheck64
        mov eax, DATA
        mov gs, eax
        show_msr 0xc0000101
        call newline64
        check64 "EFER "
        show_msr 0xc0000080
        endcheck64
        check64 "CR8 "
        mov eax, 5
        mov cr8, rax
        mov rax, cr8
        show64 rax
        xor eax, eax
        mov cr8, rax
        endcheck64
        check64 "CR1"
        db 0x0f, 0x20, 0xc8
        endcheck64
        check64 "DR9"
        db 0x44, 0x0f, 0x21, 0xc8
        endcheck64

        say64 "descriptors", 10
        check64 "load 64-bit code into ds"
        mov eax, CODE64
        mov ds, eax
        endcheck64
        check64 "iret with a null stack"
        push 0
        push stack_top
        push 2
        push CODE64
        push null_stack
        iretq
        endcheck64
        jmp after_null
null_stack:
        mov eax, ss
        show64 rax
        int 0x20
after_null:
        check64 "iret with NT"
        push 0x4002
        popf
        push DATA
        push stack_top
        push 2
        push CODE64
        push main64
        iretq
        endcheck64
        check64 "far call through a gate"
        mov rax, gate_target
        mov [gdt + FREE + 16], ax
        mov word [gdt + FREE + 18], CODE64
        mov word [gdt + FREE + 20], 0xec00
        shr rax, 16
        mov [gdt + FREE + 22], ax
        mov qword [gdt + FREE + 24], 0
        mov rax, rsp
        call dword far [rel gate_pointer]
        sub rax, rsp
        show64 rax
        endcheck64
        user64 "far call through a gate from level 3"
        mov rbx, rsp
        call dword far [rel gate_pointer]
        sub rbx, rsp
        user64_end
        check64 "far call to 32-bit code"
        call dword far [rel code32_pointer]
        show64 rbx
        endcheck64
        check64 "far jump to data"
        mov word [gate_pointer + 4], DATA
        jmp dword far [rel gate_pointer]
        endcheck64
        check64 "lldt of 16 bytes "
        mov qword [gdt + FREE + 32], 0
        mov word [gdt + FREE + 32], 0xff
        mov word [gdt + FREE + 34], 0x4000
        mov byte [gdt + FREE + 37], 0x82
        mov qword [gdt + FREE + 40], 0
        mov eax, FREE + 32
        lldt ax
        sldt rax
        show64 rax
        endcheck64
        check64 "ltr of a busy TSS"
        mov eax, TSS64
        ltr ax
        endcheck64
        check64 "str "
        mov rax, -1
        str eax
        show64 rax
        endcheck64
        finish64

gate_target:
        say64 " gate: cs "
        mov eax, cs
        show64 rax
        mov eax, ss
        show64 rax
        show64 rsp
        mov rax, [rsp]
        show64 rax
        mov rax, [rsp + 8]
        show64 rax
        o64 retf

syscall_target:
        say64 " cs "
        mov eax, cs
        show64 rax
        mov eax, ss
        show64 rax
        show64 rcx
        show64 r11
        pushf
        pop rax
        show64 rax
        cmp ebx, 0x1234
        je .end
        o64 sysret
.end:   int 0x20

sysenter_target:
        push rcx
        say64 " sysenter: cs "
        mov eax, cs
        show64 rax
        mov eax, ss
        show64 rax
        show64 rsp
        pop rcx
        o64 sysexit

user_int:
        int 0x30

        bits 32
user32: int 0x30
code32: mov eax, cs
        mov ebx, eax
        db 0xcb

        align 8
gate_pointer:
        dd 0x12345678
        dw FREE + 16
code32_pointer:
        dd code32
        dw CODE
        memory
