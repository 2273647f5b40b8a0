/** Guests in assembly whose runs must be the same each time, however they are cut into slices. All end by ACPI power-off. */

const POWER_OFF = `
power_off:
  mov dx, 0x604
  mov ax, 0x2000
  out dx, ax
  cli
  hlt
`;

/** Writes interrupt gates: vector in ECX, handler in RAX. Uses RDI, RDX. */
const SET_GATE = `
set_gate:                       ; ecx = vector, rax = handler
  lea rdi, [idt]
  shl rcx, 4
  add rdi, rcx
  mov [rdi], ax
  mov dx, cs
  mov [rdi + 2], dx
  mov word [rdi + 4], 0x8e00
  shr rax, 16
  mov [rdi + 6], ax
  shr rax, 16
  mov [rdi + 8], eax
  mov dword [rdi + 12], 0
  ret
load_idt:
  lea rax, [idt]
  mov [idt_pointer + 2], rax
  lidt [idt_pointer]
  ret
`;

const IDT = `
section .data
align 8
idt_pointer: dw 256 * 16 - 1
  dq 0
section .bss
alignb 16
idt: resb 256 * 16
`;

const integerLoop = `
bits 64
default rel
_start:
  mov rcx, 6000
  mov rax, 0x123456789abcdef
  mov rbx, 0xfedcba9876543210
.next:
  imul rax, rbx
  ror rax, cl
  adc rbx, rax
  xor rdx, rdx
  mov rsi, rbx
  or rsi, 1
  push rax
  div rsi
  pop rax
  add rax, rdx
  rcl rbx, 3
  bt rax, rcx
  setc dl
  shld rbx, rax, 5
  test dl, dl
  jz .even
  call mix
.even:
  dec rcx
  jnz .next
  mov [result], rax
  jmp power_off
mix:
  enter 16, 0
  mov [rbp - 8], rax
  lock xadd [result], rbx
  cmpxchg [result], rcx
  mov rax, [rbp - 8]
  bswap rax
  leave
  ret
${POWER_OFF}
section .data
result: dq 0
`;

const strings = `
bits 64
default rel
_start:
  cld
  mov r15, 12
.round:
  lea rdi, [buffer]
  mov rax, r15
  mov rcx, 300
  rep stosq
  lea rsi, [buffer]
  lea rdi, [buffer + 1203]
  mov rcx, 1000
  rep movsb
  lea rdi, [buffer]
  mov rcx, 2400
  mov al, 0x7f
  repne scasb
  lea rsi, [buffer]
  lea rdi, [buffer + 8]
  mov rcx, 250
  repe cmpsd
  std
  lea rsi, [buffer + 999]
  lea rdi, [buffer + 1999]
  mov rcx, 700
  rep movsb
  cld
  mov rcx, 50
.load:
  lodsw
  add rbx, rax
  loop .load
  dec r15
  jnz .round
  jmp power_off
${POWER_OFF}
section .bss
buffer: resb 8192
`;

const timer = `
bits 64
default rel
_start:
  lea rax, [tick]
  mov ecx, 0x20
  call set_gate
  call load_idt
  mov al, 0x11                  ; PICs: vectors 0x20 and 0x28, only IRQ 0
  out 0x20, al
  out 0xa0, al
  mov al, 0x20
  out 0x21, al
  mov al, 0x28
  out 0xa1, al
  mov al, 4
  out 0x21, al
  mov al, 2
  out 0xa1, al
  mov al, 1
  out 0x21, al
  out 0xa1, al
  mov al, 0xfe
  out 0x21, al
  mov al, 0xff
  out 0xa1, al
  mov al, 0x34                  ; PIT channel 0: rate generator, 25 periods of 838 ns each
  out 0x43, al
  mov al, 25
  out 0x40, al
  xor al, al
  out 0x40, al
  sti
.busy:
  inc rbx
  imul rsi, rbx, 77
  cmp dword [ticks], 12
  jb .busy
.idle:
  hlt
  inc r12
  cmp dword [ticks], 24
  jb .idle
  cli
  jmp power_off
tick:
  push rax
  inc dword [ticks]
  mov al, 0x20
  out 0x20, al
  pop rax
  iretq
${POWER_OFF}
${SET_GATE}
section .data
ticks: dd 0
${IDT}
`;

const pageFaults = `
bits 64
default rel
_start:
  lea rax, [page_fault]
  mov ecx, 14
  call set_gate
  lea rax, [divide_error]
  xor ecx, ecx
  call set_gate
  lea rax, [invalid_opcode]
  mov ecx, 6
  call set_gate
  call load_idt
  mov r15, 40
  mov r14, 0x0000700000000000   ; nothing is mapped there
.next:
  mov rax, r15
  mov [r14], rax
  add r14, 0x1008
  xor edx, edx
  xor ecx, ecx
  mov rax, r15
  div rcx
  ud2
  rep movsb
  dec r15
  jnz .next
  jmp power_off
page_fault:                     ; skips the store of 3 bytes
  add rsp, 8
  mov rbx, cr2
  xor r13, rbx
  add qword [rsp], 3
  iretq
divide_error:
  add qword [rsp], 3
  inc r12
  iretq
invalid_opcode:
  add qword [rsp], 2
  inc r11
  iretq
${POWER_OFF}
${SET_GATE}
${IDT}
`;

const exits = `
bits 64
default rel
_start:
  mov r15, 25
.next:
  mov eax, r15d
  and eax, 7
  xor ecx, ecx
  cpuid
  add r14, rax
  xor r14, rbx
  mov eax, 0x40000000
  cpuid
  add r14, rbx
  rdtsc
  add r14, rax
  mov ecx, 0x10
  rdmsr
  add r14, rax
  mov ecx, 0xc0000080
  rdmsr
  add r14, rax
  mov eax, 99                   ; a hypercall that nobody knows
  VMCALL
  add r14, rax
  mov dx, 0x3f8
  mov eax, r15d
  and al, 15
  add al, 'a'
  out dx, al
  add dx, 5
  in al, dx
  add r14, rax
  mov edx, 0x80
  in al, dx
  mov rax, cr0
  mov cr0, rax
  mov rbx, cr3
  mov cr3, rbx
  dec r15
  jnz .next
  jmp power_off
${POWER_OFF}
`;

export interface Guest {
  readonly name: string;
  readonly source: (vendor: 'intel' | 'amd') => string;
  readonly platforms: readonly ('bare' | 'kvm')[];
}

export const GUESTS: readonly Guest[] = [
  { name: 'integer arithmetic', source: () => integerLoop, platforms: ['bare'] },
  { name: 'repeated strings', source: () => strings, platforms: ['bare'] },
  { name: 'timer interrupts', source: () => timer, platforms: ['bare', 'kvm'] },
  { name: 'page faults and other exceptions', source: () => pageFaults, platforms: ['bare'] },
  {
    name: 'VM exits',
    source: (vendor) => exits.replace('VMCALL', vendor === 'intel' ? 'vmcall' : 'vmmcall'),
    platforms: ['kvm'],
  },
];
