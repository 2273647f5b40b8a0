; PAE paging: page directory pointers that are loaded with CR3, NX, large pages, reserved bits of the pointers.

%include "common32.inc"

POINTERS equ 0x400020
DIRECTORY equ 0x401000
DIRECTORY1 equ 0x402000
TABLE   equ 0x403000
HERE    equ 0x40000000

main:
        mov edi, 0x400000
        xor eax, eax
        mov ecx, 0x1000
        rep stosd
        mov dword [POINTERS], DIRECTORY + 1
        mov dword [POINTERS + 8], DIRECTORY1 + 1
        mov dword [DIRECTORY], 0x87
        mov dword [DIRECTORY + 8], 0x200087
        mov dword [DIRECTORY + 16], 0x400087
        mov dword [DIRECTORY1], TABLE + 7
        mov dword [DIRECTORY1 + 8], 0x600085
        mov dword [DIRECTORY1 + 16], 0x600087
        mov dword [DIRECTORY1 + 20], 0x80000000
        mov dword [TABLE], 0x500007
        mov dword [TABLE + 8], 0x501005
        mov dword [TABLE + 16], 0x502003
        mov dword [TABLE + 24], 0x504006
        mov dword [TABLE + 32], 0x505007
        mov dword [TABLE + 36], 0x80000000
        mov byte [0x505000], 0xc3
        mov byte [0x500000], 0xc3
        mov byte [0x600000], 0xc3
        mov ecx, 0xc0000080
        rdmsr
        or eax, 0x800
        wrmsr
        mov eax, cr4
        or eax, 0x20
        mov cr4, eax
        mov eax, POINTERS
        mov cr3, eax
        mov eax, cr0
        or eax, 0x80010000
        mov cr0, eax
        say "paging", 10

%macro try 2+
        check %1
        %2
        endcheck
%endmacro
%macro user_try 2+
        check %1
        mov eax, %%user
        jmp to_user
%%user: %2
        int 0x30
        endcheck
%endmacro
        try "read", mov eax, [HERE]
        show [TABLE]
        show [DIRECTORY1]
        call newline
        try "write", mov [HERE], eax
        show [TABLE]
        call newline
        try "write read-only", mov [HERE + 0x1000], eax
        try "absent", mov eax, [HERE + 0x3000]
        try "write absent", mov [HERE + 0x3000], eax
        try "no pointer", mov eax, [0x80000000]
        try "no directory entry", mov eax, [0x60000000]
        try "2 MiB", mov eax, [HERE + 0x200000]
        show [DIRECTORY1 + 8]
        call newline
        try "write 2 MiB read-only", mov [HERE + 0x200000], eax
        mov ecx, HERE
        try "execute", call ecx
        mov ecx, HERE + 0x4000
        try "execute page without execution", call ecx
        mov ecx, HERE + 0x400000
        try "execute 2 MiB without execution", call ecx
        mov ecx, HERE + 0x3000
        try "execute absent", call ecx
        user_try "user read", mov eax, [HERE]
        user_try "user write read-only", mov [HERE + 0x1000], eax
        user_try "user supervisor", mov eax, [HERE + 0x2000]
        mov ecx, HERE + 0x4000
        check "user execute page without execution"
        mov eax, HERE + 0x4000
        jmp to_user
        endcheck

        say "pointers", 10
        ; Pointers are read when CR3 is loaded, not on each walk.
        mov dword [POINTERS + 8], 0
        try "pointer gone, CR3 not loaded", mov eax, [HERE]
        mov eax, cr3
        mov cr3, eax
        try "pointer gone, CR3 loaded", mov eax, [HERE]
        mov dword [POINTERS + 8], DIRECTORY1 + 1
        mov eax, cr3
        mov cr3, eax
        try "pointer back", mov eax, [HERE]
        finish

        memory
