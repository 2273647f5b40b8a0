; VSP and VSC over the VMBus: a driver for the synthetic network card. It finds the card among the devices that the parent partition offers,
; opens a channel to it, agrees on two protocols (NVSP, and RNDIS inside it), and asks the network who has 10.0.2.2.
;
; Run it with a network: `hyperscope run samples/hyperv/vmbus.asm --platform hyperv --net user`. In the launch configuration *Hyper-V: two
; partitions at a switch* another partition answers, answer.asm.
;
; What to look at: set a breakpoint at `send_packet`, then one at the doorbell (`call hypercall_page` in `put_packet`), and step into it. HvSignalEvent goes from the hypervisor to the
; VMBus driver of the parent partition, which takes the packet out of the channel's ring; the network VSP reads the frame from the pages that
; the packet names, and gives it to the virtual switch. All of them are on one call stack. *VMBus Channels* shows the rings.

bits 64

%include "hyperv.inc"

; Messages of the VMBus, which go by HvCallPostMessage one way and by SynIC messages of source 2 the other way.
VMBUS_SOURCE        equ 2
VMBUS_MESSAGE       equ 1
VMBUS_5_3           equ 0x50003
CONTACT_CONNECTION  equ 4
OFFER_CHANNEL       equ 1
REQUEST_OFFERS      equ 3
ALL_OFFERS          equ 4
OPEN_CHANNEL        equ 5
OPEN_RESULT         equ 6
GPADL_HEADER        equ 8
GPADL_CREATED       equ 10
INITIATE_CONTACT    equ 14
VERSION_RESPONSE    equ 15

; A ring: a page of indices, then its data.
RING_WRITE          equ 0
RING_READ           equ 4
RING_MASK           equ 8
RING_DATA           equ 4096
RING_SIZE           equ 4096

; Packets in it.
IN_BAND             equ 6
TRANSFER_PAGES      equ 7
GPA_DIRECT          equ 9
COMPLETION          equ 11
WANTS_COMPLETION    equ 1
PACKET_HEADER       equ 16

; NVSP, the protocol of the network VSP. Its messages have 40 bytes from version 6.1 on.
NVSP_6_1            equ 0x60001
NVSP_SIZE           equ 40
NVSP_INIT           equ 1
NVSP_NDIS_VERSION   equ 100
NVSP_RECEIVE_BUFFER equ 101
NVSP_NDIS_CONFIG    equ 125
NVSP_RNDIS          equ 107
NVSP_RNDIS_DONE     equ 108
RECEIVE_BUFFER_ID   equ 0xcafe
DATA_CHANNEL        equ 0
CONTROL_CHANNEL     equ 1
NO_SECTION          equ -1

; RNDIS, what a network card is told and tells.
RNDIS_PACKET        equ 1
RNDIS_INITIALIZE    equ 2
RNDIS_QUERY         equ 4
RNDIS_SET           equ 5
OID_PERMANENT_ADDRESS equ 0x01010101
OID_PACKET_FILTER   equ 0x0001010e
ALL_FRAMES          equ 0x2d            ; directed, multicast, broadcast, promiscuous

RING_GPADL          equ 1
BUFFER_GPADL        equ 2
BUFFER_PAGES        equ 16

section .text
global _start
_start:
    call begin_hypercalls
    mov rax, wake
    call begin_interrupts
    mov ebx, VMBUS_SOURCE
    call begin_synic

    call connect
    call find_card
    call open_channel
    call start_card
%ifdef ANSWERS
    call answer                         ; answer.asm, which is this driver, too
%else
    call send_packet
    call receive_packet
%endif
    jmp finish

; --- the VMBus ----------------------------------------------------------------------------------------------------------

; Agrees on a version.
connect:
    mov dword [posted.connection], CONTACT_CONNECTION
    mov rsi, contact
    mov ecx, contact_end - contact
    mov r8d, VERSION_RESPONSE
    call ask
    cmp byte [message + 8], 0
    je .refused
    ; The parent says where further messages are to go.
    mov eax, [message + 12]
    mov [posted.connection], eax
    say "VMBus version 5.3", 10
    ret
