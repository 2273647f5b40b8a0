; virtio-console: a driver for port 0 of a virtio console, with interrupts. It says hello, and gives back what you type in capitals,
; until you press Enter.
;
; Run it with the machine that has virtio devices: `hyperscope run samples/kvm/virtio-console.asm --machine microvm`, or the
; configuration "KVM: virtio console". In the Debug Console, `input hello` types.
;
; What to look at: the two queues in the panel *Virtqueues*. Queue 0 is for what the guest receives: its buffer is there before
; anything was typed, and waits. Queue 1 is for what it transmits. Step into a store to QUEUE_NOTIFY and follow the buffer through
; the device; the last frame before the device is done raises the interrupt that wakes the guest from `hlt`.

bits 64

; Registers of virtio-mmio (virtio 1.2, 4.2.2). The machine has eight slots, and slot N is at pin 16 + N of the I/O APIC.
SLOTS           equ 0xfeb00000
SLOT_SIZE       equ 0x200
SLOT_COUNT      equ 8
FIRST_PIN       equ 16
DEVICE_ID       equ 0x008
FEATURES        equ 0x020
FEATURES_SELECT equ 0x024
QUEUE_SELECT    equ 0x030
QUEUE_SIZE      equ 0x038
QUEUE_READY     equ 0x044
QUEUE_NOTIFY    equ 0x050
INTERRUPT_STATUS equ 0x060
INTERRUPT_ACK   equ 0x064
STATUS          equ 0x070
QUEUE_TABLE     equ 0x080
QUEUE_AVAILABLE equ 0x090
QUEUE_USED      equ 0x0a0

ACKNOWLEDGE     equ 1
DRIVER          equ 2
DRIVER_OK       equ 4
FEATURES_OK     equ 8
VERSION_1       equ 1           ; bit 32: the first of the second word
CONSOLE         equ 3

; Queues of the console, and where each of them has its parts.
RECEIVE         equ 0
TRANSMIT        equ 1
ENTRIES         equ 4
TABLE           equ 0x000
AVAILABLE       equ 0x100
USED            equ 0x200
QUEUE_BYTES     equ 0x300
DEVICE_WRITES   equ 2
ROOM            equ 64

APIC            equ 0xfee00000
APIC_EOI        equ 0x0b0
APIC_SPURIOUS   equ 0x0f0
IO_APIC         equ 0xfec00000
IO_APIC_DATA    equ 0x10
LEVEL           equ 1 << 15
VECTOR          equ 0x40
CODE            equ 0x20

COM1            equ 0x3f8
POWER_OFF       equ 0x604

section .text
global _start
_start:
    ; The console is in one of the slots; an empty one has the id 0.
    mov ebx, SLOTS
    xor ecx, ecx
.look:
    cmp dword [rbx + DEVICE_ID], CONSOLE
    je .found
    add ebx, SLOT_SIZE
    inc ecx
    cmp ecx, SLOT_COUNT
    jb .look
    mov rsi, no_console
    jmp complain

.found:
    mov [device], rbx
    call set_up_interrupt

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
    jz complain
    mov ecx, RECEIVE
    mov rdx, receive_queue
    call set_up_queue
    mov ecx, TRANSMIT
    mov rdx, transmit_queue
    call set_up_queue
    mov dword [rbx + STATUS], ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK

    mov rsi, hello
    mov ecx, hello_end - hello
    call transmit

    ; What was typed comes back in capitals; Enter ends it.
.next:
    call receive                ; RSI: where, ECX: how many
    mov rdi, rsi
    mov edx, ecx
    xor ebp, ebp
.capital:
    mov al, [rdi]
    cmp al, 13
    je .enter
    cmp al, 10
    jne .letter
.enter:
    mov byte [rdi], 10
    inc ebp
.letter:
    cmp al, 'a'
    jb .kept
    cmp al, 'z'
    ja .kept
    sub byte [rdi], 'a' - 'A'
.kept:
    inc rdi
    dec edx
    jnz .capital
    call transmit
    test ebp, ebp
    jz .next

power_off:
    mov dx, POWER_OFF
    mov ax, 1 << 13
    out dx, ax
.halt:
    hlt
    jmp .halt

; Prints RSI on the serial port: there is no console to say it on.
complain:
    mov dx, COM1
