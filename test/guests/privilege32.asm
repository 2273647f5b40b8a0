; Privilege levels in 32-bit protected mode: gates, stack switches, call gates with parameters, returns, IOPL, I/O permissions.

%include "common32.inc"

GATE    equ FREE        ; call gate for level 3, two parameters
GATE0   equ FREE + 8    ; call gate for level 0 only
GATE_NP equ FREE + 16   ; call gate that isn't present
CONFORMING equ FREE + 24
CODE_NP equ FREE + 32
CODE1   equ FREE + 40   ; code of level 1
DATA1   equ FREE + 48
GATE1   equ FREE + 56   ; call gate to level 1
GATE16  equ FREE + 64   ; 16-bit call gate
CODE_BASED equ FREE + 72 ; code of level 0 with a base of 1 MiB

main:
%macro gate 4 ; slot, selector, target, rights and count
        mov eax, %3
        mov edx, eax
        and eax, 0xffff
        or eax, %2 << 16
        and edx, 0xffff0000
        or edx, %4
        mov bx, %1
        call set_descriptor
%endmacro
        gate GATE, CODE, gate_target, 0xec02
        gate GATE0, CODE, gate_target, 0x8c02
        gate GATE_NP, CODE, gate_target, 0x6c02
        gate GATE1, CODE1 | 1, gate_target1, 0xec00
        gate GATE16, CODE_BASED, gate_target16 - 0x100000, 0xe401
        descriptor CODE_BASED, 0x0000ffff, 0x00cf9a10
        descriptor CONFORMING, 0x0000ffff, 0x00cf9e00
        descriptor CODE_NP, 0x0000ffff, 0x00cf1a00
        descriptor CODE1, 0x0000ffff, 0x00cfba00
        descriptor DATA1, 0x0000ffff, 0x00cfb200
        mov dword [tss + 12], stack1_top
        mov dword [tss + 16], DATA1 | 1

        ; %1 name, then instructions of level 3.
%macro user 2+
        check %1
        mov eax, %%user
        jmp to_user
%%user: %2
        int 0x30
        endcheck
%endmacro
        user "software interrupt", nop
        user "int3", int3
%macro user_lines 1
        check %1
        mov eax, %%user
        jmp to_user
%%user:
%endmacro
%macro user_end 0
        int 0x30
        endcheck
%endmacro
        user_lines "into with overflow"
        mov al, 0x7f
        add al, 1
        into
        user_end
        user "interrupt not for level 3", int 0x31
        user "interrupt 13", int 13
        user "interrupt 14", int 14
        user "hlt", hlt
        user "cli", cli
        user "sti", sti
        user "in", in al, 0x40
        user "clts", clts
        user "lgdt", lgdt [gdt_register]
        user "lldt", lldt ax
        user "ltr", ltr ax
        user "mov cr0", mov eax, cr0
        user "mov cr3", mov cr3, eax
        user "mov dr7", mov eax, dr7
        user "wrmsr", wrmsr
        user "rdmsr", rdmsr
        user "invlpg", invlpg [eax]
        user "lmsw", lmsw ax
        user "wbinvd", wbinvd
        user "undefined", ud2
        user_lines "divide by zero"
        xor ecx, ecx
        div ecx
        user_end
        user_lines "bound"
        mov dword [scratch], 1
        mov dword [scratch + 4], 5
        mov eax, 6
        bound eax, [scratch]
        user_end
        user_lines "bound inside"
        mov eax, 5
        bound eax, [scratch]
        user_end

        say "flags", 10
        user_lines "popf keeps IF and IOPL"
        push dword 0x3202
        popf
        pushf
        pop eax
        show eax
        user_end
        mov dword [user_flags], 0x3002
        user_lines "popf with IOPL 3 takes IF"
        push dword 0x0202
        popf
        pushf
        pop eax
        push dword 2
        popf
        user_end
        user "cli with IOPL 3", cli
        user "in with IOPL 3", in al, 0x40
        user_lines "iret to level 3 keeps IOPL"
        pushf
        pop eax
        and eax, 0xffffcfff
        push eax
        push dword USER_CODE
        push dword .back
        iret
