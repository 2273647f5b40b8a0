; Several processors: one starts the others, they share a counter under a lock, interrupt each other, and change a mapping.
;
; What to look at: the Call Stack has a vCPU each. An application processor begins in real mode at 0000 of segment 0800; step
; it through protected mode into long mode. Then break at `shootdown` and see who waits for whom. Try 2, 4 or 64 vCPUs; on
; platform kvm every message between processors is a VM exit.

bits 64

MOST            equ 64              ; processors that there is room for
ROUNDS          equ 200             ; times that each takes the lock
TRAMPOLINE      equ 0x8000          ; where a start-up message with vector 8 starts a processor
WINDOW          equ 0x3fe00000      ; a linear page that is mapped to one page, then to another
CODE            equ 0x20
COM1            equ 0x3f8
POWER_OFF       equ 0x604
CMOS_PROCESSORS equ 0x5f

; Registers of the local APIC, by their offsets in its page. As MSRs of x2APIC they are 0x800 + offset / 16.
APIC            equ 0xfee00000
APIC_EOI        equ 0xb0
APIC_LDR        equ 0xd0
APIC_SPURIOUS   equ 0xf0
APIC_COMMAND    equ 0x300
APIC_TARGET     equ 0x310
; What a command says, besides its vector.
LOWEST          equ 0x100
NMI             equ 0x400
INIT            equ 0x500
STARTUP         equ 0x600
LOGICAL         equ 0x800
ASSERT          equ 0x4000
TO_SELF         equ 0x40000
TO_ALL          equ 0x80000
TO_OTHERS       equ 0xc0000
; Vectors.
VECTOR_CALL equ 0x40            ; counts
VECTOR_WAKE equ 0x41            ; does nothing but wake
VECTOR_SHOOTDOWN equ 0x42            ; a mapping has changed

; Writes EAX to a register of this processor's local APIC. Changes RCX and RDX.
%macro apic_write 1
%ifdef X2APIC
    mov ecx, 0x800 + (%1 >> 4)
    xor edx, edx
    wrmsr
%else
    mov ecx, APIC
    mov [rcx + %1], eax
%endif
%endmacro

section .text
global _start
_start:
    mov rsp, stacks + 4096
    call make_idt
    call set_up
    mov al, CMOS_PROCESSORS
    out 0x70, al
    in al, 0x71
    movzx ebx, al
    inc ebx
    mov [processors], ebx
    call start_others

    mov rsi, text_started
    mov eax, [online]
    call report

    ; All add to the counter at the same time.
    mov dword [stage], 1
    call wake_others
    call count
    mov edi, finished
    mov eax, [processors]
    call wait_for
    mov rsi, text_counted
    mov eax, [counter]
    call report
    mov rsi, text_listed
    call list_length
    call report

    call interrupt_others
    call change_mapping

    mov dword [stage], 4
    mov edi, stopped
    mov eax, [processors]
    dec eax
    call wait_for
    mov dx, POWER_OFF
    mov ax, 1 << 13
    out dx, ax
halt:
    cli
    hlt
    jmp halt

; --- starting processors ------------------------------------------------------------------------------------------------

; INIT, then two start-up messages, to one processor after the other.
start_others:
    mov rax, cr3
    mov [root], eax
    mov rsi, trampoline
    mov edi, TRAMPOLINE
    mov ecx, trampoline_end - trampoline
    cld
    rep movsb
    mov ebx, 1
.next:
    cmp ebx, [processors]
    jae .done
    mov edx, ebx
    mov eax, INIT | ASSERT
    call send
    mov ecx, 10000                  ; a real one wants 10 ms here
    call delay
    mov edx, ebx
    mov eax, STARTUP | ASSERT | TRAMPOLINE >> 12
    call send
    mov ecx, 200
    call delay
    mov edx, ebx
    mov eax, STARTUP | ASSERT | TRAMPOLINE >> 12
    call send                       ; it runs already: the second one is ignored
    inc ebx
    mov edi, online
    mov eax, ebx
    dec eax
    call wait_for
    jmp .next
.done:
    inc dword [online]
    ret

; An application processor in long mode. R15 is its number as long as it runs.
application:
    mov eax, 1
    cpuid
    shr ebx, 24
    mov eax, ebx
    inc eax
    shl eax, 12
    lea rsp, [stacks + rax]
    call set_up
    lock inc dword [online]
    mov eax, 1
    call sleep_until
    call count
    mov eax, 2
    call sleep_until
    call look
    lock inc dword [looked]
    mov eax, 3
    call sleep_until
    call look
    lock inc dword [looked]
    mov edi, stage
    mov eax, 4
    call wait_for
    lock inc dword [stopped]
    jmp halt

; What every processor does for itself: its number, its vectors, its local APIC. Interrupts on.
set_up:
    mov eax, 1
    cpuid
    shr ebx, 24
    mov r15d, ebx
    lidt [idt_register]