.refused:
    say "the parent partition refuses version 5.3 of the VMBus", 10
    jmp finish

; Asks for all devices, and notes the number of the network card's channel, and the connection that signals it.
find_card:
    mov rsi, request
    mov ecx, request_end - request
    call post
.next:
    mov ebx, VMBUS_SOURCE
    call take_message
    cmp dword [message], ALL_OFFERS
    je .all
    cmp dword [message], OFFER_CHANNEL
    jne .next
    mov rax, [message + 8]
    mov rdx, [message + 16]
    cmp rax, [network_card]
    jne .next
    cmp rdx, [network_card + 8]
    jne .next
    mov eax, [message + 8 + 176]
    mov [channel], eax
    mov eax, [message + 8 + 184]
    mov [signal_connection], eax
    jmp .next
.all:
    cmp dword [channel], 0
    je .none
    say "the network card is behind channel 0x"
    mov eax, [channel]
    call print_hex
    say 10
    ret
.none:
    say "the parent partition offers no network card: give the guest one with --net user", 10
    jmp finish

; Describes the rings' four pages to the parent, and opens the channel with them.
open_channel:
    mov eax, [channel]
    mov [gpadl.channel], eax
    mov [opening.channel], eax
    mov rax, outgoing_ring
    mov ecx, 4
    mov edx, RING_GPADL
    call describe
    mov rsi, opening
    mov ecx, opening_end - opening
    mov r8d, OPEN_RESULT
    call ask
    cmp dword [message + 16], 0
    jne .failed
    say "the channel is open", 10
    ret
.failed:
    say "the channel can't be opened", 10
    jmp finish

; Describes ECX pages at RAX to the parent, as GPADL number EDX. Fewer than 27 need one message.
describe:
    mov [gpadl.number], edx
    lea edx, [ecx * 8 + 8]
    mov [gpadl.size], dx
    mov edx, ecx
    shl edx, 12
    mov [gpadl.bytes], edx
    lea r9d, [ecx * 8 + gpadl.pages - gpadl]
    shr rax, 12
    mov rdi, gpadl.pages
.page:
    stosq
    inc rax
    loop .page
    mov rsi, gpadl
    mov ecx, r9d
    mov r8d, GPADL_CREATED
    ; falls through

; Posts the ECX bytes at RSI, and waits for the answer of type R8D.
ask:
    push r8
    call post
    mov ebx, VMBUS_SOURCE
    call take_message
    pop r8
    cmp [message], r8d
    jne .strange
    ret
.strange:
    say "the parent partition answers with another message: 0x"
    mov eax, [message]
    call print_hex
    say 10
    jmp finish

; Posts a message of ECX bytes at RSI to the parent partition.
post:
    mov [posted.size], ecx
    mov rdi, posted.payload
    rep movsb
    mov rcx, HvCallPostMessage
    mov rdx, posted
    call hypercall_page
    test ax, ax
    jnz .failed
    ret
.failed:
    push rax
    say "HvCallPostMessage: status 0x"
    pop rax
    movzx eax, ax
    call print_hex
    say 10
    jmp finish

; --- the rings ----------------------------------------------------------------------------------------------------------

