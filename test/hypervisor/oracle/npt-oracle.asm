; A hypervisor for AMD's processors that runs small guests with nested paging, one after the other, and prints how each one left: EXITCODE, EXITINFO1,
; EXITINFO2, EXITINTINFO, RIP, RAX, CR2, RCX, RDI, and which of the first 64 pages were accessed and written by their nested entries.
; The guests come from the test: memory that all share (`memory.bin`, from address 1000h), and for each a VMCB, its code, and its
; nested page tables as a list of addresses and values (`guests.bin`).

%include "common64.inc"

VMCB    equ 0x500000
HOST_SAVE equ 0x501000
HOST_VMCB equ 0x502000

MEMORY  equ 0x1000
CODE_AT equ 0x8000
CODE_SIZE equ 0x200
LIST_SIZE equ 0x2400
RECORD  equ 0x1000 + CODE_SIZE + LIST_SIZE
; The nested page table of the lowest 2 MiB.
TABLE   equ 0xc01000

main64:
        mov ecx, 0xc0000080
        rdmsr
        or eax, 3 << 11         ; SVME, NXE
        wrmsr
        mov ecx, 0xc0010117
        mov eax, HOST_SAVE
        xor edx, edx
        wrmsr
        cld
        mov eax, HOST_VMCB
        vmsave
        mov ebx, guests
next:
        mov esi, base
        mov edi, MEMORY
        mov ecx, base_end - base
        rep movsb
        mov esi, ebx
        mov edi, VMCB
        mov ecx, 0x1000
        rep movsb
        mov edi, CODE_AT
        mov ecx, CODE_SIZE
        rep movsb
.entry: mov rdi, [rsi]
        test rdi, rdi
        jz .entered
        mov rax, [rsi + 8]
        mov [rdi], rax
        add esi, 16
        jmp .entry
.entered:
        push rbx
        clgi
        xor ebx, ebx
        xor ecx, ecx
        xor edx, edx
        xor ebp, ebp
        xor esi, esi
        xor edi, edi
        mov eax, VMCB
        vmload
        vmrun
        mov [count], rcx
        mov [place], rdi
        mov eax, HOST_VMCB
        vmload
        stgi
        mov ebx, fields
.field: mov eax, [rbx]
        test eax, eax
        jz .registers
        mov rax, [VMCB + rax]
        call print_hex64
        say64 " "
        add ebx, 4
        jmp .field
.registers:
        mov rax, [count]
        call print_hex64
        say64 " "
        mov rax, [place]
        call print_hex64
        say64 " "
        mov edx, 5
        call flags
        say64 " "
        mov edx, 6
        call flags
        call newline64
        pop rbx
        add ebx, RECORD
        cmp ebx, guests_end
        jb next
        finish64

; Prints bit EDX of the first 64 nested entries.
flags:  xor eax, eax
        mov ecx, 63
.page:  shl rax, 1
        mov rsi, [TABLE + rcx * 8]
        bt rsi, rdx
        adc rax, 0
        dec ecx
        jns .page
        jmp print_hex64

fields: dd 0x70, 0x78, 0x80, 0x88, 0x578, 0x5f8, 0x640, 0
align 8
count:  dq 0
place:  dq 0

align 4096
base:   incbin "memory.bin"
base_end:
guests: incbin "guests.bin"
guests_end:
        times 16 db 0
memory
