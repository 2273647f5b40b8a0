; A hypervisor for Intel's processors that runs small guests with EPT, one after the other, and prints how each one left on port E9: exit reason,
; qualification, guest physical and linear address, IDT-vectoring information, RIP, RAX, CR2, RCX, RDI, and which of the first 64 pages
; were accessed and written by their entries. Bochs loads it at 1 MiB and enters it in 32-bit mode.
;
; From the test come, as numbers of 64 bits with 0 behind the last: what guest memory has in it (`memory.bin`: addresses and values), the EPT
; entries of the lowest 2 MiB (`tables.bin`: the same), fields of the VMCS (`fields.bin`: encodings plus 1, and values), and for each guest
; (`guests.bin`) RSP, 64 bytes of code, and its own entries.

        bits 32
        org 0x100000

TABLES  equ 0x200000
STACK   equ 0x300000
VMX_REGION   equ 0x700000
CONTROL_REGION    equ 0x702000
MEMORY  equ 0x1000
MEMORY_END equ 0x10000
CODE_AT equ 0x8000
CODE_SIZE equ 64
; The EPT page table of the lowest 2 MiB.
LOWEST  equ 0xc01000
CR0_NE  equ 0x20
CR4_VMXE equ 0x2000

start:  cli
        cld
        mov esp, STACK
        mov edi, TABLES
        xor eax, eax
        mov ecx, 0x3000 / 4
        rep stosd
        mov dword [TABLES], TABLES + 0x1003
        mov dword [TABLES + 0x1000], TABLES + 0x2003
        mov edi, TABLES + 0x2000
        mov eax, 0x83
        mov ecx, 512
.map:   mov [edi], eax
        add eax, 0x200000
        add edi, 8
        loop .map
        mov eax, TABLES
        mov cr3, eax
        mov eax, 0x20 | CR4_VMXE
        mov cr4, eax
        mov ecx, 0xc0000080
        rdmsr
        or eax, 0x100
        wrmsr
        mov eax, cr0
        or eax, 0x80000001 | CR0_NE
        mov cr0, eax
        lgdt [gdt_pointer]
        jmp 8:wide

        bits 64
wide:   mov eax, 16
        mov ds, eax
        mov es, eax
        mov ss, eax
        mov fs, eax
        mov gs, eax
        mov eax, 24
        ltr ax
        mov ecx, 0x3a
        rdmsr
        test al, 1
        jnz .locked
        or eax, 5
        wrmsr
.locked:
        mov ecx, 0x480
        rdmsr
        and eax, 0x7fffffff
        mov [VMX_REGION], eax
        mov [revision], eax
        vmxon [vmxon_at]
        jbe failed
        mov ebx, guests
next:   mov edi, MEMORY
        mov ecx, (MEMORY_END - MEMORY) / 8
        xor eax, eax
        rep stosq
        mov esi, memory
        call put_all
        mov esi, tables
        call put_all
        mov edi, CONTROL_REGION
        mov ecx, 512
        xor eax, eax
        rep stosq
        mov eax, [revision]
        mov [CONTROL_REGION], eax
        vmclear [vmcs_at]
        vmptrld [vmcs_at]
        jbe failed
        mov esi, fields
.field: lodsq
        test rax, rax
        jz .fielded
        lea rdx, [rax - 1]
        lodsq
        vmwrite rdx, rax
        jbe failed
        jmp .field
.fielded:
        call host_state
        call controls
        mov esi, ebx
        lodsq
        mov edx, 0x681c         ; RSP
        vmwrite rdx, rax
        mov edi, CODE_AT
        mov ecx, CODE_SIZE / 8
        rep movsq
        call put_all
        mov [following], rsi
        xor eax, eax
        mov cr2, rax
        xor ebx, ebx
        xor ecx, ecx
        xor edx, edx
        xor ebp, ebp
        xor esi, esi
        xor edi, edi
        vmlaunch
