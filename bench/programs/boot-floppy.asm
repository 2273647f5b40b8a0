; The boot sector of a floppy disk for emulators that load nothing else: puts the image behind it at 100000h and jumps there in
; 32-bit mode. The image has at most SECTORS sectors. With ENTRY_FIELD, its entry stands at that address, and it is told that a Multiboot
; loader brought it.
    org 0x7c00
    bits 16
%ifndef SECTORS
%define SECTORS 64
%endif
BUFFER  equ 0x10000
start:
    cli
    xor ax, ax
    mov ds, ax
    mov ss, ax
    mov sp, 0x7c00
    sti
    ; One sector at a time: cylinder, head and sector from its number.
    mov si, 1
    mov ax, BUFFER >> 4
    mov es, ax
.read:
    mov ax, si
    xor dx, dx
    mov bx, 18
    div bx
    mov cl, dl
    inc cl
    mov dh, al
    and dh, 1
    shr ax, 1
    mov ch, al
    mov dl, 0
    xor bx, bx
    mov ax, 0x0201
    int 0x13
    jc .read
    mov ax, es
    add ax, 512 / 16
    mov es, ax
    inc si
    cmp si, SECTORS + 1
    jb .read
    cli
    in al, 0x92
    or al, 2
    out 0x92, al
    lgdt [gdt_pointer]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    jmp 8:wide
    bits 32
wide:
    mov eax, 16
    mov ds, eax
    mov es, eax
    mov ss, eax
    cld
    mov esi, BUFFER
    mov edi, 0x100000
    mov ecx, SECTORS * 512 / 4
    rep movsd
%ifdef ENTRY_FIELD
    mov eax, 0x2badb002
    jmp [ENTRY_FIELD]
%else
    mov eax, 0x100000
    jmp eax
%endif
    align 8
gdt:
    dq 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdt_pointer:
    dw 23
    dd gdt
    times 510 - ($ - $$) db 0
    dw 0xaa55
