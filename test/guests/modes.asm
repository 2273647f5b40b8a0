; The ways between the modes: protected, 16-bit protected, real, long, compatibility, and back; state that stays and goes.

%include "common32.inc"

PML4    equ 0x400000
PDPT    equ 0x401000
PD      equ 0x402000
POINTERS equ 0x403000
LOW     equ 0x8000      ; real mode code is copied here
DATA_BIG equ FREE

main:
        call show_mode
        ; 16-bit protected mode, and real mode with its vectors.
        mov esi, low_code
        mov edi, LOW
        mov ecx, low_end - low_code
        rep movsb
        ; The handler of vector 60h in the interrupt vector table.
        mov dword [0x60 * 4], LOW + (real_handler - low_code)
        mov dword [6 * 4], LOW + (real_undefined - low_code)
        mov dword [0 * 4], LOW + (real_divide - low_code)
        mov dword [13 * 4], LOW + (real_general - low_code)
        mov dword [saved_stack], esp
        jmp CODE16:LOW + (to_real - low_code)
back32: mov eax, DATA
        mov ds, eax
        mov es, eax
        mov ss, eax
        mov esp, [saved_stack]
        lidt [idt_register]
        say "back in protected mode", 10
        call show_mode
        mov eax, 0
        mov fs, eax
        mov gs, eax

        ; Long mode.
        mov edi, PML4
        xor eax, eax
        mov ecx, 0x1000
        rep stosd
        mov dword [PML4], PDPT + 7
        mov dword [PDPT], PD + 7
        mov dword [PD], 0x87
        mov dword [PD + 8], 0x200087
        mov dword [PD + 16], 0x400087
        mov dword [POINTERS], PD + 1
        mov ecx, 0xc0000080
        rdmsr
        or eax, 0x100
        wrmsr
        rdmsr
        say "EFER "
        show eax
        call newline
        mov eax, cr4
        or eax, 0x20
        mov cr4, eax
        mov eax, PML4
        mov cr3, eax
        mov eax, cr0
        or eax, 0x80000000
        mov cr0, eax
        call show_mode
        say "compatibility mode: EFER "
        mov ecx, 0xc0000080
        rdmsr
        show eax
        call newline
        mov [saved_stack], esp
        jmp CODE64:long_mode
        bits 64
long_mode:
        mov rax, 0x123456789abcdef0
        mov r15, rax
        mov r8, rax
        bswap r8
        mov rbx, r8
        shr rbx, 32
        mov edi, 0xb8000
        mov r9, cr0
        mov ecx, 0xc0000080
        rdmsr
        mov r10, rax
        jmp dword far [compatible]
compatible:
        dd back_compatible
        dw CODE
        bits 32
back_compatible:
        mov esp, [saved_stack]
        show ebx
        say " upper half through 64-bit mode", 10
        call show_mode
        ; Out of long mode.
        mov eax, cr0
        and eax, 0x7fffffff
        mov cr0, eax
        mov ecx, 0xc0000080
        rdmsr
        say "EFER after paging "
        show eax
        call newline
        and eax, ~0x100
        wrmsr
        ; PAE paging with the same directory.
        mov eax, POINTERS
        mov cr3, eax
        mov eax, cr0
        or eax, 0x80000000
        mov cr0, eax
        call show_mode
        mov eax, cr0
        and eax, 0x7fffffff
        mov cr0, eax
        mov eax, cr4
        and eax, ~0x20
        mov cr4, eax
        call show_mode
        check "upper bits of CR4"
        mov eax, cr4
        show eax
        endcheck
        check "lmsw sets PE only"
        smsw eax
        and eax, ~1
        lmsw ax
        smsw eax
        and eax, 0xf
        show eax
        endcheck
        check "clts"
        mov eax, cr0
        or eax, 8
        mov cr0, eax
        clts
        mov eax, cr0
        and eax, 8
        show eax
        endcheck
        check "cr2 "
        mov eax, 0x12345678
        mov cr2, eax
        mov eax, cr2
        show eax
        endcheck
        check "cr3 "
        mov eax, 0x00402018
        mov cr3, eax
        mov eax, cr3
        show eax
        endcheck
        check "flags that can change "
        push dword 0x247fd7
        popfd
        pushfd
        pop eax
        push dword 2
        popfd
        show eax
        endcheck
        check "all flags "
        push dword 0xffffffff & ~0x20100
        popfd
        pushfd
        pop eax
        push dword 2
        popfd
        and eax, ~0x180000
        show eax
        endcheck
        check "16-bit popf "
        push dword 0x244fd7
        popfd
        push word 0x0002
        popfw
        pushfd
        pop eax
        push dword 2
        popfd
        show eax
        endcheck
        finish