; Puts a packet of type EAX with flags EDX and transaction RBX into the outgoing ring: what lies between its header and the payload (ECX
; bytes at RSI), then the payload (R9D bytes at R8). Both have whole 8 bytes. Signals the parent if it may be asleep.
put_packet:
    mov [packet.type], ax
    mov [packet.flags], dx
    mov [packet.transaction], rbx
    lea eax, [ecx + PACKET_HEADER]
    shr eax, 3
    mov [packet.offset], ax
    lea eax, [ecx + r9d + PACKET_HEADER]
    shr eax, 3
    mov [packet.length], ax

    mov r10, outgoing_ring
    mov r11d, [r10 + RING_WRITE]
    mov r12d, r11d                      ; where the packet begins
    push rcx
    push rsi
    mov rsi, packet
    mov ecx, PACKET_HEADER
    call put_bytes
    pop rsi
    pop rcx
    call put_bytes
    mov rsi, r8
    mov ecx, r9d
    call put_bytes
    ; Behind each packet is where it began, in the upper half of 8 bytes.
    mov [footer + 4], r12d
    mov rsi, footer
    mov ecx, 8
    call put_bytes

    ; What the packet says must be there before it is.
    mfence
    mov [r10 + RING_WRITE], r11d
    mfence
    ; The parent sleeps only after it has emptied the ring, and says in the mask when it looks by itself.
    cmp dword [r10 + RING_MASK], 0
    jne .done
    cmp [r10 + RING_READ], r12d
    jne .done
    mov rcx, HvCallSignalEvent | FAST
    mov edx, [signal_connection]
    call hypercall_page                 ; the doorbell
.done:
    ret

; Copies ECX bytes from RSI to index R11 of the ring at R10, around its end.
put_bytes:
    jecxz .done
.byte:
    lodsb
    mov [r10 + r11 + RING_DATA], al
    inc r11d
    and r11d, RING_SIZE - 1
    loop .byte
.done:
    ret

; Waits for a packet of the parent, and takes it out of the incoming ring into `taken`.
take_packet:
    mov r10, incoming_ring
    mov r11d, [r10 + RING_READ]
.look:
    ; The channel's event flag interrupts when it is set: it is taken back before the look, so that what comes behind it interrupts again.
    mov eax, [channel]
    lock btr [event_page + VMBUS_SOURCE * 256], eax
    cmp r11d, [r10 + RING_WRITE]
    jne .found
    sti
    hlt
    cli
    jmp .look
.found:
    mov rdi, taken
    mov ecx, 8
    call take_bytes
    movzx ecx, word [taken + 4]         ; the packet's length in units of 8 bytes
    shl ecx, 3
    sub ecx, 8
    call take_bytes
    add r11d, 8                         ; the footer
    and r11d, RING_SIZE - 1
    mfence
    mov [r10 + RING_READ], r11d
    ret

; Copies ECX bytes from index R11 of the ring at R10 to RDI.
take_bytes:
    mov al, [r10 + r11 + RING_DATA]
    stosb
    inc r11d
    and r11d, RING_SIZE - 1
    loop take_bytes
    ret

; --- the network card ---------------------------------------------------------------------------------------------------

; Sends the NVSP message at R8 and waits until it is completed.
ask_vsp:
    mov eax, IN_BAND
    mov edx, WANTS_COMPLETION
    mov ebx, 1
    xor ecx, ecx
    mov r9d, NVSP_SIZE
    call put_packet
    jmp take_packet

; Sends the NVSP message at R8, which nobody answers.
tell_vsp:
    mov eax, IN_BAND
    xor edx, edx
    xor ebx, ebx
    xor ecx, ecx
    mov r9d, NVSP_SIZE
    jmp put_packet

; Sends the RNDIS message of ECX bytes at RAX, for channel EDX. The packet doesn't hold it: it says in which page of memory it is. The
; VSP completes the packet when it has read it.
send_rndis:
    mov [pages.length], ecx
    mov ebx, eax
    and ebx, 4095
    mov [pages.offset], ebx
    shr rax, 12
    mov [pages.number], rax
    mov [rndis_in_pages.channel], edx
    mov eax, GPA_DIRECT
    mov edx, WANTS_COMPLETION
    mov ebx, 2
    mov rsi, pages
    mov ecx, pages_end - pages
    mov r8, rndis_in_pages
    mov r9d, NVSP_SIZE
    call put_packet
    ret

