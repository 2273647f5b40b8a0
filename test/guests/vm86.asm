; Virtual-8086 mode: entry by IRET, software interrupts and IOPL, I/O permissions, faults, returns through the monitor.

%include "common32.inc"

; The 8086 code lies at 2000:0000, its stack at 3000:1000, its data at 4000:0000.
CODE86  equ 0x2000
STACK86 equ 0x3000
DATA86  equ 0x4000

; Runs 8086 instructions up to end86.
%macro vm86 1
        check %1
        mov esi, %%start
        mov ecx, %%finish - %%start
        mov edi, CODE86 << 4
        rep movsb
        jmp to_vm86
        bits 16
%%start:
%define finish_label %%finish
%endmacro
%macro end86 0
        int 0x30
finish_label:
        bits 32
        endcheck
%endmacro

main:
        vm86 "nothing"
        end86
        vm86 "registers"
        mov ax, cs
        mov bx, ss
        mov cx, ds
        mov dx, es
        push ax
        push bx
        pop si
        pop di
        mov [0x10], ax
        mov [0x12], bx
        mov [0x14], cx
        mov [0x16], dx
        end86
        show [(DATA86 << 4) + 0x10]
        show [(DATA86 << 4) + 0x14]
        call newline
        vm86 "hlt"
        hlt
        end86
        vm86 "mov cr0"
        mov eax, cr0
        end86
        vm86 "lgdt"
        o32 lgdt [0]
        end86
        vm86 "lldt"
        lldt ax
        end86
        vm86 "sldt"
        sldt ax
        end86
        vm86 "lar"
        lar ax, bx
        end86
        vm86 "arpl"
        arpl ax, bx
        end86
        vm86 "undefined"
        ud2
        end86
        vm86 "divide by zero"
        xor cx, cx
        div cx
        end86
        vm86 "int3"
        int3
        end86
        vm86 "far call and return"
        push cs
        pop ax
        sub ax, 0x10
        push ax
        mov word [0], 0x100 + 12
        mov [2], ax
        mov bx, sp
        nop
        end86
        mov dword [user_flags], 0x20002
        vm86 "int with IOPL 0"
        int 0x30
        end86
        vm86 "cli with IOPL 0"
        cli
        end86
        vm86 "pushf with IOPL 0"
        pushf
        end86
        vm86 "popf with IOPL 0"
        popf
        end86
        vm86 "iret with IOPL 0"
        iret
        end86
        vm86 "into with overflow"
        mov al, 0x7f
        add al, 1
        into
        end86
        mov dword [user_flags], 0x23002
        vm86 "sti, pushf and cli"
        pushf
        pop ax
        sti
        pushf
        pop bx
        cli
        mov [0x20], ax
        mov [0x22], bx
        end86
        show [(DATA86 << 4) + 0x20]
        call newline
        vm86 "pushfd"
        pushfd
        pop eax
        mov [0x20], eax
        end86
        show [(DATA86 << 4) + 0x20]
        call newline
        vm86 "popfd"
        push dword 0x00017002
        popfd
        pushfd
        pop eax
        mov [0x20], eax
        end86
        show [(DATA86 << 4) + 0x20]
        call newline
        vm86 "iret"
        push word 0x7202
        push cs
        push word 0x10
        iret
        nop
        times 20 nop
        pushf
        pop ax
        mov [0x20], ax
        end86
        show [(DATA86 << 4) + 0x20]
        call newline
        vm86 "int not for level 3"
        int 0x31
        end86
        vm86 "in refused"
        in al, 0x42
        end86
        and byte [tss_map + 8], 0xfe
        vm86 "in allowed"
        in al, 0x40
        end86
        vm86 "far jump"
        jmp 0x1ff0:0x108
        nop
        nop
        nop
        end86
        vm86 "far call"
        call 0x1ff0:0x10a
        int 0x31
        nop
        nop
        nop
        pop ax
        pop bx
        mov [0x20], ax
        mov [0x22], bx
        end86
        show [(DATA86 << 4) + 0x20]
        call newline
        vm86 "mov to segments"
        mov ax, 0x1234
        mov fs, ax
        mov gs, ax
        push fs
        pop es
        mov ax, es
        mov [0x20], ax
        end86
        show [(DATA86 << 4) + 0x20]
        call newline
        check "iret to a frame of 16-bit words doesn't enter"
        pushfd
        pop eax
        or eax, 0x20000
        push eax
        popfd
        pushfd
        pop eax
        and eax, 0x20000
        show eax
        endcheck
        finish

to_vm86:
        push dword 0x1111
        push dword 0x2222
        push dword DATA86
        push dword DATA86
        push dword STACK86
        push dword 0x1000
        mov eax, [user_flags]
        or eax, 0x20000
        push eax
        push dword CODE86
        push dword 0
        iretd

        memory
