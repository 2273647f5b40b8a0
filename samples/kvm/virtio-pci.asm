; virtio-pci: finds the entropy device on the PCI bus, asks it for 16 bytes, and sleeps until its message (MSI-X) comes.
;
; The machine needs a PCI bus: `hyperscope run samples/kvm/virtio-pci.asm --machine pc`, or "machine": "pc" in launch.json.
;
; What to look at: *Partitions* shows the bus with its functions, their BARs and the entries of their MSI-X tables. Step into an `out` to
; port 0xCFC: it names the register that is written. Step into the store to the notify structure: the device takes the buffer, fills it, and
; sends entry 0 as an interrupt to the local APIC, all before the store is done. So `hlt` has hardly anything to wait for.

bits 64

; Configuration mechanism 1 (PCI Local Bus 3.0, 3.2.2.3.2), and registers of a function.
CONFIG_ADDRESS  equ 0xcf8
CONFIG_DATA     equ 0xcfc
ENABLE          equ 1 << 31
SLOT            equ 1 << 11
COMMAND         equ 0x04
BAR_0           equ 0x10
CAPABILITIES    equ 0x34
MEMORY          equ 1 << 1
BUS_MASTER      equ 1 << 2
VENDOR          equ 0x09        ; ids of capabilities
MSIX            equ 0x11
MSIX_ENABLE     equ 1 << 31     ; in the dword that begins with the id
ENTROPY         equ 0x10441af4  ; vendor 0x1AF4, device 0x1040 + 4

; Structures of virtio over PCI (virtio 1.2, 4.1.4), and the common configuration.
COMMON_CFG      equ 1
NOTIFY_CFG      equ 2
FEATURES_SELECT equ 0x08
FEATURES        equ 0x0c
STATUS          equ 0x14
QUEUE_SELECT    equ 0x16
QUEUE_SIZE      equ 0x18
QUEUE_VECTOR    equ 0x1a
QUEUE_ENABLE    equ 0x1c
QUEUE_TABLE     equ 0x20
QUEUE_AVAILABLE equ 0x28
QUEUE_USED      equ 0x30

ACKNOWLEDGE     equ 1
DRIVER          equ 2
DRIVER_OK       equ 4
FEATURES_OK     equ 8
VERSION_1       equ 1           ; bit 32: the first of the second word
ENTRIES         equ 8
DEVICE_WRITES   equ 2
BYTES           equ 16

APIC            equ 0xfee00000  ; messages to the processor with id 0 are written there too
APIC_EOI        equ APIC + 0xb0
APIC_SPURIOUS   equ APIC + 0xf0
VECTOR          equ 0x40
CODE            equ 0x20
COM1            equ 0x3f8
POWER_OFF       equ 0x604

section .text
global _start
_start:
    ; Which slot of bus 0 is it?
    mov ebx, ENABLE
.look:
    xor eax, eax
    call read
    cmp eax, ENTROPY
    je .found
    add ebx, SLOT
    cmp ebx, ENABLE + 32 * SLOT
    jb .look
    mov rsi, no_device
    call print
    jmp finish

.found:
    mov eax, COMMAND
    mov ecx, MEMORY | BUS_MASTER
    call write

    ; The capabilities tell where everything is.
    mov eax, CAPABILITIES
    call read
    movzx edi, al
.capability:
    mov eax, edi
    call read
    mov r12d, eax               ; id, next, length, type of structure
    cmp al, MSIX
    je .interrupts
    cmp al, VENDOR
    jne .next
    shr eax, 24
    cmp eax, COMMON_CFG
    jne .notify
    call structure
    mov [common_at], rax
.notify:
    mov eax, r12d
    shr eax, 24
    cmp eax, NOTIFY_CFG
    jne .next
    call structure
    mov [notify_at], rax
    jmp .next
.interrupts:
    ; The first entry of the table: write VECTOR to the local APIC.
    lea eax, [rdi + 4]
    call read
    mov ecx, eax
    and ecx, 7
    and eax, ~7
    mov r13d, eax
    call bar
    add rax, r13
    mov dword [rax], APIC
    mov dword [rax + 4], 0
    mov dword [rax + 8], VECTOR
    mov dword [rax + 12], 0     ; not masked
    mov eax, edi
    mov ecx, r12d
    or ecx, MSIX_ENABLE
    call write
