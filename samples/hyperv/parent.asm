; Parent and child: this guest is the root partition. It makes another partition by hypercalls, gives it memory and a virtual processor, and
; runs it. What the child may not do by itself arrives here as a message of the hypervisor, and this program answers it. A doorbell that the
; child rings arrives as the number of a port.
;
; It takes the privilege to make partitions: "privileges": ["usual", "create-partitions"] in launch.json, or
;     hyperscope run samples/hyperv/parent.asm --platform hyperv --privileges usual,create-partitions
;
; What to look at: set a breakpoint on the child's CPUID (label `child`) and continue. The call stack has a second partition now, whose virtual
; processor stands there. Step Into goes through the hypervisor, which composes a message and posts it to partition 1, and arrives in
; `intercepted`, on the parent's virtual processor. Step Over on the same instruction stays with the child: the parent answers meanwhile.

bits 64

%include "hyperv.inc"

HvCallCreatePartition       equ 0x40
HvCallInitializePartition   equ 0x41
HvCallFinalizePartition     equ 0x42
HvCallDeletePartition       equ 0x43
HvCallDepositMemory         equ 0x48
HvCallWithdrawMemory        equ 0x49
HvCallMapGpaPages           equ 0x4b
HvCallInstallIntercept      equ 0x4d
HvCallCreateVp              equ 0x4e
HvCallSetVpRegisters        equ 0x51
HvCallDeletePort            equ 0x58
HvCallCreatePort            equ 0x95
HvCallConnectPort           equ 0x96

CREATE_EXO                  equ 1 << 8  ; the parent manages it whole: HLT is an intercept, too
MAP_ALL                     equ 0xf     ; read, write, execute in the kernel and outside
DEPOSIT                     equ 16      ; pages for what the hypervisor makes

; Intercepts that can be installed, and the messages that they become.
INTERCEPT_PORT              equ 0
INTERCEPT_MSR               equ 1
INTERCEPT_CPUID             equ 2
ON_READ                     equ 1
ON_WRITE                    equ 2
ON_EXECUTE                  equ 4
MESSAGE_UNMAPPED_GPA        equ 0x80000000
MESSAGE_SINT                equ 0x80000061 ; an interrupt source that interrupts by a message
MESSAGE_PORT                equ 0x80010000
MESSAGE_MSR                 equ 0x80010001
MESSAGE_CPUID               equ 0x80010002
MESSAGE_HALT                equ 0x80010007

; Where things are in a message's payload: a header of 40 bytes, then what the type has.
INTERCEPT_LENGTH            equ 4       ; bits 3:0: bytes of the instruction
INTERCEPT_RIP               equ 24
PORT_RAX                    equ 48
CPUID_RAX                   equ 40
GPA                         equ 56

; Registers of a virtual processor by their numbers.
EXPLICIT_SUSPEND            equ 0
INTERCEPT_SUSPEND           equ 1
RAX_                        equ 0x20000
RCX_                        equ 0x20001
RDX_                        equ 0x20002
RBX_                        equ 0x20003
RSP_                        equ 0x20004
RIP_                        equ 0x20010
RFLAGS_                     equ 0x20011
CR0_                        equ 0x40000
ES_                         equ 0x60000
CS_                         equ 0x60001
SS_                         equ 0x60002
DS_                         equ 0x60003
; The upper half of a segment register: limit, selector, attributes.
FLAT_CODE                   equ 0xc09b_0008_ffff_ffff
FLAT_DATA                   equ 0xc093_0010_ffff_ffff

CHILD_PORT                  equ 0x10    ; the child prints there, and only its parent knows
CHILD_MSR                   equ 0x1234
CHILD_LEAF                  equ 0x40001000
DEVICE_PAGE                 equ 0x200   ; page 0x200 of the child: nothing is there until the child touches it

