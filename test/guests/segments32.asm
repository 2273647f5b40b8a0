; Descriptors: loading segment registers, LAR, LSL, VERR, VERW, ARPL, accessed bits, LDT, descriptor table registers.

%include "common32.inc"

EMPTY   equ FREE        ; type 0
READ_ONLY equ FREE + 8
EXPAND_DOWN equ FREE + 16
EXECUTE_ONLY equ FREE + 24
CONFORMING equ FREE + 32
NOT_PRESENT equ FREE + 40
LEVEL1  equ FREE + 48
LDT_SEGMENT equ FREE + 56
GATE    equ FREE + 64
LEVEL3  equ FREE + 72
SMALL   equ FREE + 80
USER_CONFORMING equ FREE + 88
NP_CODE equ FREE + 96
NP_LDT  equ FREE + 104
TSS_AVAILABLE equ FREE + 112

main:
        descriptor EMPTY, 0x0000ffff, 0x00cf8000
        descriptor READ_ONLY, 0x0000ffff, 0x00cf9000
        descriptor EXPAND_DOWN, 0x00000fff, 0x00cf9600
        descriptor EXECUTE_ONLY, 0x0000ffff, 0x00cf9800
        descriptor CONFORMING, 0x0000ffff, 0x00cf9e00
        descriptor NOT_PRESENT, 0x0000ffff, 0x00cf1200
        descriptor LEVEL1, 0x0000ffff, 0x00cfb200
        descriptor LEVEL3, 0x0000ffff, 0x00cff200
        descriptor SMALL, 0x00000123, 0x00409210
        descriptor USER_CONFORMING, 0x0000ffff, 0x00cffe00
        descriptor NP_CODE, 0x0000ffff, 0x00cf1a00
        descriptor NP_LDT, 0x00000fff, 0x00000200
        descriptor GATE, 0x00081234, 0x00008c00
        descriptor TSS_AVAILABLE, 0x10000067, 0x00008900
        mov eax, ldt
        mov edx, eax
        shl eax, 16
        or eax, 15
        shr edx, 16
        mov dh, 0x82
        mov bx, LDT_SEGMENT
        call set_descriptor

%macro load 3 ; name, register, selector
        check %1
        mov eax, %3
        mov %2, ax
        endcheck
%endmacro
        say "data registers", 10
        load "null", es, 0
        load "null with RPL", es, 3
        load "data", es, DATA
        load "read only", es, READ_ONLY
        load "expand down", es, EXPAND_DOWN
        load "execute only", es, EXECUTE_ONLY
        load "code", es, CODE
        load "conforming", es, CONFORMING
        load "empty", es, EMPTY
        load "not present", es, NOT_PRESENT
        load "level 1", es, LEVEL1
        load "level 1 with RPL 1", es, LEVEL1 | 1
        load "level 1 with RPL 2", es, LEVEL1 | 2
        load "data with RPL 3", es, DATA | 3
        load "conforming with RPL 3", es, CONFORMING | 3
        load "TSS", es, TSS
        load "gate", fs, GATE
        load "beyond the table", gs, 0x400
        load "LDT without one", es, 4
        say "stack", 10
        load "null", ss, 0
        load "data", ss, DATA
        load "read only", ss, READ_ONLY
        load "code", ss, CODE
        load "not present", ss, NOT_PRESENT
        load "level 1", ss, LEVEL1
        load "RPL 3", ss, DATA | 3
        load "empty", ss, EMPTY
        load "beyond the table", ss, 0xfff8
        say "accessed bits ", 10
        mov eax, READ_ONLY
        mov es, eax
        movzx eax, byte [gdt + READ_ONLY + 5]
        show eax
        movzx eax, byte [gdt + EXECUTE_ONLY + 5]
        show eax
        call newline
        say "far pointers", 10
        check "les"
        les eax, [pointer]
        show eax
        mov eax, es
        show eax
        endcheck
        check "lss not present"
        lss eax, [pointer_np]
        endcheck
        check "lfs null"
        lfs eax, [pointer_null]
        mov eax, fs
        show eax
        endcheck
        check "pop es"
        push dword NOT_PRESENT
        pop es
        endcheck

        say "LDT", 10
        check "lldt "
        mov eax, LDT_SEGMENT
        lldt ax
        sldt eax
        and eax, 0xffff
        show eax
        endcheck
        load "entry 1", es, 0xc
        load "entry 2", es, 0x14
        check "lldt of data"
        mov eax, DATA
        lldt ax
        endcheck
        check "lldt not present"
        mov eax, NP_LDT
        lldt ax
        endcheck
        check "lldt in the LDT"
        mov eax, 0xc
        lldt ax
        endcheck
        check "lldt null"
        xor eax, eax
        lldt ax
        endcheck
        load "entry 1", es, 0xc
        check "ltr busy"
        mov eax, TSS
        ltr ax
        endcheck
        check "ltr of data"
        mov eax, DATA
        ltr ax
        endcheck
        check "str "
        xor eax, eax
        str ax
        show eax
        endcheck
        check "sgdt "
        sgdt [scratch]
        movzx eax, word [scratch]
        show eax
        mov eax, [scratch + 2]
        sub eax, gdt
        show eax
        sidt [scratch]
        movzx eax, word [scratch]
        show eax
        endcheck

        say "LAR, LSL, VERR, VERW", 10
        mov esi, selectors
