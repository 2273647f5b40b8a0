; virtio-net: asks the network who has 10.0.2.2, and prints the Ethernet address that comes back, by hand.
;
; Give it a network: `hyperscope run samples/kvm/virtio-net.asm --net user`, or "net": "user" in launch.json.
;
; What to look at: one store to QUEUE_NOTIFY hands over the buffer for the answer, another one sends the question. Step into the
; latter and follow it to the VMM process, whose virtio-net takes the frame out of the guest's memory. The answer comes 20 µs
; later. *Partitions* shows the queues, and under `network` what the user network knows of its guests.

bits 64

; Registers of virtio-mmio (virtio 1.2, 4.2.2). The machine has 8 slots, one behind the other.
VIRTIO      equ 0xfeb00000
SLOT        equ 0x200
SLOTS       equ 8
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
MAC         equ 0x100

ACKNOWLEDGE equ 1
DRIVER      equ 2
DRIVER_OK   equ 4
FEATURES_OK equ 8
VERSION_1   equ 1               ; bit 32: the first of the second word

NETWORK     equ 1
RECEIVE     equ 0
TRANSMIT    equ 1
HAS_MAC     equ 1 << 5
HEADER      equ 12              ; before each frame: nothing is wanted of the device

; The areas of a queue of 8 entries, one behind the other.
ENTRIES     equ 8
AVAILABLE   equ 16 * ENTRIES
USED        equ AVAILABLE + 32
DEVICE_WRITES equ 2

COM1        equ 0x3f8
POWER_OFF   equ 0x604

section .text
global _start
_start:
    mov ebx, VIRTIO
    mov ecx, SLOTS
.look:
    cmp dword [rbx + DEVICE_ID], NETWORK
    je .found
    add ebx, SLOT
    loop .look
    mov rsi, no_card
    jmp finish

.found:
    ; Reset, say hello, choose features, ask whether the device agrees (virtio 1.2, 3.1.1).
    mov dword [rbx + STATUS], 0
    mov dword [rbx + STATUS], ACKNOWLEDGE | DRIVER
    mov dword [rbx + FEATURES_SELECT], 0
    mov dword [rbx + FEATURES], HAS_MAC
    mov dword [rbx + FEATURES_SELECT], 1
    mov dword [rbx + FEATURES], VERSION_1
    mov dword [rbx + STATUS], ACKNOWLEDGE | DRIVER | FEATURES_OK
    mov rsi, refused
    test dword [rbx + STATUS], FEATURES_OK
    jz finish

    mov ecx, RECEIVE
    mov rdi, receive_queue
    call set_up
    mov ecx, TRANSMIT
    mov rdi, transmit_queue
    call set_up
    mov dword [rbx + STATUS], ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK

    ; One buffer for each queue: the first descriptor.
    mov rax, incoming
    mov [receive_queue], rax
    mov dword [receive_queue + 8], HEADER + 1514
    mov dword [receive_queue + 12], DEVICE_WRITES
    mov rax, outgoing
    mov [transmit_queue], rax
    mov dword [transmit_queue + 8], outgoing_end - outgoing
    mov dword [transmit_queue + 12], 0

    ; The card's own address is that of the sender.
    mov eax, [rbx + MAC]
    mov [source], eax
    mov [sender], eax
    mov ax, [rbx + MAC + 4]
    mov [source + 4], ax
    mov [sender + 4], ax

talk:
    mov ecx, RECEIVE
    mov rdi, receive_queue
    call offer
    mov ecx, TRANSMIT
    mov rdi, transmit_queue
    call offer
    mov rdi, receive_queue
    call wait_for

    ; The answer: its sender's address is where the question's was, behind the header.
    mov rsi, answer
    call print
    mov rbp, incoming + HEADER + 22
    mov r12d, 6
.byte:
    movzx r13d, byte [rbp]
    mov eax, r13d
    shr eax, 4
    call digit
    mov eax, r13d
    and eax, 15
    call digit
    inc rbp
    dec r12d
    jz .told
    mov al, ':'
    out dx, al
    jmp .byte
.told:
    mov rsi, end_of_line

finish:
    call print
    mov dx, POWER_OFF
    mov ax, 1 << 13
    out dx, ax
.halt:
    hlt
    jmp .halt

; Tells the device where the queue ECX is: at RDI.
set_up:
    mov [rbx + QUEUE_SELECT], ecx
    mov dword [rbx + QUEUE_SIZE], ENTRIES
    mov [rbx + QUEUE_TABLE], edi
    mov dword [rbx + QUEUE_TABLE + 4], 0
    lea eax, [rdi + AVAILABLE]
    mov [rbx + QUEUE_AVAILABLE], eax
    mov dword [rbx + QUEUE_AVAILABLE + 4], 0
    lea eax, [rdi + USED]
    mov [rbx + QUEUE_USED], eax
    mov dword [rbx + QUEUE_USED + 4], 0
    mov dword [rbx + QUEUE_READY], 1
    ret

; Hands the first buffer of the queue ECX, at RDI, to the device.
offer:
    movzx eax, word [rdi + AVAILABLE + 2]
    mov edx, eax
    and edx, ENTRIES - 1
    mov word [rdi + AVAILABLE + 4 + rdx * 2], 0
    inc eax
    mov [rdi + AVAILABLE + 2], ax
    mov [rbx + QUEUE_NOTIFY], ecx
    ret

; Waits until the device has given back all buffers of the queue at RDI.
wait_for:
    mov ax, [rdi + AVAILABLE + 2]
.again:
    cmp ax, [rdi + USED + 2]
    jne .again
    ret

; Prints the text at RSI. DX is the serial port afterwards.
print:
    mov dx, COM1
.next:
    lodsb
    test al, al
    jz .done
    out dx, al
    jmp .next
.done:
    ret

; Prints EAX, 0 to 15, as a hexadecimal digit.
digit:
    cmp eax, 10
    jb .small
    add eax, 'a' - '0' - 10
.small:
    add eax, '0'
    out dx, al
    ret

section .data
no_card db "no network card: give the guest one with --net user", 10, 0
refused db "the device refuses the features", 10, 0
answer  db "10.0.2.2 is at ", 0
end_of_line db 10, 0

; A frame to all stations (ARP, RFC 826): 10.0.2.15 asks who has 10.0.2.2.
align 8
outgoing:
    times HEADER db 0
destination times 6 db 0xff
source  times 6 db 0
    db 0x08, 0x06               ; ARP
    db 0, 1, 0x08, 0, 6, 4      ; Ethernet and IPv4, with the lengths of their addresses
    db 0, 1                     ; a question
sender  times 6 db 0
    db 10, 0, 2, 15
    times 6 db 0
    db 10, 0, 2, 2
outgoing_end:

section .bss
alignb 256
receive_queue: resb 256
transmit_queue: resb 256
incoming: resb HEADER + 1514