; A doorbell: what the child writes to, which port it rings, and the interrupt source whose event ring tells of the port.
DOORBELL                    equ 0x201 << 12
DOORBELL_PORT               equ 7
DOORBELL_SINT               equ 5
PORT_DOORBELL               equ 4       ; type of ports and connections
SIZE_DWORD                  equ 3       ; it is rung by writes of 4 bytes
ANY_VALUE                   equ 0x80000000
ANY_VP                      equ 0xffffffff
RING_SIZE                   equ 256     ; for each source: a byte that masks its interrupt, one that says full, and numbers of ports
RING_PORTS                  equ 4
RING_LENGTH                 equ 63

; call_of code: with the input at `input` and the output at `output`; stops the program where that fails.
%macro call_of 1
    mov rcx, %1
    call make_call
%endmacro

; register NAME, low [, high]: one more for the list of registers to be set.
%macro register 2-3 0
    mov eax, %1
    mov rdx, %2
    mov rbx, %3
    call add_register
%endmacro

; intercept TYPE, access, parameter
%macro intercept 3
    mov dword [input + 8], %2
    mov dword [input + 12], %1
    mov qword [input + 16], %3
    call_of HvCallInstallIntercept
%endmacro

section .text
global _start
_start:
    call begin_hypercalls
    mov rax, intercepted
    call begin_interrupts
    xor ebx, ebx                        ; interrupt source 0: intercepts of children
    call begin_synic

    ; A partition begins as a number. The hypervisor has no memory of its own for it: this one has to deposit some.
    mov qword [input], CREATE_EXO
    call_of HvCallCreatePartition
    mov rax, [output]
    mov [child_id], rax
    say "made partition 0x"
    mov rax, [child_id]
    call print_hex
    say 10

    mov rax, [child_id]
    mov [input], rax
    mov rax, pool
    shr rax, 12
    mov rdi, input + 8
    mov ecx, DEPOSIT
.deposit:
    stosq
    inc rax
    loop .deposit
    call_of HvCallDepositMemory | REP_ONE * DEPOSIT
    call_of HvCallInitializePartition

    ; Its memory: one page of this partition's, at the same address there. It stays this one's, too.
    mov rax, child
    shr rax, 12
    mov rbx, rax
    call map_page

    mov qword [input + 8], 0            ; virtual processor 0
    mov qword [input + 16], 0
    mov qword [input + 24], 0
    mov qword [input + 32], 0
    call_of HvCallCreateVp

    intercept INTERCEPT_CPUID, ON_EXECUTE, CHILD_LEAF
    intercept INTERCEPT_PORT, ON_WRITE, CHILD_PORT
    intercept INTERCEPT_MSR, ON_READ, CHILD_MSR

    ; The child can tell this partition of something without an intercept: it rings a doorbell, and goes on. The port is this partition's,
    ; and its number comes in the event ring of its interrupt source.
    mov r8, ring_page
    or r8, ENABLE
    wrmsr_of HV_X64_MSR_SIRBP, r8
    wrmsr_of HV_X64_MSR_SINT0 + DOORBELL_SINT, INTERRUPT | SINT_AS_INTERCEPT
    call clear_input
    mov qword [input], HV_PARTITION_ID_SELF
    mov dword [input + 8], DOORBELL_PORT
    mov rax, [child_id]
    mov [input + 16], rax               ; who may connect to it
    mov dword [input + 24], PORT_DOORBELL
    mov dword [input + 32], DOORBELL_SINT
    mov dword [input + 36], ANY_VP
    call_of HvCallCreatePort
    call clear_input
    mov rax, [child_id]
    mov [input], rax
    mov dword [input + 8], DOORBELL_PORT ; the connection may have the same number
    mov qword [input + 16], HV_PARTITION_ID_SELF
    mov dword [input + 24], DOORBELL_PORT
    mov dword [input + 32], PORT_DOORBELL
    mov qword [input + 40], DOORBELL
    mov eax, SIZE_DWORD | ANY_VALUE
    mov [input + 56], rax
    call_of HvCallConnectPort

    ; It starts where this partition says: protected mode without paging, at `child`.
    call begin_registers
    register CS_, 0, FLAT_CODE
    register DS_, 0, FLAT_DATA
    register ES_, 0, FLAT_DATA
    register SS_, 0, FLAT_DATA
    register CR0_, 0x31
    register RIP_, child
    register RSP_, child_stack
    register RFLAGS_, 2
    register EXPLICIT_SUSPEND, 0        ; from here on it runs
    call set_registers