.next:  lodsw
        movzx ecx, ax
        call query
        cmp esi, selectors_end
        jb .next
        say "at level 3", 10
        mov dword [after_exception], .again
        mov esi, selectors
.user:  cmp esi, selectors_end
        jae .level3_done
        lodsw
        movzx ecx, ax
        mov [scratch], esi
        mov eax, .query
        mov dword [user_selector], ecx
        jmp to_user
.query: mov ecx, [user_selector]
        xor ebx, ebx
        mov edx, 0xabcdabcd
        lar edx, ecx
        setz bl
        ; Bits 19:16 are undefined.
        and edx, 0xfff0ffff
        mov [results], edx
        mov edx, 0xabcdabcd
        lsl edx, ecx
        setz bh
        mov [results + 4], edx
        mov [results + 8], ebx
        xor ebx, ebx
        verr cx
        setz bl
        verw cx
        setz bh
        mov [results + 12], ebx
        int 0x30
.again: mov eax, DATA
        mov ds, eax
        mov es, eax
        call newline
        show [user_selector]
        show [results]
        show [results + 4]
        show [results + 8]
        show [results + 12]
        call newline
        mov esp, [resume_esp]
        mov esi, [scratch]
        jmp .user
.level3_done:
        mov dword [after_exception], 0

        say "ARPL", 10
        mov eax, 0x10
        mov edx, 3
        arpl ax, dx
        call zero_flag
        mov eax, 0x13
        mov edx, 1
        arpl ax, dx
        call zero_flag
        mov eax, 0x12
        mov edx, 2
        arpl ax, dx
        call zero_flag
        finish

zero_flag:
        show eax
        setz al
        movzx eax, al
        show eax
        call newline
        ret

; Shows what the four instructions say about selector ECX.
query:  show ecx
        xor ebx, ebx
        mov edx, 0xabcdabcd
        lar edx, ecx
        setz bl
        and edx, 0xfff0ffff
        show edx
        mov edx, 0xabcdabcd
        lsl edx, ecx
        setz bh
        show edx
        show ebx
        xor ebx, ebx
        verr cx
        setz bl
        verw cx
        setz bh
        show ebx
        mov dx, 0x5555
        lar dx, cx
        show edx
        call newline
        ret

        align 4
scratch: dd 0, 0, 0
user_selector: dd 0
results: dd 0, 0, 0, 0
pointer: dd 0x12345678
        dw READ_ONLY
pointer_np: dd 0
        dw NOT_PRESENT
pointer_null: dd 0x11
        dw 2
selectors:
        dw 0, CODE, DATA, DATA16, USER_CODE, USER_DATA, TSS, EMPTY, READ_ONLY, EXPAND_DOWN, EXECUTE_ONLY, CONFORMING
        dw NOT_PRESENT, LEVEL1, LEVEL1 | 2, LDT_SEGMENT, GATE, LEVEL3, LEVEL3 | 3, SMALL, USER_CONFORMING, NP_CODE
        dw NP_LDT, TSS_AVAILABLE, 0x400, 4, DATA | 3, CONFORMING | 3
selectors_end:
        align 8
ldt:    dq 0
        dq 0x00cf92000000ffff

        memory
