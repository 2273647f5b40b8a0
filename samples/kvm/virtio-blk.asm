; virtio-blk: reads the first sector of a disk, writes it to the last one and reads it from there, by hand.
;
; Give it a disk: `hyperscope run samples/kvm/virtio-blk.asm --disk samples/kvm/disk.img`, or the configuration "KVM: virtio disk".
; What it writes stays in memory; the file is not changed.
;
; What to look at: the store to QUEUE_NOTIFY is the one exit that a request makes. Step into it and follow it to the VMM
; process, whose virtio-blk takes the chain of three descriptors out of the guest's memory and serves it. The panel *Virtqueues*
; shows the queue meanwhile: the chain waits, is in flight, and was given back.

bits 64

; Registers of virtio-mmio (virtio 1.2, 4.2.2), in the first of the machine's slots.
VIRTIO      equ 0xfeb00000
MAGIC       equ 0x000
DEVICE_ID   equ 0x008
FEATURES    equ 0x020
FEATURES_SELECT equ 0x024
QUEUE_SELECT equ 0x030
QUEUE_SIZE  equ 0x038
QUEUE_READY equ 0x044
QUEUE_NOTIFY equ 0x050
STATUS      equ 0x070
QUEUE_TABLE equ 0x080
QUEUE_AVAILABLE equ 0x090
QUEUE_USED  equ 0x0a0
CAPACITY    equ 0x100

ACKNOWLEDGE equ 1
DRIVER      equ 2
DRIVER_OK   equ 4
FEATURES_OK equ 8
VERSION_1   equ 1               ; bit 32: the first of the second word

BLOCK       equ 2
READ        equ 0
WRITE       equ 1
ENTRIES     equ 8
NEXT        equ 1
DEVICE_WRITES equ 2

COM1        equ 0x3f8
POWER_OFF   equ 0x604

section .text
global _start
_start:
    mov ebx, VIRTIO
    mov rsi, no_disk
    cmp dword [rbx + MAGIC], 'virt'
    jne finish
    cmp dword [rbx + DEVICE_ID], BLOCK
    jne finish

    ; Reset, say hello, choose features, ask whether the device agrees (virtio 1.2, 3.1.1).
    mov dword [rbx + STATUS], 0
    mov dword [rbx + STATUS], ACKNOWLEDGE | DRIVER
    mov dword [rbx + FEATURES_SELECT], 0
    mov dword [rbx + FEATURES], 0
    mov dword [rbx + FEATURES_SELECT], 1
    mov dword [rbx + FEATURES], VERSION_1
    mov dword [rbx + STATUS], ACKNOWLEDGE | DRIVER | FEATURES_OK
    mov rsi, refused
    test dword [rbx + STATUS], FEATURES_OK
    jz finish

    ; One queue.
    mov dword [rbx + QUEUE_SELECT], 0
    mov dword [rbx + QUEUE_SIZE], ENTRIES
    mov rax, table
    mov [rbx + QUEUE_TABLE], eax
    mov dword [rbx + QUEUE_TABLE + 4], 0
    mov rax, available
    mov [rbx + QUEUE_AVAILABLE], eax
    mov dword [rbx + QUEUE_AVAILABLE + 4], 0
    mov rax, used
    mov [rbx + QUEUE_USED], eax
    mov dword [rbx + QUEUE_USED + 4], 0
    mov dword [rbx + QUEUE_READY], 1
    mov dword [rbx + STATUS], ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK

    ; The capacity is 64 bits wide.
    mov r12d, [rbx + CAPACITY + 4]
    shl r12, 32
    mov eax, [rbx + CAPACITY]
    or r12, rax
    dec r12                     ; the last sector

    mov eax, READ
    xor edi, edi
    call request
    mov rsi, failed
    jne finish
    mov eax, WRITE
    mov rdi, r12
    call request
    mov rsi, failed
    jne finish
    mov rdi, sector
    mov ecx, 512
    xor eax, eax
    rep stosb
    mov eax, READ
    mov rdi, r12
    call request
    mov rsi, failed
    jne finish
    mov rsi, sector

finish:
    mov dx, COM1
.next:
    lodsb
    test al, al
    jz .off
    out dx, al
    jmp .next
.off:
    mov dx, POWER_OFF
    mov ax, 1 << 13
    out dx, ax
.halt:
    hlt
    jmp .halt

; Moves `sector` from (EAX = READ) or to (WRITE) the sector RDI of the disk. Zero flag: it was done.
request:
    mov [header], eax
    mov [header + 8], rdi
    xor ecx, ecx
    cmp eax, READ
    jne .filled
    mov ecx, DEVICE_WRITES
.filled:
    or ecx, NEXT
    ; The chain: what is wanted, the data, the room for the status.
    mov rax, header
    mov [table], rax
    mov dword [table + 8], 16
    mov dword [table + 12], NEXT | 1 << 16
    mov rax, sector
    mov [table + 16], rax
    mov dword [table + 24], 512
    mov [table + 28], cx
    mov word [table + 30], 2
    mov rax, status
    mov [table + 32], rax
    mov dword [table + 40], 1
    mov dword [table + 44], DEVICE_WRITES

    ; Its first descriptor goes into the ring, then the index moves on.
    movzx eax, word [available + 2]
    mov ecx, eax
    and ecx, ENTRIES - 1
    mov word [available + 4 + rcx * 2], 0
    inc eax
    mov [available + 2], ax
    mov byte [status], 0xff
    mov dword [rbx + QUEUE_NOTIFY], 0
.wait:
    cmp ax, [used + 2]
    jne .wait
    cmp byte [status], 0
    ret

section .data
no_disk db "no virtio disk: give the guest one with --disk", 10, 0
refused db "the device refuses the features", 10, 0
failed  db "the request failed", 10, 0

section .bss
alignb 4096
table:      resb 16 * ENTRIES
alignb 4
available:  resb 6 + 2 * ENTRIES
alignb 4
used:       resb 6 + 8 * ENTRIES
alignb 8
header:     resb 16
status:     resb 1
sector:     resb 512
            resb 1
