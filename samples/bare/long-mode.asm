; From real mode through protected mode to long mode, by hand.
;
; What to look at: step with F11 and watch the Registers view change its width at the two far jumps. Control registers shows
; PE, PAE, PG and EFER's LME and LMA as they come on; `walk 0x7c00` prints the page walk once paging is on.

bits 16
org 0x7c00

PML4        equ 0x1000
PDPT        equ 0x2000
PD          equ 0x3000
EFER        equ 0xc0000080
EFER_LME    equ 1 << 8
CR0_PE      equ 1
CR0_PG      equ 1 << 31
CR4_PAE     equ 1 << 5
COM1        equ 0x3f8
POWER_OFF   equ 0x604

start:
    cli
    xor ax, ax
    mov ds, ax
    lgdt [gdt_register]
    mov eax, cr0
    or eax, CR0_PE
    mov cr0, eax
    jmp 0x08:protected          ; loads CS with a 32-bit segment

bits 32
protected:
    mov ax, 0x10
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov esp, 0x7c00

    ; Page tables: one PML4 entry, one PDPT entry, one page of 2 MiB, all zero but those.
    mov edi, PML4
    xor eax, eax
    mov ecx, 3 * 4096 / 4
    rep stosd
    mov dword [PML4], PDPT + 3
    mov dword [PDPT], PD + 3
    mov dword [PD], 0x83        ; present, writable, large

    mov eax, CR4_PAE
    mov cr4, eax
    mov eax, PML4
    mov cr3, eax
    mov ecx, EFER
    rdmsr
    or eax, EFER_LME
    wrmsr
    mov eax, cr0
    or eax, CR0_PG
    mov cr0, eax                ; EFER.LMA comes on by itself
    jmp 0x18:long_mode          ; a segment with L set: 64-bit code

bits 64
long_mode:
    mov rsi, message
.next:
    lodsb
    test al, al
    jz .off
    mov dx, COM1
    out dx, al
    jmp .next
.off:
    mov dx, POWER_OFF
    mov ax, 1 << 13
    out dx, ax
.halt:
    hlt
    jmp .halt

message db "Hello from long mode", 10, 0

align 8
gdt:
    dq 0
    dq 0x00cf9b000000ffff       ; 0x08: 32-bit code
    dq 0x00cf93000000ffff       ; 0x10: data
    dq 0x00af9b000000ffff       ; 0x18: 64-bit code
gdt_register:
    dw $ - gdt - 1
    dd gdt

times 510 - ($ - $$) db 0
dw 0xaa55