.next:
    lodsb
    test al, al
    jz power_off
    out dx, al
    jmp .next

; Transmits ECX bytes at RSI, and waits until the device has read them.
transmit:
    mov rdx, transmit_queue
    mov [rdx + TABLE], rsi
    mov [rdx + TABLE + 8], ecx
    mov dword [rdx + TABLE + 12], 0
    mov ecx, TRANSMIT
    jmp exchange

; Waits for something to be typed. RSI: where it is, ECX: bytes.
receive:
    mov rdx, receive_queue
    mov rax, typed
    mov [rdx + TABLE], rax
    mov dword [rdx + TABLE + 8], ROOM
    mov dword [rdx + TABLE + 12], DEVICE_WRITES
    mov ecx, RECEIVE
    call exchange
    mov rsi, typed
    ret

; Makes descriptor 0 of the queue at RDX, whose number is ECX, available and sleeps until it comes back. ECX: bytes that were written.
exchange:
    movzx eax, word [rdx + AVAILABLE + 2]
    mov edi, eax
    and edi, ENTRIES - 1
    mov word [rdx + AVAILABLE + 4 + rdi * 2], 0
    inc eax
    mov [rdx + AVAILABLE + 2], ax
    mov [rbx + QUEUE_NOTIFY], ecx
.asleep:
    ; An interrupt between the look and the nap would be slept through: STI lets it in only behind the next instruction.
    cli
    cmp ax, [rdx + USED + 2]
    je .back
    sti
    hlt
    jmp .asleep
.back:
    sti
    mov ecx, [rdx + USED + 4 + rdi * 8 + 4]
    ret

; Tells the device of the queue at RDX, whose number is ECX.
set_up_queue:
    mov [rbx + QUEUE_SELECT], ecx
    mov dword [rbx + QUEUE_SIZE], ENTRIES
    lea rax, [rdx + TABLE]
    mov [rbx + QUEUE_TABLE], eax
    mov dword [rbx + QUEUE_TABLE + 4], 0
    lea rax, [rdx + AVAILABLE]
    mov [rbx + QUEUE_AVAILABLE], eax
    mov dword [rbx + QUEUE_AVAILABLE + 4], 0
    lea rax, [rdx + USED]
    mov [rbx + QUEUE_USED], eax
    mov dword [rbx + QUEUE_USED + 4], 0
    mov dword [rbx + QUEUE_READY], 1
    ret

; Leads the interrupt of slot ECX to `woken`.
set_up_interrupt:
    mov rax, woken
    mov rdi, idt + VECTOR * 16
    mov [rdi], ax
    mov word [rdi + 2], CODE
    mov word [rdi + 4], 0x8e00
    shr rax, 16
    mov [rdi + 6], ax
    lidt [idt_register]
    mov al, 0xff                ; the old interrupt controllers stay quiet
    out 0x21, al
    out 0xa1, al
    mov eax, APIC
    mov dword [rax + APIC_SPURIOUS], 0x1ff
    ; Two registers for each pin: where it leads, then what it is.
    mov edi, IO_APIC
    lea eax, [rcx + rcx + 0x10 + 2 * FIRST_PIN]
    mov [rdi], eax
    mov dword [rdi + IO_APIC_DATA], LEVEL | VECTOR
    inc eax
    mov [rdi], eax
    mov dword [rdi + IO_APIC_DATA], 0
    sti
    ret

; The device has given a buffer back. Its line stays high until it is told that we know.
woken:
    push rax
    push rbx
    mov rbx, [device]
    mov eax, [rbx + INTERRUPT_STATUS]
    mov [rbx + INTERRUPT_ACK], eax
    mov eax, APIC
    mov dword [rax + APIC_EOI], 0
    pop rbx
    pop rax
    iretq

section .data
hello       db "Hello from a virtio console. Type something, and Enter.", 10
hello_end:
no_console  db "no virtio console: run it with --machine microvm", 10, 0
refused     db "the device refuses the features", 10, 0
idt_register:
    dw 256 * 16 - 1
    dq idt

section .bss
alignb 16
idt:            resb 256 * 16
alignb 16
receive_queue:  resb QUEUE_BYTES
alignb 16
transmit_queue: resb QUEUE_BYTES
device:         resq 1
typed:          resb ROOM
