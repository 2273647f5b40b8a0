; The boot sector of a floppy disk: puts the image behind it, SECTORS of 512 bytes, at 100000h and jumps to its Multiboot entry in 32-bit
; mode.
    org 0x7c00
    bits 16
BUFFER  equ 0x10000
ENTRY_FIELD equ 0x10001c
start:
    cli
    xor ax, ax
    mov ds, ax
    mov ss, ax
    mov sp, 0x7c00
    sti
    mov si, 1
    mov ax, BUFFER >> 4
    mov es, ax
.read:
    ; Cylinder, head and sector from the number.
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
    mov eax, 0x2badb002
    jmp [ENTRY_FIELD]
    align 8
gdt:
    dq 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdt_pointer:
    dw 23
    dd gdt
    times 510 - ($ - $$) db 0
    dw 0xaa55