.wait:
    cli
    cmp byte [is_done], 0
    jne .end
    sti
    hlt                                 ; until the child does something
    jmp .wait

    ; Partitions end in the opposite order. Finalize drops what it has, and gives its pages back.
.end:
    mov rax, [child_id]
    mov [input], rax
    call_of HvCallFinalizePartition
    mov qword [input + 8], 0
    call_of HvCallWithdrawMemory | REP_ONE * DEPOSIT
    call_of HvCallDeletePartition
    mov qword [input], HV_PARTITION_ID_SELF
    mov qword [input + 8], DOORBELL_PORT
    call_of HvCallDeletePort
    say "the child is gone; its last word was 0x"
    mov eax, [child_word]               ; in the page that was mapped there
    call print_hex
    say 10
    jmp finish

; The hypervisor has put a message into slot 0 of the message page: an intercept of the child, whose virtual processor waits.
intercepted:
    push rax
    push rbx
    push rcx
    push rdx
    push rsi
    push rdi
    push r8
    mov rsi, message_page
    call begin_registers
    mov eax, [rsi + MESSAGE_TYPE]
    cmp eax, MESSAGE_CPUID
    je .cpuid
    cmp eax, MESSAGE_PORT
    je .port
    cmp eax, MESSAGE_MSR
    je .msr
    cmp eax, MESSAGE_UNMAPPED_GPA
    je .memory
    cmp eax, MESSAGE_HALT
    je .halt
    cmp eax, MESSAGE_SINT
    je .ring
    say "a message that nobody expects", 10
    jmp finish

    ; CPUID: any answer will do, the child believes it.
.cpuid:
    register RAX_, CHILD_LEAF
    register RBX_, 'Hell'
    register RCX_, 'o, c'
    register RDX_, 'hild'
    jmp .behind

    ; OUT: the character in AL goes to this partition's console. The child has none.
.port:
    mov rax, [rsi + MESSAGE_PAYLOAD + PORT_RAX]
    mov dx, COM1
    out dx, al
    jmp .behind

.msr:
    register RAX_, '!'
    register RDX_, 0
    jmp .behind

    ; Nothing is mapped where the child wants to write: give it a page. The same instruction is run again.
.memory:
    push rsi
    mov rax, [rsi + MESSAGE_PAYLOAD + GPA]
    shr rax, 12
    mov rbx, spare_page
    shr rbx, 12
    call map_page
    pop rsi
    call begin_registers
    jmp .go_on

    ; HLT: the child has nothing more to do. It stays suspended, and is ended.
.halt:
    mov byte [is_done], 1
    jmp .taken

    ; A doorbell: the child has gone on. Its ports are taken out of the ring in their order, until there is none; an entry that was taken is 0.
.ring:
    mov rdi, ring_page + DOORBELL_SINT * RING_SIZE
.next_port:
    mov ecx, [ring_next]
    mov ebx, [rdi + RING_PORTS + rcx * 4]
    test ebx, ebx
    jz .unmask
    mov dword [rdi + RING_PORTS + rcx * 4], 0
    inc ecx
    cmp ecx, RING_LENGTH
    jne .has_next
    xor ecx, ecx
.has_next:
    mov [ring_next], ecx
    say "the child rings doorbell 0x"
    mov eax, ebx
    call print_hex
    say 10
    jmp .next_port
    ; The hypervisor has masked further interrupts meanwhile. One port more may have come just before they are let in again.
