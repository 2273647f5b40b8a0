; A hypervisor for Intel's processors (oracle.inc). The control structure of a guest is a list of the fields of its VMCS: pairs of an encoding and a
; value, up to an encoding of FFFFFFFFh. It prints the fields at `fields`, RAX, CR2, RCX, RDI, and flags of pages; or `fail` and the
; VM-instruction error where the entry was refused. The bitmaps are I/O A, I/O B, MSR.

%include "oracle.inc"

VMXON_AREA equ 0x500000
VMCS    equ 0x501000
VIRTUAL_APIC equ 0x510000
; Stands for the task priority in that page where encodings of fields are.
VIRTUAL_TPR equ 0x10000
FIELDS_SIZE equ 0x800

; Host field, value in RAX.
%macro host 2
        mov rax, %2
        mov edx, %1
        vmwrite rdx, rax
%endmacro

; A control word as the processor allows it: its capability MSR has the bits that must be 1 below, those that may be above.
%macro allow 2
        mov ecx, %2
        rdmsr
        mov ebp, %1
        vmread r8, rbp
        or r8d, eax
        and r8d, edx
        vmwrite rbp, r8
%endmacro

main64:
        ; Eight bits a character.
        mov edx, 0x3fb
        mov al, 3
        out dx, al
        mov ecx, 0x3a
        rdmsr
        test al, 1
        jnz .locked
        or eax, 5
        wrmsr
.locked:
        mov rax, cr0
        or eax, 0x20
        mov cr0, rax
        mov rax, cr4
        or eax, 0x2000
        mov cr4, rax
        mov ecx, 0x480
        rdmsr
        mov [VMXON_AREA], eax
        mov [VMCS], eax
        mov eax, VMXON_AREA
        push rax
        vmxon [rsp]
        call copy_maps
        mov esi, guests
next:
        mov eax, VMCS
        push rax
        vmclear [rsp]
        vmptrld [rsp]
        pop rax
        lea rbx, [rsi + FIELDS_SIZE]
.write: mov eax, [rsi]
        cmp eax, -1
        je .written
        mov rdx, [rsi + 8]
        add esi, 16
        cmp eax, VIRTUAL_TPR
        je .priority
        vmwrite rax, rdx
        jmp .write
.priority:
        mov [VIRTUAL_APIC + 0x80], edx
        jmp .write
.written:
        mov rsi, rbx
        call copy_guest
        mov [following], rsi
        call host_state
        host 0x6c14, rsp
        xor eax, eax
        mov cr2, rax
        clear_registers
        vmlaunch
        say64 "fail "
        mov edx, 0x4400
        vmread rax, rdx
        call print_value
        jmp done
left:   mov [guest_rax], rax
        mov [guest_rcx], rcx
        mov [guest_rdi], rdi
        ; IRET ends the blocking of NMIs that an injected one has left.
        mov rcx, rsp
        push DATA
        push rcx
        pushfq
        push CODE64
        push .open
        iretq
.open:
        mov ebx, fields
.field: mov eax, [rbx]
        cmp eax, -1
        je .rest
        vmread rax, rax
        call print_value
        add ebx, 4
        jmp .field
.rest:  mov rax, [guest_rax]
        call print_value
        mov rax, cr2
        call print_value
        print_rest 8, 9
done:   call newline64
        mov rsi, [following]
        cmp esi, guests_end
        jb next
        say64 "end", 10
        ; The last characters are still on their way.
        mov edx, 0x3fd
.sent:  in al, dx
        test al, 0x40
        jz .sent
        ; Bochs ends at this word.
        mov esi, shutdown
        mov edx, 0x8900
        mov ecx, 8
        rep outsb
        hlt

; The host's fields but for RSP, and the controls as the processor has them.
host_state:
        allow 0x4000, 0x48d
        allow 0x4002, 0x48e
        allow 0x400c, 0x48f
        allow 0x4012, 0x490
        host 0x0c00, DATA
        host 0x0c02, CODE64
        host 0x0c04, DATA
        host 0x0c06, DATA
        host 0x0c08, DATA
        host 0x0c0a, DATA
        host 0x0c0c, TSS64
        host 0x6c00, cr0
        host 0x6c02, cr3
        host 0x6c04, cr4
        host 0x6c06, 0
        host 0x6c08, 0
        host 0x6c0a, tss64
        mov eax, [gdt_register + 2]
        mov edx, 0x6c0c
        vmwrite rdx, rax
        mov eax, [idt_register + 2]
        mov edx, 0x6c0e
        vmwrite rdx, rax
        host 0x6c10, 0
        host 0x6c12, 0
        host 0x4c00, 0
        host 0x6c16, left
        mov ecx, 0xc0000080
        rdmsr
        mov edx, 0x2c02
        vmwrite rdx, rax
        ret

shutdown: db "Shutdown"
        align 8
following: dq 0
guest_rax: dq 0
fields: dd 0x4402, 0x6400, 0x2400, 0x640a, 0x4404, 0x4406, 0x4408, 0x440a, 0x440c, 0x681e, 0x6820, 0x6800, 0x4824, 0x4826, 0x6822, 0x482e, -1

        guest_data