.next:
    shr r12d, 8
    movzx edi, r12b
    test edi, edi
    jnz .capability

    ; Who takes the interrupt.
    mov rax, arrived
    mov rdi, idt + VECTOR * 16
    mov [rdi], ax
    mov word [rdi + 2], CODE
    mov word [rdi + 4], 0x8e00
    shr rax, 16
    mov [rdi + 6], ax
    lidt [idt_register]
    mov al, 0xff
    out 0x21, al
    out 0xa1, al
    mov eax, APIC_SPURIOUS
    mov dword [rax], 0x1ff

    ; Reset, say hello, choose features, ask whether the device agrees (virtio 1.2, 3.1.1).
    mov rbx, [common_at]
    mov byte [rbx + STATUS], 0
    mov byte [rbx + STATUS], ACKNOWLEDGE | DRIVER
    mov dword [rbx + FEATURES_SELECT], 0
    mov dword [rbx + FEATURES], 0
    mov dword [rbx + FEATURES_SELECT], 1
    mov dword [rbx + FEATURES], VERSION_1
    mov byte [rbx + STATUS], ACKNOWLEDGE | DRIVER | FEATURES_OK

    ; One queue, with the first entry of the MSI-X table.
    mov word [rbx + QUEUE_SELECT], 0
    mov word [rbx + QUEUE_SIZE], ENTRIES
    mov word [rbx + QUEUE_VECTOR], 0
    mov rax, table
    mov [rbx + QUEUE_TABLE], rax
    mov rax, available
    mov [rbx + QUEUE_AVAILABLE], rax
    mov rax, used
    mov [rbx + QUEUE_USED], rax
    mov word [rbx + QUEUE_ENABLE], 1
    mov byte [rbx + STATUS], ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK

    ; A buffer for the device to write, and the store that tells it.
    mov rax, bytes
    mov [table], rax
    mov dword [table + 8], BYTES
    mov dword [table + 12], DEVICE_WRITES
    mov word [available + 4], 0
    mov word [available + 2], 1
    mov rdx, [notify_at]
    mov word [rdx], 0

.wait:
    sti
    hlt
    cli
    cmp byte [came], 0
    je .wait

    mov rsi, bytes
    mov ebp, BYTES
.byte:
    lodsb
    call hexadecimal
    dec ebp
    jnz .byte
    mov rsi, line_end
    call print

finish:
    mov dx, POWER_OFF
    mov ax, 1 << 13
    out dx, ax
.halt:
    hlt
    jmp .halt

arrived:
    push rax
    mov byte [came], 1
    mov eax, APIC_EOI
    mov dword [rax], 0
    pop rax
    iretq

; Register EAX of the function EBX.
read:
    or eax, ebx
    mov dx, CONFIG_ADDRESS
    out dx, eax
    mov dx, CONFIG_DATA
    in eax, dx
    ret
; ECX into register EAX of the function EBX.
write:
    or eax, ebx
    mov dx, CONFIG_ADDRESS
    out dx, eax
    mov dx, CONFIG_DATA
    mov eax, ecx
    out dx, eax
    ret
; RAX = address of BAR number ECX, which may be 64 bits wide.
bar:
    lea eax, [rcx * 4 + BAR_0 + 4]
    call read
    mov r8d, eax
    lea eax, [rcx * 4 + BAR_0]
    call read
    test eax, 4
    jnz .wide
    xor r8d, r8d
.wide:
    and eax, ~15
    shl r8, 32
    or rax, r8
    ret
; RAX = address of the structure that the capability at EDI tells of.
structure:
    lea eax, [rdi + 4]
    call read
    movzx ecx, al
    call bar
    mov r9, rax
    lea eax, [rdi + 8]
    call read
    add rax, r9
    ret

; AL as two digits.
hexadecimal:
    mov ah, al
    shr al, 4
    call .digit
    mov al, ah
    and al, 15
.digit:
    add al, '0'
    cmp al, '9'
    jbe .put
    add al, 'a' - '0' - 10
.put:
    mov dx, COM1
    out dx, al
    ret
print:
    mov dx, COM1
.next:
    lodsb
    test al, al
    jz .end
    out dx, al
    jmp .next
.end:
    ret

section .data
no_device db "no entropy device on PCI: give the guest a machine with --machine pc", 10, 0
line_end db 10, 0
came     db 0
idt_register:
    dw 256 * 16 - 1
    dq idt

section .bss
alignb 8
common_at:  resq 1
notify_at:  resq 1
bytes:      resb BYTES
alignb 16
idt:        resb 256 * 16
table:      resb 16 * ENTRIES
available:  resb 6 + 2 * ENTRIES
alignb 4
used:       resb 6 + 8 * ENTRIES
