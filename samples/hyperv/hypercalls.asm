; Hypercall: the guest calls the hypervisor through the page that the hypervisor has put into its memory.
;
; What to look at: set a breakpoint on a `call hypercall_page`, continue to it, and Step Into. The guest goes into the hypercall page, whose
; VMCALL (VMMCALL on AMD) leaves it; the call stack shows how the hypervisor takes the control word apart, checks it and the partition's
; privileges, reads the parameters by name, and performs the call. Step Out is back in the guest, with the status in RAX.

bits 64

%include "hyperv.inc"

section .text
global _start
_start:
    call begin_hypercalls

    ; Simple, and in registers: what one 64-bit word holds needs no memory.
    say "HvCallSignalEvent, connection 0x99: status 0x"
    mov rcx, HvCallSignalEvent | FAST
    mov edx, 0x99                       ; nobody connected that number
    call hypercall_page
    call print_status                   ; 0x12, HV_STATUS_INVALID_CONNECTION_ID

    ; Simple, with input and output in memory: where is `_start` in guest physical memory?
    say "HvCallTranslateVirtualAddress: status 0x"
    mov rax, _start
    shr rax, 12
    mov [translate.page], rax
    mov rcx, HvCallTranslateVirtualAddress
    mov rdx, translate                  ; addresses of hypercalls are physical: here they are the same
    mov r8, translated
    call hypercall_page
    call print_status
    say "  page 0x"
    mov rax, [translated + 8]
    call print_hex
    say 10

    ; Rep: the same for each element of a list; the result says how many were done.
    say "HvCallGetVpRegisters: status 0x"
    mov rcx, HvCallGetVpRegisters | REP_ONE * 2
    mov rdx, registers
    mov r8, values
    call hypercall_page
    call print_status
    say "  CR3 is 0x"
    mov rax, [values]
    call print_hex
    say ", EFER is 0x"
    mov rax, [values + 16]
    call print_hex
    say 10

    ; Wrong on purpose: input must be aligned to 8 bytes.
    say "the same, not aligned: status 0x"
    mov rcx, HvCallGetVpRegisters | REP_ONE * 2
    mov rdx, registers + 4
    mov r8, values
    call hypercall_page
    call print_status                   ; 4, HV_STATUS_INVALID_ALIGNMENT

    say "call 0x7fff: status 0x"
    mov rcx, 0x7fff
    call hypercall_page
    call print_status                   ; 2, HV_STATUS_INVALID_HYPERCALL_CODE
    jmp finish

; Prints the status in RAX: bits 15:0. Bits 43:32 are the elements that were done.
print_status:
    push rax
    movzx eax, ax
    call print_hex
    say ", done 0x"
    pop rax
    shr rax, 32
    and eax, 0xfff
    call print_hex
    say 10
    ret

section .data
; Input must not cross a page: none is longer than what it is aligned to.
align 64
translate:
    dq HV_PARTITION_ID_SELF
    dd HV_VP_INDEX_SELF, 0
    dq 1                                ; may it be read?
.page dq 0

align 64
registers:
    dq HV_PARTITION_ID_SELF
    dd HV_VP_INDEX_SELF, 0
    dd 0x00040002, 0x00080001           ; HvX64RegisterCr3, HvX64RegisterEfer

align 64
translated: dq 0, 0
values:     dq 0, 0, 0, 0

%include "hyperv.inc"
