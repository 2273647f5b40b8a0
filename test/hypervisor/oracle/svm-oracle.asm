; A hypervisor for AMD's processors (oracle.inc). The control structure of a guest is a page, its VMCB. It prints EXITCODE, EXITINFO1, EXITINFO2,
; EXITINTINFO, RIP, RAX, CR0, CR2, interrupt shadow, virtual interrupt control, RCX, RDI, and flags of pages.

%include "oracle.inc"

VMCB    equ 0x500000
HOST_SAVE equ 0x501000
HOST_VMCB equ 0x502000

main64:
        mov ecx, 0xc0000080
        rdmsr
        or eax, 3 << 11         ; SVME, NXE
        wrmsr
        mov ecx, 0xc0010117
        mov eax, HOST_SAVE
        xor edx, edx
        wrmsr
        call copy_maps
        mov eax, HOST_VMCB
        vmsave
        mov esi, guests
next:
        mov edi, VMCB
        mov ecx, 0x1000
        rep movsb
        call copy_guest
        push rsi
        clgi
        clear_registers
        mov eax, VMCB
        vmload
        vmrun
        mov [guest_rcx], rcx
        mov [guest_rdi], rdi
        mov eax, HOST_VMCB
        vmload
        stgi
        mov ebx, fields
.field: mov eax, [rbx]
        test eax, eax
        jz .rest
        mov rax, [VMCB + rax]
        call print_value
        add ebx, 4
        jmp .field
.rest:  print_rest 5, 6
        call newline64
        pop rsi
        cmp esi, guests_end
        jb next
        finish64

fields: dd 0x70, 0x78, 0x80, 0x88, 0x578, 0x5f8, 0x558, 0x640, 0x68, 0x60, 0

        guest_data