; Waits for an RNDIS message, and gives its place in RBP. Completions of what was sent come, too. The message stays in the receive buffer until the VSP
; is told that it isn't needed any more.
receive_rndis:
    call take_packet
    cmp word [taken], TRANSFER_PAGES
    jne receive_rndis
    mov ebp, [taken + 28]               ; offset of the first range in the receive buffer
    add rbp, receive_buffer
    mov rax, [taken + 8]
    mov [transaction], rax
    ret

release_rndis:
    mov eax, COMPLETION
    xor edx, edx
    mov rbx, [transaction]
    xor ecx, ecx
    mov r8, rndis_done
    mov r9d, NVSP_SIZE
    jmp put_packet

start_card:
    mov r8, nvsp_init
    call ask_vsp
    cmp dword [taken + PACKET_HEADER + 12], 1
    jne .failed
    mov r8, ndis_config
    call tell_vsp
    mov r8, ndis_version
    call tell_vsp

    ; The VSP puts what comes for the guest into a buffer that it has been given once.
    mov rax, receive_buffer
    mov ecx, BUFFER_PAGES
    mov edx, BUFFER_GPADL
    call describe
    mov r8, give_buffer
    call ask_vsp
    cmp dword [taken + PACKET_HEADER + 4], 1
    jne .failed

    mov rax, initialize
    mov ecx, initialize_end - initialize
    call ask_card
    mov rax, query_address
    mov ecx, query_address_end - query_address
    call ask_card
    ; The answer: where its value is, counted from behind the first 8 bytes.
    mov eax, [rbp + 20]
    lea rsi, [rbp + rax + 8]
    mov eax, [rsi]
    mov [source], eax
    mov [sender], eax
    mov ax, [rsi + 4]
    mov [source + 4], ax
    mov [sender + 4], ax
    say "the card is "
    mov rsi, source
    call print_address
    call release_rndis
    mov rax, set_filter
    mov ecx, set_filter_end - set_filter
    call ask_card
    jmp release_rndis
.failed:
    say "the network VSP refuses", 10
    jmp finish

; Sends the RNDIS message of ECX bytes at RAX to the card itself, and waits for its answer.
ask_card:
    mov edx, CONTROL_CHANNEL
    call send_rndis
    jmp receive_rndis

; Sends the frame.
send_packet:
    mov rax, data_packet
    mov ecx, data_packet_end - data_packet
    mov edx, DATA_CHANNEL
    call send_rndis
    ret

; Waits for the answer, and prints whose it is.
receive_packet:
    call receive_rndis
    cmp dword [rbp], RNDIS_PACKET
    jne .another
    mov eax, [rbp + 8]                  ; where the frame is
    lea rsi, [rbp + rax + 8]
    cmp word [rsi + 12], 0x0608         ; ARP
    jne .another
    cmp word [rsi + 20], 0x0200         ; an answer: others on a switch may ask, too
    jne .another
    add rsi, 22                         ; its sender
    push rsi
    say "10.0.2.2 is at "
    pop rsi
    call print_address
    jmp release_rndis
.another:
    call release_rndis
    jmp receive_packet

; Prints the Ethernet address at RSI and a new line.
print_address:
    mov ecx, 6
.byte:
    movzx eax, byte [rsi]
    push rsi
    push rcx
    mov ebx, eax
    shr eax, 4
    call print_hex
    mov eax, ebx
    and eax, 15
    call print_hex
    pop rcx
    mov rsi, colon
    cmp ecx, 1
    jne .between
    mov rsi, new_line
.between:
    call print
    pop rsi
    inc rsi
    loop .byte
    ret

section .data
colon       db ":", 0
new_line    db 10, 0

; The interface of network cards, f8615163-df3e-46c5-913f-f2d2f965ed0e.
align 8
network_card:
    dd 0xf8615163
    dw 0xdf3e, 0x46c5
    db 0x91, 0x3f, 0xf2, 0xd2, 0xf9, 0x65, 0xed, 0x0e

channel             dd 0
signal_connection   dd 0

