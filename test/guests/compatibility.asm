; Compatibility mode under long mode: 16- and 32-bit code of level 3, segments with bases, gates, faults, the ways to 64-bit code.

%include "common64.inc"

BASED   equ FREE        ; user data with a base
USER_CODE16 equ FREE + 8
GATE64  equ FREE + 16   ; and FREE + 24: call gate for level 3
CONFORMING64 equ FREE + 32

        bits 64
; Runs 32-bit instructions at level 3 up to the next user32_end.
%macro user32 1
        check64 %1
        mov rax, %%user
        jmp to_user32
        bits 32
%%user:
%endmacro
%macro user32_end 0
        int 0x30
        bits 64
        endcheck64
%endmacro

main64:
        mov rax, 0x0040f210000000ff
        mov [gdt + BASED], rax
        mov rax, 0x0000fa100000ffff
        mov [gdt + USER_CODE16], rax
        mov rax, 0x00affe000000ffff
        mov [gdt + CONFORMING64], rax
        mov rax, gate_target
        mov [gdt + GATE64], ax
        mov word [gdt + GATE64 + 2], CODE64
        mov word [gdt + GATE64 + 4], 0xec00
        shr rax, 16
        mov [gdt + GATE64 + 6], ax
        mov qword [gdt + GATE64 + 8], 0

        ; A page that isn't there, at 1 GiB.
        mov qword [DIRECTORIES + 0x1000], 0
        mov edi, 0x40000000
        user32 "interrupt"
        user32_end
        user32 "upper halves are gone after 32-bit writes"
        mov eax, esp
        mov ebx, eax
        inc ebx
        user32_end
        user32 "inc and dec are instructions here"
        xor eax, eax
        inc eax
        dec eax
        user32_end
        user32 "aaa"
        mov eax, 0x0f
        aaa
        user32_end
        user32 "pusha and popa"
        pusha
        popa
        user32_end
        user32 "absent page"
        mov dword [edi], 1
        user32_end
        user32 "segment with a base"
        mov eax, BASED | 3
        mov fs, eax
        mov eax, [fs:0]
        sub eax, [0x100000]
        mov ecx, eax
        user32_end
        user32 "int3"
        int3
        user32_end
        user32 "into"
        mov al, 0x7f
        add al, 1
        into
        user32_end
        user32 "bound"
        mov dword [scratch], 1
        mov dword [scratch + 4], 2
        mov eax, 3
        bound eax, [scratch]
        user32_end
        user32 "hlt"
        hlt
        user32_end
        user32 "swapgs is no instruction"
        db 0x0f, 0x01, 0xf8
        user32_end
        user32 "far jump to 64-bit code"
        jmp USER_CODE64:user_long
user_long:
        bits 64
        mov rax, 0x123456789
        shr rax, 4
        mov r8, rax
        int 0x30
        endcheck64
        user32 "far call to 64-bit code and back"
        call USER_CODE64:user_long_return
        mov ebx, esp
        user32_end
        user32 "call gate to 64-bit code"
        call GATE64:0
        user32_end
        user32 "conforming 64-bit code"
        jmp CONFORMING64:conforming_target
        user32_end
        user32 "16-bit code"
        jmp (USER_CODE16 | 3):code16 - 0x100000
        user32_end
        user32 "retf to 64-bit code"
        push dword USER_CODE64
        push dword user_int
        retf
        user32_end
        user32 "iret to 64-bit code"
        pushfd
        push dword USER_CODE64
        push dword user_int
        iretd
        user32_end
        user32 "load a code segment of 64 bits as data"
        mov eax, USER_CODE64
        mov es, eax
        user32_end
        user32 "lar and lsl"
        mov ecx, USER_CODE64
        lar eax, ecx
        ; Bits 19:16 are undefined.
        and eax, 0xfff0ffff
        lsl ebx, ecx
        mov ecx, TSS64
        lar edx, ecx
        user32_end
        check64 "compatibility mode at level 0"
        jmp dword far [to_compatible]
back64: endcheck64
        finish64

conforming_target:
        mov eax, cs
        int 0x30

gate_target:
        say64 " gate: cs "
        mov eax, cs
        show64 rax
        mov eax, ss
        show64 rax
        show64 rsp
        show64 [rsp]
        show64 [rsp + 8]
        show64 [rsp + 16]
        show64 [rsp + 24]
        o64 retf

user_long_return:
        mov eax, cs
        o32 retf

user_int:
        int 0x30

        bits 32
compatible:
        mov eax, cr0
        mov ecx, 0xc0000080
        rdmsr
        push eax
        pop ebx
        jmp CODE64:back64
        bits 16
code16:
        mov ax, cs
        push eax
        pop ebx
        int 0x30
        bits 64

; Goes to level 3 in 32-bit compatibility mode at RAX.
to_user32:
        mov ecx, USER_DATA
        mov ds, ecx
        mov es, ecx
        push rcx
        push user_stack_top
        push 2
        push USER_CODE32
        push rax
        iretq

        align 8
scratch: dd 0, 0
to_compatible:
        dd compatible
        dw CODE

        memory
