; A page fault: the guest unmaps a page, touches it, and its handler maps it again.
;
; What to look at: tick "Guest exception" in Breakpoints with the condition `vector == 14`. The run stops before the fault is
; delivered, with the faulting instruction still to come; the exception's details show the page walk and the entry that is
; not present. `walk 0x600000` in the debug console prints the same at any time.

bits 64

PD          equ 0xb000          ; the page directory that maps the first GiB
TARGET      equ 0x600000
COM1        equ 0x3f8
POWER_OFF   equ 0x604
CODE        equ 0x20

section .text
global _start
_start:
    ; A gate for vector 14 that leads to our handler.
    mov rax, page_fault
    mov rdi, idt + 14 * 16
    mov [rdi], ax
    mov word [rdi + 2], CODE
    mov word [rdi + 4], 0x8e00
    shr rax, 16
    mov [rdi + 6], ax
    lidt [idt_register]

    mov qword [PD + (TARGET >> 21) * 8], 0
    invlpg [TARGET]
    mov dword [TARGET], 42      ; faults once, then works
    mov eax, [TARGET]
    cmp eax, 42
    jne .off
    mov rsi, done_text
    call print
.off:
    mov dx, POWER_OFF
    mov ax, 1 << 13
    out dx, ax
.halt:
    hlt
    jmp .halt

; Maps the page of CR2 to itself and tries again.
page_fault:
    push rax
    push rbx
    push rcx
    push rdx
    push rsi
    mov rsi, fault_text
    call print
    mov rax, cr2
    shr rax, 21
    mov rbx, rax
    shl rbx, 21
    or rbx, 0x83                ; present, writable, large
    mov [PD + rax * 8], rbx
    pop rsi
    pop rdx
    pop rcx
    pop rbx
    pop rax
    add rsp, 8                  ; the error code
    iretq

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

section .data
fault_text      db "page fault: mapping the page", 10, 0
done_text       db "the write was done again and held", 10, 0
idt_register:
    dw 256 * 16 - 1
    dq idt

section .bss
alignb 16
idt: resb 256 * 16