failed: mov al, '!'
        out 0xe9, al
        mov edx, 0x4400
        vmread rax, rdx
        call print
        jmp finish

left:   mov [seen_rax], rax
        mov [seen_rcx], rcx
        mov [seen_rdi], rdi
        mov rax, cr2
        mov [seen_cr2], rax
        mov esi, shown
.next:  lodsd
        test eax, eax
        jz .fields_done
        vmread rax, rax
        call print
        jmp .next
.fields_done:
        mov esi, seen_rax
        mov ecx, 4
.register:
        lodsq
        call print
        loop .register
        mov edx, 8
        call flags
        mov edx, 9
        call flags
        mov al, 10
        out 0xe9, al
        mov rbx, [following]
        cmp ebx, guests_end
        jb next
finish: mov esi, shutdown
.letter:
        lodsb
        mov dx, 0x8900
        out dx, al
        test al, al
        jnz .letter
        hlt

; Puts values at addresses up to a 0.
put_all:
        lodsq
        test rax, rax
        jz .done
        mov rdi, rax
        lodsq
        mov [rdi], rax
        jmp put_all
.done:  ret

; Writes RAX to the field EDX, with what a capability MSR in ECX makes of it.
%macro control 3
        mov ecx, %2
        rdmsr
        mov edi, %3
        or eax, edi
        and eax, edx
        mov edx, %1
        vmwrite rdx, rax
%endmacro
controls:
        control 0x4000, 0x481, 0
        control 0x4002, 0x482, (1 << 7) | (1 << 31)
        control 0x401e, 0x48b, 1 << 1
        control 0x400c, 0x483, 1 << 9
        control 0x4012, 0x484, 1 << 9
        ret

%macro host 2
        mov edx, %1
        mov eax, %2
        vmwrite rdx, rax
%endmacro
host_state:
        mov rax, cr0
        mov edx, 0x6c00
        vmwrite rdx, rax
        mov rax, cr3
        mov edx, 0x6c02
        vmwrite rdx, rax
        mov rax, cr4
        mov edx, 0x6c04
        vmwrite rdx, rax
        host 0xc00, 16
        host 0xc02, 8
        host 0xc04, 16
        host 0xc06, 16
        host 0xc08, 16
        host 0xc0a, 16
        host 0xc0c, 24
        host 0x6c0a, tss
        host 0x6c0c, gdt
        host 0x6c14, STACK - 0x100
        host 0x6c16, left
        ret

; Prints RAX and a space.
print:  push rcx
        push rbx
        mov rbx, rax
        mov ecx, 16
.digit: rol rbx, 4
        mov al, bl
        and al, 15
        cmp al, 10
        jb .decimal
        add al, 'a' - 10 - '0'
.decimal:
        add al, '0'
        out 0xe9, al
        loop .digit
        mov al, ' '
        out 0xe9, al
        pop rbx
        pop rcx
        ret

; Prints bit EDX of the first 64 entries.
flags:  xor eax, eax
        mov ecx, 63
.page:  shl rax, 1
        mov rsi, [LOWEST + rcx * 8]
        bt rsi, rdx
        adc rax, 0
        dec ecx
        jns .page
        jmp print

shown:  dd 0x4402, 0x6400, 0x2400, 0x640a, 0x4408, 0x681e, 0
shutdown: db "Shutdown", 0
        align 8
vmxon_at: dq VMX_REGION
vmcs_at: dq CONTROL_REGION
following: dq 0
seen_rax: dq 0
seen_cr2: dq 0
seen_rcx: dq 0
seen_rdi: dq 0
revision: dd 0
        align 8
gdt:    dq 0, 0x00af9b000000ffff, 0x00cf93000000ffff
        dw 0x67, tss - $$, 0x8910, 0
        dq 0
gdt_pointer:
        dw 39
        dd gdt
        align 8
tss:    times 104 db 0
        align 8
memory: incbin "memory.bin"
tables: incbin "tables.bin"
fields: incbin "fields.bin"
guests: incbin "guests.bin"
guests_end:
