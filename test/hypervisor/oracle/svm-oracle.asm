; A hypervisor for AMD's processors that runs small guests, one after the other, and prints how each one left: EXITCODE, EXITINFO1, EXITINFO2,
; EXITINTINFO, RIP, RAX, CR0, CR2, interrupt shadow, virtual interrupt control. The guests come from the test: memory that all share (`memory.bin`, from
; address 1000h), permission maps (`maps.bin`: IOPM, MSRPM), and for each a VMCB and its code (`guests.bin`).

%include "common64.inc"

VMCB    equ 0x500000
HOST_SAVE equ 0x501000
HOST_VMCB equ 0x502000
MAPS    equ 0x504000

MEMORY  equ 0x1000
CODE_AT equ 0x8000
CODE_SIZE equ 0x200
RECORD  equ 0x1000 + CODE_SIZE

main64:
        mov ecx, 0xc0000080
        rdmsr
        or eax, 1 << 12
        wrmsr
        mov ecx, 0xc0010117
        mov eax, HOST_SAVE
        xor edx, edx
        wrmsr
        cld
        mov esi, maps
        mov edi, MAPS
        mov ecx, maps_end - maps
        rep movsb
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
        push rbx
        clgi
        xor ebx, ebx
        xor ecx, ecx
        xor edx, edx
        xor ebp, ebp
        xor esi, esi
        xor edi, edi
        mov r8, rbx
        mov r9, rbx
        mov r10, rbx
        mov r11, rbx
        mov r12, rbx
        mov r13, rbx
        mov r14, rbx
        mov r15, rbx
        mov eax, VMCB
        vmload
        vmrun
        mov eax, HOST_VMCB
        vmload
        stgi
        mov ebx, fields
.field: mov eax, [rbx]
        test eax, eax
        jz .done
        mov rax, [VMCB + rax]
        call print_hex64
        say64 " "
        add ebx, 4
        jmp .field
.done:  call newline64
        pop rbx
        add ebx, RECORD
        cmp ebx, guests_end
        jb next
        finish64

fields: dd 0x70, 0x78, 0x80, 0x88, 0x578, 0x5f8, 0x558, 0x640, 0x68, 0x60, 0

align 4096
maps:   incbin "maps.bin"
maps_end:
base:   incbin "memory.bin"
base_end:
guests: incbin "guests.bin"
guests_end:
        times 16 db 0
memory
