; Debug exceptions: single steps, breakpoints for execution and data, DR4 and DR5.

%include "common32.inc"

BREAK0  equ 0x00000401

main:
        mov dword [after_exception], traced
        say "single steps", 10
        push dword 0x102
        popf
        nop
        mov eax, 1
        mov ecx, 3
        mov edi, scratch
        rep stosb
        cmp eax, eax
        push eax
        pop dword [scratch + 4]
        pushf
        pop eax
        and eax, 0x100
        push dword 2
        popf
        show eax
        call newline

        say "steps over a software interrupt", 10
        push dword 0x102
        popf
        int 0x20
        nop
        push dword 2
        popf
        say "steps and a stack", 10
        mov eax, ss
        push dword 0x102
        popf
        mov ss, eax
        nop
        nop
        push dword 2
        popf
        say "steps into iret", 10
        pushf
        pop eax
        or eax, 0x100
        push eax
        push dword CODE
        push dword .target
        iret
.target:
        nop
        push dword 2
        popf

        mov dword [after_exception], traced
        say "execution", 10
        mov eax, .here
        mov dr0, eax
        mov eax, BREAK0 + 2
        mov dr7, eax
        nop
.here:  nop
        nop
        say "execution with RF", 10
        pushf
        pop eax
        or eax, 0x10000
        push eax
        push dword CODE
        push dword .here2
        mov eax, .here2
        mov dr0, eax
        iret
.here2: nop
        nop
        say "data writes", 10
        mov eax, scratch
        mov dr1, eax
        mov eax, 0x00d00408
        mov dr7, eax
        mov dword [scratch], 1
        mov eax, [scratch]
        mov byte [scratch + 3], 1
        mov byte [scratch + 4], 1
        mov word [scratch - 1], 1
        mov dword [scratch - 4], 1
        say "data accesses", 10
        mov eax, 0x00f00408
        mov dr7, eax
        mov eax, [scratch]
        mov al, [scratch + 2]
        inc dword [scratch]
        mov al, [scratch + 4]
        push dword [scratch]
        pop eax
        xor eax, eax
        mov dr7, eax

        say "registers", 10
        mov dword [after_exception], 0
        check "dr4 is dr6"
        mov eax, dr4
        show eax
        endcheck
        check "dr5 is dr7"
        mov eax, 0x400
        mov dr5, eax
        mov eax, dr7
        show eax
        endcheck
        mov eax, cr4
        or eax, 8
        mov cr4, eax
        check "dr4 with DE"
        mov eax, dr4
        endcheck
        check "int3"
        int3
        endcheck
        check "int 1"
        int 1
        endcheck
        check "registers "
        mov eax, 0xffffefff
        mov dr6, eax
        mov eax, dr6
        show eax
        xor eax, eax
        mov dr6, eax
        mov eax, dr6
        show eax
        endcheck
        finish

; Goes on where the exception came from.
traced: call newline
        popa
        add esp, 8
        ; The instruction runs now, whatever breakpoint is on it.
        or dword [esp + 8], 0x10000
        iret

        align 4
        dd 0
scratch: dd 0, 0

        memory