.back:  pushf
        pop eax
        show eax
        user_end
        mov dword [user_flags], 2

        say "call gates", 10
        user_lines "call"
        push dword 0x11111111
        push dword 0x22222222
        call GATE:0
        show esp
        user_end
        user_lines "call, RPL 3"
        push dword 0x33333333
        push dword 0x44444444
        call (GATE | 3):0x1234
        show esp
        user_end
        user "jump to an inner level", jmp GATE:0
        user "call not for level 3", call GATE0:0
        user "call not present", call GATE_NP:0
        user "call to level 1", call GATE1:0
        user_lines "call with 16-bit words"
        push word 0x5555
        call GATE16:0
        show esp
        user_end
        check "call at the same level"
        push dword 0x66666666
        push dword 0x77777777
        mov eax, esp
        call GATE:0
        sub eax, esp
        show eax
        endcheck
        check "jump at the same level"
        jmp GATE0:0
        endcheck
        user "call a data segment", call USER_DATA:0
        user "call code of level 0", call CODE:0
        user "jump to code of level 0", jmp CODE:0
        user "call null", call 0:0
        user "call outside of the table", call 0x3f8:0
        user "call code not present", call CODE_NP:0
        check "call code not present"
        call CODE_NP:0
        endcheck
        check "call code of level 3"
        call USER_CODE:0
        endcheck
        check "call the TSS that is busy"
        call TSS:0
        endcheck
        user_lines "conforming code"
        call CONFORMING:conforming_target
        user_end

        say "returns", 10
        user_lines "return to an inner level"
        push dword CODE
        push dword main
        retf
        user_end
        user_lines "return to null"
        push dword 0
        push dword main
        retf
        user_end
        user_lines "iret to an inner level"
        pushf
        push dword CODE
        push dword main
        iret
        user_end
        check "return to level 3 with a bad stack"
        push dword USER_DATA - 3
        push dword user_stack_top
        push dword USER_CODE
        push dword main
        retf
        endcheck
        check "return to level 3 with a null stack"
        push dword 0
        push dword user_stack_top
        push dword USER_CODE
        push dword main
        retf
        endcheck
        check "return to level 3 with released bytes"
        push dword USER_DATA
        push dword user_stack_top - 64
        push dword 0
        push dword 0
        push dword USER_CODE
        push dword .level3
        retf 8
.level3:
        int 0x30
        endcheck
        check "return to level 3 drops segments of level 0"
        mov eax, DATA
        mov fs, eax
        mov eax, USER_DATA
        mov gs, eax
        push dword USER_DATA
        push dword user_stack_top
        push dword USER_CODE
        push dword .dropped
        retf
.dropped:
        mov eax, USER_DATA
        mov ds, eax
        mov eax, fs
        show eax
        mov eax, gs
        show eax
        int 0x30
        endcheck

        say "segments", 10
        user_lines "load data of level 0"
        mov eax, DATA
        mov es, eax
        user_end
        user_lines "load code of level 0"
        mov eax, CODE
        mov es, eax
        user_end
        user_lines "load conforming code"
        mov eax, CONFORMING
        mov es, eax
        mov eax, es
        show eax
        user_end
        user_lines "load a stack of level 0"
        mov eax, DATA
        mov ss, eax
        user_end
        user_lines "load a null stack"
        xor eax, eax
        mov ss, eax
        user_end
        user_lines "pop ds null and use it"
        push dword 3
        pop ds
        mov eax, ds
        push dword USER_DATA
        pop ds
        show eax
        user_end

        say "ports", 10
        and byte [tss_map + 0x40 / 8], 0xfc
        user "in allowed", in al, 0x40
        user "in allowed word", in ax, 0x40
        user "in partly allowed", in ax, 0x41
        user "in refused", in al, 0x42
        user_lines "in beyond the map"
        mov dx, 0x1000
        in al, dx
        user_end
        user_lines "outs refused"
        mov dx, 0x42
        mov esi, scratch
        outsb
        user_end
        user_lines "ins refused"
        mov dx, 0x42
        mov edi, scratch
        insb
        user_end

        say "bad inner stacks", 10
        mov dword [tss + 8], USER_DATA
        ; Every way to the handlers leads through this stack: a triple fault ends the run.
        user_lines "stack of another level"
        user_end

gate_target:
        push ebp
        mov ebp, esp
        push eax
        say " gate: cs "
        mov eax, cs
        show eax
        say " ss "
        mov eax, ss
        show eax
        say " parameters "
        show [ebp + 16]
        say ","
        show [ebp + 12]
        say " to "
        show [ebp + 8]
        say " stack "
        mov eax, ebp
        show eax
        pop eax
        pop ebp
        retf 8

gate_target1:
        say " level 1: cs "
        mov eax, cs
        show eax
        say " ss "
        mov eax, ss
        show eax
        say " esp "
        show esp
        retf

gate_target16:
        say " 16-bit gate: esp "
        show esp
        say " words "
        show [esp]
        say ","
        show [esp + 4]
        ; A return to the 16 bits of EIP that are here would go astray.
        int 0x30

conforming_target:
        mov eax, cs
        show eax
        retf

scratch: dd 0, 0

        memory
