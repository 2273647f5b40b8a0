; SYSCALL and SYSRET of AMD's processors in compatibility mode and in legacy mode, SYSENTER in legacy mode.

%include "common32.inc"

%macro msr 3 ; index, high, low
        mov ecx, %1
        mov edx, %2
        mov eax, %3
        wrmsr
%endmacro

main:
        descriptor 0x90, 0x0000ffff, 0x00cffa00
        descriptor 0x98, 0x0000ffff, 0x00cff200
        ; Level 0: 08h and 10h. Level 3 for SYSRET: 93h and 9Bh.
        msr 0xc0000081, 0x00930008, syscall_target
        msr 0xc0000080, 0, 1
        check "syscall"
        mov eax, .user
        jmp to_user
.user:  mov ebx, esp
        syscall
        mov eax, cs
        mov ebx, ss
        mov ecx, 0x1234
        int 0x30
        endcheck
        check "sysret from level 3"
        mov eax, user_sysret
        jmp to_user
user_sysret:
        sysret
        endcheck

        msr 0x174, 0, 8
        msr 0x175, 0, kernel_stack_top
        msr 0x176, 0, sysenter_target
        descriptor 0x18, 0x0000ffff, 0x00cffa00
        descriptor 0x20, 0x0000ffff, 0x00cff200
        check "sysenter"
        mov eax, user_sysenter
        jmp to_user
user_sysenter:
        mov ecx, esp
        mov edx, user_back
        sysenter
user_back:
        int 0x30
        endcheck
        check "sysexit from level 3"
        mov eax, user_sysexit
        jmp to_user
user_sysexit:
        sysexit
        endcheck
        msr 0x174, 0, 0
        check "sysenter without a selector"
        sysenter
        endcheck
        finish

syscall_target:
        mov eax, cs
        show eax
        mov eax, ss
        show eax
        show ecx
        pushf
        pop eax
        show eax
        sysret

sysenter_target:
        push ecx
        mov eax, cs
        show eax
        mov eax, ss
        show eax
        show esp
        pop ecx
        sysexit

        memory