.unmask:
    mov byte [rdi], 0
    mfence
    cmp dword [rdi + RING_PORTS + rcx * 4], 0
    jne .next_port
    jmp .taken

    ; The instruction was done here: the child goes on behind it.
.behind:
    mov rdx, [rsi + MESSAGE_PAYLOAD + INTERCEPT_RIP]
    movzx eax, byte [rsi + MESSAGE_PAYLOAD + INTERCEPT_LENGTH]
    and eax, 15
    add rdx, rax
    register RIP_, rdx
.go_on:
    register INTERCEPT_SUSPEND, 0
    call set_registers
.taken:
    mov rsi, message_page
    mov dword [rsi + MESSAGE_TYPE], MESSAGE_NONE
    mfence
    test byte [rsi + MESSAGE_FLAGS], MESSAGE_PENDING
    jz .return
    wrmsr_of HV_X64_MSR_EOM, 0
.return:
    pop r8
    pop rdi
    pop rsi
    pop rdx
    pop rcx
    pop rbx
    pop rax
    btr qword [rsp + 16], 9             ; interrupts stay off: the next one comes at the HLT that waits for it
    iretq

MESSAGE_NONE                equ 0

clear_input:
    mov rdi, input
    xor eax, eax
    mov ecx, 128 / 8
    rep stosq
    ret

; Maps page RBX of this partition at page RAX of the child.
map_page:
    mov rdx, [child_id]
    mov [input], rdx
    mov [input + 8], rax
    mov qword [input + 16], MAP_ALL
    mov [input + 24], rbx
    mov rcx, HvCallMapGpaPages | REP_ONE
    jmp make_call

; A list of registers of the child's virtual processor 0: 32 bytes each, behind a header of 16.
begin_registers:
    mov rdi, input
    mov rax, [child_id]
    mov [rdi], rax
    mov qword [rdi + 8], 0
    mov rdi, input + 16
    ret

; The register EAX gets RBX:RDX.
add_register:
    mov [rdi], eax
    mov [rdi + 16], rdx
    mov [rdi + 24], rbx
    add rdi, 32
    ret

set_registers:
    mov rcx, rdi
    sub rcx, input + 16
    shl rcx, 32 - 5                     ; how many, in bits 43:32
    or rcx, HvCallSetVpRegisters

make_call:
    mov rdx, input
    mov r8, output
    call hypercall_page
    test ax, ax
    jnz failed
    ret

failed:
    movzx ebx, ax
    say "a hypercall failed with status 0x"
    mov eax, ebx
    call print_hex
    say 10
    jmp finish

section .data
child_id    dq 0
is_done     db 0
ring_next   dd 0

; What the child runs. It is a page of its own, since all of it is the child's.
section .child progbits align=4096
bits 32
child:
    mov eax, CHILD_LEAF
    cpuid                               ; who is there?
    mov [child_text], ebx
    mov [child_text + 4], ecx
    mov [child_text + 8], edx
    mov ecx, CHILD_MSR
    rdmsr
    mov [child_text + 12], al
    mov esi, child_text
    mov ecx, CHILD_TEXT
.print:
    lodsb
    out CHILD_PORT, al
    loop .print
    mov eax, 0x600d
    mov [DEVICE_PAGE << 12], eax        ; there is no memory, until the parent gives some
    mov eax, [DEVICE_PAGE << 12]
    mov [child_word], eax
    mov [DOORBELL], eax                 ; somebody hears it
    hlt

align 16
child_text  times 13 db 0
            db 10
CHILD_TEXT  equ $ - child_text
align 4
child_word  dd 0
            times 256 db 0
child_stack:

align 4096
bits 64

section .bss
alignb 4096
input:      resb 4096
output:     resb 4096
spare_page: resb 4096
ring_page:  resb 4096
pool:       resb 4096 * DEPOSIT

%include "hyperv.inc"
