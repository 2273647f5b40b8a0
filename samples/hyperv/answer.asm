; The other end of vmbus.asm: a partition that is 10.0.2.2, waits for the question who that is, and answers it.
;
; Run both at a switch: the launch configuration *Hyper-V: two partitions at a switch*, or "partitions" in launch.json, each with
; "platform": "hyperv" and "net": "switch".
;
; What to look at: set a breakpoint at `answer.question`. When it is hit, the question has gone from one partition's ring through the network
; VSP and the virtual switch to the other one's, whose receive buffer has it: RSI is where. The call stack has both partitions; *VMBus
; Channels* shows the rings of both.

%define ANSWERS
%include "vmbus.asm"

; Places in a frame with ARP (RFC 826).
ARP_OPERATION       equ 20
ARP_SENDER          equ 22
ARP_SENDER_IP       equ 28
ARP_TARGET          equ 32
ARP_TARGET_IP       equ 38
ARP_QUESTION        equ 0x0100          ; bytes as they are in the frame
ARP_ANSWER          equ 0x0200
OWN_IP              equ 0x0202000a      ; 10.0.2.2

section .text
; Waits for the question, answers it with a frame of its own, and says who has asked.
answer:
    call receive_rndis
    cmp dword [rbp], RNDIS_PACKET
    jne .another
    mov eax, [rbp + 8]                  ; where the frame is
    lea rsi, [rbp + rax + 8]
    cmp word [rsi + 12], 0x0608         ; ARP
    jne .another
    cmp word [rsi + ARP_OPERATION], ARP_QUESTION
    jne .another
    cmp dword [rsi + ARP_TARGET_IP], OWN_IP
    jne .another
.question:
    ; To whom has asked, as the frame's receiver and as the target of the answer.
    mov eax, [rsi + ARP_SENDER]
    mov [frame], eax
    mov [frame + ARP_TARGET], eax
    mov ax, [rsi + ARP_SENDER + 4]
    mov [frame + 4], ax
    mov [frame + ARP_TARGET + 4], ax
    mov eax, [rsi + ARP_SENDER_IP]
    mov [frame + ARP_TARGET_IP], eax
    mov dword [frame + ARP_SENDER_IP], OWN_IP
    mov word [frame + ARP_OPERATION], ARP_ANSWER
    push rsi
    say "asked by "
    pop rsi
    add rsi, ARP_SENDER
    call print_address
    call release_rndis
    jmp send_packet
.another:
    call release_rndis
    jmp answer