%ifdef X2APIC
    mov ecx, 0x1b
    rdmsr
    or eax, 1 << 10
    wrmsr
%else
    ; The number of a processor in logical destinations is a bit; there are eight. In x2APIC mode the numbers are fixed.
    xor eax, eax
    cmp r15d, 8
    jae .no_number
    lea ecx, [r15 + 24]
    bts eax, ecx
.no_number:
    apic_write APIC_LDR
%endif
    mov eax, 0x1ff                  ; enabled, spurious vector 0xff
    apic_write APIC_SPURIOUS
    sti
    ret

; --- a lock ---------------------------------------------------------------------------------------------------------------

; Takes the lock again and again; each time adds 1 to the counter, not in one instruction, and puts a node into the list.
count:
    mov ebx, ROUNDS
    imul r8, r15, ROUNDS * 16
    lea r8, [nodes + r8]
.round:
    mov eax, 1
    lock xadd [next_ticket], eax
.wait:
    cmp [now_serving], eax
    je .mine
    pause
    jmp .wait
.mine:
    mov eax, [counter]
    inc eax
    mov [counter], eax
    mov rax, [list]
    mov [r8], rax
    mov [r8 + 8], r15
    mov [list], r8
    inc dword [now_serving]
    add r8, 16
    dec ebx
    jnz .round
    lock inc dword [finished]
    ret

; EAX: nodes in the list.
list_length:
    xor eax, eax
    mov rcx, [list]
.next:
    test rcx, rcx
    jz .done
    inc eax
    mov rcx, [rcx]
    jmp .next
.done:
    ret

; --- interrupts between processors ----------------------------------------------------------------------------------------

; Each kind of message, while the others sleep. EBP: how many interrupts they make in all.
interrupt_others:
    xor ebp, ebp
    ; To each processor by its number.
    xor ebx, ebx
.each:
    mov edx, ebx
    mov eax, VECTOR_CALL | ASSERT
    call send
    mov edx, ebx
    mov eax, NMI | ASSERT
    call send
    inc ebx
    add ebp, 2
    cmp ebx, [processors]
    jb .each
    call await_calls
    ; To this one, to all, to all others.
    mov eax, VECTOR_CALL | ASSERT | TO_SELF
    call send
    inc ebp
    call await_calls
    mov eax, VECTOR_CALL | ASSERT | TO_ALL
    call send
    add ebp, ebx
    call await_calls
    mov eax, VECTOR_CALL | ASSERT | TO_OTHERS
    call send
    lea ebp, [rbp + rbx - 1]
    call await_calls
    ; To processor 0 or 1, whichever does what matters less: this one says that it is busy.
    mov eax, 3                      ; task priority 0x30
    mov cr8, rax
    mov edx, 3
    mov eax, VECTOR_CALL | ASSERT | LOWEST | LOGICAL
    call send
    xor eax, eax
    mov cr8, rax
    inc ebp
    call await_calls
    mov rsi, text_interrupted
    mov eax, [calls]
    call report
    mov rsi, text_first
    mov eax, [calls_of_first]
    jmp report

; Waits until EBP interrupts have come in all.
await_calls:
    mov edi, calls
    mov eax, ebp
    jmp wait_for

call_handler:
    lock inc dword [calls]
    test r15d, r15d
    jnz wake_handler
    inc dword [calls_of_first]
wake_handler:
    push rax
    push rcx
    push rdx
    xor eax, eax
    apic_write APIC_EOI
    pop rdx
    pop rcx
    pop rax
    iretq

; An NMI has no end of interrupt.
nmi_handler:
    lock inc dword [calls]
    iretq

; --- a mapping that changes -----------------------------------------------------------------------------------------------

; Maps the window to a page, has all look, maps it to another one, has all look again.
change_mapping:
    ; The window gets a table of its own: entry 0x1ff of the page directory for the first GiB.
    mov rax, page_a
    or eax, 3
    mov [table], rax
    mov rax, cr3
    and rax, -4096
    mov rax, [rax]
    and rax, -4096
    mov rax, [rax]
    and rax, -4096
    mov rcx, table
    or ecx, 3
    mov [rax + 0x1ff * 8], rcx
    mov rax, WINDOW
    invlpg [rax]
    call look
    mov dword [stage], 2
    call wake_others
    mov edi, looked
    mov eax, [processors]
    dec eax
    call wait_for

    call shootdown
    ; Nobody may see the old page any more.
    mov dword [page_a], 1000
    call look
    mov dword [stage], 3
    call wake_others
    mov edi, looked
    mov eax, [processors]
    dec eax
    shl eax, 1
    call wait_for
    mov rsi, text_seen
    mov eax, [seen]
    jmp report

; Changes the entry, tells the others, and waits until each has dropped its translation.
shootdown:
    mov rax, page_b
    or eax, 3
    mov [table], rax
    mov rax, WINDOW
    invlpg [rax]
    mov eax, VECTOR_SHOOTDOWN | ASSERT | TO_OTHERS
    call send
    mov edi, dropped
    mov eax, [processors]
    dec eax
    jmp wait_for

