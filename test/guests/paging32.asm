; 32-bit paging: access rights and error codes, WP, 4 MiB pages, accessed and dirty bits.

%include "common32.inc"

DIRECTORY equ 0x400000
TABLE   equ 0x401000
; Linear addresses under test: 0x800000 to 0xbfffff through TABLE.
HERE    equ 0x800000

main:
        ; The first 8 MiB map to themselves with 4 MiB pages.
        mov edi, DIRECTORY
        xor eax, eax
        mov ecx, 2048
        rep stosd
        mov dword [DIRECTORY], 0x00000087
        mov dword [DIRECTORY + 4], 0x00400087
        mov dword [DIRECTORY + 8], TABLE + 7
        ; A 4 MiB page at 12 MiB for the supervisor, one for reading only.
        mov dword [DIRECTORY + 12], 0x00800083
        mov dword [DIRECTORY + 16], 0x00800085
        ; Pages: 0 all, 1 read only, 2 supervisor, 3 supervisor and read only, 4 absent, 5 absent with other bits.
        mov dword [TABLE + 0], 0x500007
        mov dword [TABLE + 4], 0x501005
        mov dword [TABLE + 8], 0x502003
        mov dword [TABLE + 12], 0x503001
        mov dword [TABLE + 16], 0x504006
        mov dword [TABLE + 20], 0xfffffffe
        mov eax, cr4
        or eax, 0x10
        mov cr4, eax
        mov eax, DIRECTORY
        mov cr3, eax
        mov eax, cr0
        or eax, 0x80000000
        mov cr0, eax
        say "paging", 10

        check "read all"
        mov eax, [HERE]
        endcheck
        check "entry after read "
        show [TABLE]
        endcheck
        check "write all"
        mov dword [HERE], 1
        endcheck
        check "entry after write "
        show [TABLE]
        endcheck
        check "read read-only"
        mov eax, [HERE + 0x1000]
        endcheck
        check "write read-only without WP"
        mov dword [HERE + 0x1000], 1
        endcheck
        check "entry "
        show [TABLE + 4]
        endcheck
        check "read absent"
        mov eax, [HERE + 0x4000]
        endcheck
        check "write absent"
        mov [HERE + 0x4ffc], eax
        endcheck
        check "read absent with other bits"
        mov eax, [HERE + 0x5123]
        endcheck
        check "read without a table"
        mov eax, [0x2000000]
        endcheck
        check "execute absent"
        mov eax, HERE + 0x4000
        jmp eax
        endcheck
        check "write across into absent"
        mov eax, [HERE + 0x3000]
        mov [HERE + 0x3ffe], eax
        endcheck
        check "write across into read-only"
        mov dword [HERE + 0xffe], 0x12345678
        endcheck
        check "4 MiB read"
        mov eax, [HERE + 0x400000]
        endcheck
        check "4 MiB entry "
        show [DIRECTORY + 12]
        endcheck
        check "4 MiB write"
        mov [HERE + 0x400000], eax
        endcheck
        check "4 MiB entry "
        show [DIRECTORY + 12]
        endcheck
        mov eax, cr0
        or eax, 0x10000
        mov cr0, eax
        say "WP", 10
        mov dword [TABLE + 4], 0x501005
        mov eax, cr3
        mov cr3, eax
        check "write read-only"
        mov dword [HERE + 0x1000], 1
        endcheck
        check "entry "
        show [TABLE + 4]
        endcheck
        check "read-modify-write read-only"
        add dword [HERE + 0x1000], 0
        endcheck
        check "exchange read-only"
        xchg [HERE + 0x1000], eax
        endcheck
        check "write supervisor read-only"
        mov dword [HERE + 0x3000], 1
        endcheck
        check "write 4 MiB read-only"
        mov dword [HERE + 0x800010], 1
        endcheck
        check "string across into read-only"
        mov edi, HERE + 0xff0
        mov ecx, 16
        rep stosd
        endcheck
        show edi
        show ecx
        call newline

        say "user", 10
%macro user_check 2+
        check %1
        mov eax, %%user
        jmp to_user
%%user: %2
        push eax
        int 0x30
        endcheck
%endmacro
        user_check "read all", mov eax, [HERE]
        user_check "write all", mov [HERE], eax
        user_check "read read-only", mov eax, [HERE + 0x1000]
        user_check "write read-only", mov [HERE + 0x1000], eax
        user_check "read supervisor", mov eax, [HERE + 0x2000]
        user_check "write supervisor", mov [HERE + 0x2000], eax
        user_check "read absent", mov eax, [HERE + 0x4000]
        user_check "write absent", mov [HERE + 0x4000], eax
        user_check "read 4 MiB supervisor", mov eax, [HERE + 0x400000]
        user_check "read 4 MiB user", mov eax, [HERE + 0x800000]
        user_check "write 4 MiB user", mov [HERE + 0x800000], eax
        user_check "push to read-only", mov esp, HERE + 0x1800
        user_check "push over absent", mov esp, HERE + 0x5000
        user_check "execute supervisor", jmp dword USER_CODE:HERE + 0x2000

        ; A table that is read only for all its pages, and one for the supervisor.
        mov dword [DIRECTORY + 8], TABLE + 5
        mov eax, cr3
        mov cr3, eax
        user_check "write through read-only table", mov [HERE], eax
        user_check "read through read-only table", mov eax, [HERE]
        mov dword [DIRECTORY + 8], TABLE + 3
        mov eax, cr3
        mov cr3, eax
        user_check "read through supervisor table", mov eax, [HERE]

        say "invlpg", 10
        mov dword [DIRECTORY + 8], TABLE + 7
        mov dword [TABLE], 0x500007
        mov eax, cr3
        mov cr3, eax
        mov dword [HERE], 0x11111111
        mov dword [TABLE], 0x505007
        invlpg [HERE]
        mov dword [HERE], 0x22222222
        show [0x500000]
        show [0x505000]
        call newline
        finish

        memory
