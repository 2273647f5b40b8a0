; 4-level paging: large pages, NX, write protection, SMEP and SMAP, accessed and dirty bits, non-canonical addresses.

%include "common64.inc"

HERE    equ 0x8000000000 ; PML4 entry 1
PT      equ TABLES + 0x2000

        bits 64
main64:
        mov rax, TABLES + 7
        mov [PML4 + 8], rax
        mov rax, TABLES + 0x1007
        mov [TABLES], rax
        mov rax, PT + 7
        mov [TABLES + 0x1000], rax
        ; 2 MiB pages: supervisor at 4 MiB, read only at 6 MiB, no execution at 8 MiB.
        mov qword [TABLES + 0x1010], 0x800083
        mov qword [TABLES + 0x1018], 0x800085
        mov rax, 0x8000000000800087
        mov [TABLES + 0x1020], rax
        ; Pages: 0 all, 1 read only, 2 supervisor, 3 supervisor read only, 4 absent, 5 no execution, 6 with code.
        mov qword [PT], 0x500007
        mov qword [PT + 8], 0x501005
        mov qword [PT + 16], 0x502003
        mov qword [PT + 24], 0x503001
        mov qword [PT + 32], 0x504006
        mov rax, 0x8000000000505007
        mov [PT + 40], rax
        mov qword [PT + 48], 0x506007
        ; int 30h, ret
        mov dword [0x506000], 0xc330cd
        mov byte [0x505000], 0xc3
        mov byte [0x500000], 0xc3
        mov byte [0x501000], 0xc3
        mov byte [0x502000], 0xc3
        mov byte [0x800000], 0xc3

%macro try 2+
        check64 %1
        %2
        endcheck64
%endmacro
%macro user_try 2+
        user64 %1
        %2
        user64_end
%endmacro
        mov rbx, HERE
        try "read", mov rax, [rbx]
        show64 [PT]
        show64 [TABLES]
        show64 [PML4 + 8]
        call newline64
        try "write", mov [rbx], rax
        show64 [PT]
        show64 [TABLES]
        call newline64
        try "read 2 MiB", mov rax, [rbx + 0x400000]
        show64 [TABLES + 0x1010]
        call newline64
        try "write 2 MiB", mov [rbx + 0x400008], rax
        show64 [TABLES + 0x1010]
        call newline64
        try "write read-only", mov [rbx + 0x1000], rax
        try "read absent", mov rax, [rbx + 0x4ff8]
        try "write absent", mov [rbx + 0x4ff8], rax
        try "read across into absent", mov rax, [rbx + 0x3ffc]
        try "write across into absent", mov [rbx + 0x6ffc], rax
        try "no table", mov rax, [rbx + 0x40000000]
        try "no PML4 entry", mov al, [rbx + rbx]
        mov rdx, 0x800000000000
        try "not canonical", mov rax, [rdx]
        mov rdi, rdx
        try "not canonical string", stosb
        mov rcx, 0xffff7fffffffffff
        try "not canonical from above", mov al, [rcx]
        mov rcx, 0xffff800000000000
        try "lowest of the upper half", mov al, [rcx]
        try "execute", call rbx
        lea rcx, [rbx + 0x4000]
        try "execute absent", call rcx
        user_try "user read", mov rax, [rbx]
        user_try "user write", mov [rbx], rax
        user_try "user read read-only", mov rax, [rbx + 0x1000]
        user_try "user write read-only", mov [rbx + 0x1000], rax
        user_try "user read supervisor", mov rax, [rbx + 0x2000]
        user_try "user write supervisor", mov [rbx + 0x2000], rax
        user_try "user read 2 MiB supervisor", mov rax, [rbx + 0x400000]
        user_try "user write 2 MiB read-only", mov [rbx + 0x600000], rax
        user_try "user not canonical", mov rax, [rdx]
        lea rcx, [rbx + 0x2000]
        user_try "user execute supervisor", call rcx

        say64 "NX", 10
        mov ecx, 0xc0000080
        rdmsr
        or eax, 0x800
        wrmsr
        try "read page without execution", mov rax, [rbx + 0x5000]
        lea rcx, [rbx + 0x5000]
        try "execute page without execution", call rcx
        lea rcx, [rbx + 0x800000]
        try "execute 2 MiB without execution", call rcx
        lea rcx, [rbx + 0x4000]
        try "execute absent", call rcx
        lea rcx, [rbx + 0x5000]
        user_try "user execute page without execution", call rcx
        lea rcx, [rbx + 0x2000]
        user_try "user execute supervisor", call rcx
        mov rax, 0x8000000000000000
        or [TABLES], rax
        mov rax, cr3
        mov cr3, rax
        try "execute under a table without execution", call rbx
        mov rax, 0x8000000000000000
        xor [TABLES], rax
        mov rax, cr3
        mov cr3, rax

        say64 "SMEP", 10
        mov dword [PML4], PDPT + 7
        ; The guest's own code must be the supervisor's: the first 2 MiB and the tables.
        and byte [DIRECTORIES], 0xfb
        mov rax, cr4
        or eax, 1 << 20
        mov cr4, rax
        lea rcx, [rbx + 0x2000]
        try "execute supervisor", call rcx
        try "execute user", call rbx
        lea rcx, [rbx + 0x4000]
        try "execute absent", call rcx

        say64 "SMAP", 10
        mov rax, cr4
        or eax, 1 << 21
        mov cr4, rax
        try "read user", mov rax, [rbx]
        try "write user", mov [rbx], rax
        try "read supervisor", mov rax, [rbx + 0x2000]
        check64 "read user with AC"
        stac
        mov rax, [rbx]
        clac
        endcheck64
        check64 "write user with AC"
        stac
        mov [rbx], rax
        clac
        endcheck64
        check64 "write user after CLAC"
        stac
        mov [rbx], rax
        clac
        mov [rbx], rax
        endcheck64
        mov rax, cr4
        and eax, ~(3 << 20)
        mov cr4, rax
        or byte [DIRECTORIES], 4

        say64 "WP off", 10
        mov rax, cr0
        and rax, ~0x10000
        mov cr0, rax
        mov qword [PT + 8], 0x501005
        try "write read-only", mov [rbx + 0x1000], rax
        show64 [PT + 8]
        call newline64
        user_try "user write read-only", mov [rbx + 0x1000], rax

        say64 "flush", 10
        mov qword [PT], 0x500007
        mov rax, cr3
        mov cr3, rax
        mov dword [rbx], 0x11111111
        mov qword [PT], 0x505007
        invlpg [rbx]
        mov dword [rbx], 0x22222222
        mov rax, [0x500000]
        show64 rax
        mov rax, [0x505000]
        show64 rax
        call newline64
        ; Global pages stay over a load of CR3.
        mov rax, cr4
        or eax, 0x80
        mov cr4, rax
        mov qword [PT], 0x500107
        mov dword [rbx], 0x33333333
        mov rax, cr3
        mov cr3, rax
        show64 [PT]
        call newline64
        finish64

        memory