shootdown_handler:
    push rax
    mov rax, WINDOW
    invlpg [rax]
    pop rax
    lock inc dword [dropped]
    jmp wake_handler

; Adds what stands in the window to what all have seen.
look:
    mov eax, [WINDOW]
    lock add [seen], eax
    ret

; --- waiting, sending, printing -------------------------------------------------------------------------------------------

; Spins until the word at RDI is EAX or more.
wait_for:
    cmp [rdi], eax
    jae .done
    pause
    jmp wait_for
.done:
    ret

; Sleeps until the stage is EAX. Between the look and HLT no interrupt can come in: STI takes effect behind HLT.
sleep_until:
    cli
    cmp [stage], eax
    jae .done
    sti
    hlt
    jmp sleep_until
.done:
    sti
    ret

wake_others:
    mov eax, VECTOR_WAKE | ASSERT | TO_OTHERS
; Sends the command in EAX to the processor with the number in EDX.
send:
%ifdef X2APIC
    mov ecx, 0x800 + (APIC_COMMAND >> 4)
    wrmsr
%else
    mov ecx, APIC
    shl edx, 24
    mov [rcx + APIC_TARGET], edx
    mov [rcx + APIC_COMMAND], eax
%endif
    ret

delay:
    dec ecx
    jnz delay
    ret

; Prints the text at RSI and the number in EAX.
report:
    push rax
    mov dx, COM1
.next:
    lodsb
    test al, al
    jz .number
    out dx, al
    jmp .next
.number:
    pop rax
    mov edi, digits_end
    mov ecx, 10
.digit:
    xor edx, edx
    div ecx
    add dl, '0'
    dec edi
    mov [rdi], dl
    test eax, eax
    jnz .digit
    mov dx, COM1
.print:
    mov al, [rdi]
    out dx, al
    inc edi
    cmp al, 10
    jne .print
    ret

; Gates for the four vectors.
make_idt:
    mov rsi, gates
.next:
    mov ecx, [rsi]
    test ecx, ecx
    jz .done
    mov eax, [rsi + 4]
    shl ecx, 4
    lea rdi, [idt + rcx]
    mov [rdi], ax
    mov word [rdi + 2], CODE
    mov word [rdi + 4], 0x8e00
    shr eax, 16
    mov [rdi + 6], ax
    add rsi, 8
    jmp .next
.done:
    ret

; --- from real mode to long mode ------------------------------------------------------------------------------------------

; Copied to TRAMPOLINE: a start-up message can't name an address above 1 MiB.
trampoline:
bits 16
    cli
    mov ax, cs
    mov ds, ax
    o32 lgdt [gdt_register - trampoline]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    jmp dword 8:(TRAMPOLINE + protected - trampoline)
bits 32
protected:
    mov ax, 0x10
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov eax, cr4
    or eax, 1 << 5                  ; PAE
    mov cr4, eax
    mov eax, [root]
    mov cr3, eax
    mov ecx, 0xc0000080             ; EFER
    rdmsr
    or eax, 1 << 8                  ; LME
    wrmsr
    mov eax, cr0
    or eax, 1 << 31                 ; paging
    mov cr0, eax
    jmp CODE:(TRAMPOLINE + long_mode - trampoline)
bits 64
long_mode:
    mov eax, application
    jmp rax
align 8
gdt:
    dq 0
    dq 0x00cf9b000000ffff           ; 0x08: 32-bit code
    dq 0x00cf93000000ffff           ; 0x10: data
    dq 0
    dq 0x00af9b000000ffff           ; 0x20: 64-bit code
gdt_register:
    dw gdt_register - gdt - 1
    dd TRAMPOLINE + gdt - trampoline
trampoline_end:

section .data
gates:
    dd 2, nmi_handler
    dd VECTOR_CALL, call_handler
    dd VECTOR_WAKE, wake_handler
    dd VECTOR_SHOOTDOWN, shootdown_handler
    dd 0
idt_register:
    dw 256 * 16 - 1
    dq idt
text_started        db "processors: ", 0
text_counted        db "counter: ", 0
text_listed         db "nodes in the list: ", 0
text_interrupted    db "interrupts between processors: ", 0
text_first          db "of them to the first: ", 0
text_seen           db "seen in the window: ", 0
digits              times 10 db 0
digits_end          db 10
align 8
list                dq 0
root                dd 0            ; physical address of the page tables
processors          dd 0
online              dd 0
stage               dd 0
next_ticket         dd 0
now_serving         dd 0
counter             dd 0
finished            dd 0
calls               dd 0
calls_of_first      dd 0
dropped             dd 0
looked              dd 0
seen                dd 0
stopped             dd 0
align 4096
page_a              dd 1
align 4096
page_b              dd 100

section .bss
align 4096
table               resb 4096
idt                 resb 4096
stacks              resb MOST * 4096
nodes               resb MOST * ROUNDS * 16