; Input of HvCallPostMessage.
align 256
posted:
.connection dd 0, 0
            dd VMBUS_MESSAGE
.size       dd 0
.payload    times 240 db 0

contact:
    dd INITIATE_CONTACT, 0
    dd VMBUS_5_3
    dd 0                                ; answers go to this virtual processor
    db VMBUS_SOURCE, 0                  ; as messages of this source
    times 6 db 0
    dq 0, 0                             ; no monitor pages
contact_end:

request:
    dd REQUEST_OFFERS, 0
request_end:

gpadl:
    dd GPADL_HEADER, 0
.channel dd 0
.number  dd 0
.size    dw 0                           ; bytes of the ranges that follow
         dw 1                           ; one range
.bytes   dd 0
         dd 0                           ; offset in its first page
.pages   times 26 dq 0

opening:
    dd OPEN_CHANNEL, 0
.channel dd 0
    dd 1                                ; a number that comes back with the answer
    dd RING_GPADL
    dd 0                                ; interrupts go to this virtual processor
    dd 2                                ; the incoming ring begins with page 2
    times 120 db 0
opening_end:

align 8
packet:
.type       dw 0
.offset     dw 0
.length     dw 0
.flags      dw 0
.transaction dq 0
footer      dq 0
transaction dq 0

; Ranges of a packet whose data are in memory: one, of one page.
pages:
    dd 0, 1
.length dd 0
.offset dd 0
.number dq 0
pages_end:

; NVSP messages.
align 8
nvsp_init:
    dd NVSP_INIT, NVSP_6_1, NVSP_6_1
    times NVSP_SIZE - 12 db 0
ndis_config:
    dd NVSP_NDIS_CONFIG, 1514, 0
    dq 0
    times NVSP_SIZE - 20 db 0
ndis_version:
    dd NVSP_NDIS_VERSION, 6, 0x1e
    times NVSP_SIZE - 12 db 0
give_buffer:
    dd NVSP_RECEIVE_BUFFER, BUFFER_GPADL
    dw RECEIVE_BUFFER_ID
    times NVSP_SIZE - 10 db 0
rndis_in_pages:
    dd NVSP_RNDIS
.channel dd 0
    dd NO_SECTION, 0
    times NVSP_SIZE - 16 db 0
rndis_done:
    dd NVSP_RNDIS_DONE, 1
    times NVSP_SIZE - 8 db 0

; RNDIS messages: each must lie in one page here.
align 64
initialize:
    dd RNDIS_INITIALIZE, initialize_end - initialize
    dd 1, 1, 0, 0x4000                  ; request, version 1.0, longest transfer
initialize_end:
align 64
query_address:
    dd RNDIS_QUERY, query_address_end - query_address
    dd 2, OID_PERMANENT_ADDRESS, 0, 0, 0
query_address_end:
align 64
set_filter:
    dd RNDIS_SET, set_filter_end - set_filter
    dd 3, OID_PACKET_FILTER, 4, 20, 0
    dd ALL_FRAMES
set_filter_end:

align 128
data_packet:
    dd RNDIS_PACKET, data_packet_end - data_packet
    dd frame - data_packet - 8, data_packet_end - frame
    dd 0, 0, 0, 0, 0, 0, 0
; A frame to all stations (ARP, RFC 826): 10.0.2.15 asks who has 10.0.2.2.
frame:
    times 6 db 0xff
source  times 6 db 0
    db 0x08, 0x06
    db 0, 1, 0x08, 0, 6, 4
    db 0, 1
sender  times 6 db 0
    db 10, 0, 2, 15
    times 6 db 0
    db 10, 0, 2, 2
data_packet_end:

%include "hyperv.inc"

section .bss
alignb 4096
outgoing_ring: resb RING_DATA + RING_SIZE
incoming_ring: resb RING_DATA + RING_SIZE
receive_buffer: resb BUFFER_PAGES * 4096
taken: resb 4096