show_mode:
        mov eax, cr0
        and eax, 0x80000001
        show eax
        mov eax, cr4
        and eax, 0x20
        show eax
        mov eax, cs
        show eax
        mov eax, ss
        show eax
        call newline
        ret

        bits 16
low_code:
to_real:
        mov ax, DATA16
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov sp, 0x7000
        mov eax, cr0
        and al, 0xfe
        mov cr0, eax
        jmp 0:LOW + (.real - low_code)
.real:  xor ax, ax
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov sp, 0x7000
        o32 lidt [cs:LOW + (real_idt - low_code)]
        mov si, LOW + (.text - low_code)
        call real_print
        int 0x60
        ud2
        xor cx, cx
        div cx
        mov si, LOW + (.segments - low_code)
        call real_print
        mov ax, 0x1234
        mov fs, ax
        mov ax, fs
        call real_hex
        ; Wraps in the segment.
        mov ax, 0x900
        mov es, ax
        mov byte [es:0], 0x5a
        mov al, [0x9000]
        xor ah, ah
        call real_hex
        ; A far call and return, a near one, PUSH SP.
        push cs
        call real_far
        mov bp, sp
        push sp
        pop ax
        sub ax, bp
        call real_hex
        pushf
        pop ax
        call real_hex
        push word 0x7002
        popf
        pushf
        pop ax
        push word 2
        popf
        call real_hex
        mov al, 10
        call real_put
        ; Back.
        o32 lgdt [cs:LOW + (real_gdt - low_code)]
        mov eax, cr0
        or al, 1
        mov cr0, eax
        jmp dword CODE:back32
.text:  db "real mode", 10, 0
.segments: db "segments ", 0

real_far:
        mov ax, cs
        call real_hex
        retf

real_handler:
        mov si, LOW + (.text - low_code)
        call real_print
        mov bp, sp
        mov ax, [bp]
        call real_hex
        mov ax, [bp + 2]
        call real_hex
        mov ax, [bp + 4]
        call real_hex
        pushf
        pop ax
        call real_hex
        mov al, 10
        call real_put
        iret
.text:  db "vector 60h ", 0

real_undefined:
        mov si, LOW + (.text - low_code)
        call real_print
        mov bp, sp
        mov ax, [bp]
        call real_hex
        add word [bp], 2
        mov al, 10
        call real_put
        iret
.text:  db "vector 6 ", 0

real_divide:
        mov si, LOW + (.text - low_code)
        call real_print
        mov bp, sp
        mov ax, [bp]
        call real_hex
        add word [bp], 2
        mov al, 10
        call real_put
        iret
.text:  db "vector 0 ", 0

real_general:
        mov si, LOW + (.text - low_code)
        call real_print
        hlt
.text:  db "vector 13", 10, 0

real_print:
.next:  cs lodsb
        test al, al
        jz .done
        call real_put
        jmp .next
.done:  ret

real_put:
        push dx
        push ax
        mov dx, 0x3fd
.wait:  in al, dx
        test al, 0x20
        jz .wait
        pop ax
        mov dx, 0x3f8
        out dx, al
        pop dx
        ret

real_hex:
        push cx
        push ax
        mov cx, 4
.digit: rol ax, 4
        push ax
        and al, 15
        cmp al, 10
        sbb al, 0x69
        das
        call real_put
        pop ax
        loop .digit
        pop ax
        pop cx
        ret

real_idt:
        dw 0x3ff
        dd 0
real_gdt:
        dw FREE - 1
        dd gdt
low_end:
        bits 32
saved_stack: dd 0

        memory
