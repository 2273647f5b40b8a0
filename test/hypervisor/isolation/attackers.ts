import type { PartitionConfiguration } from '../../../src/platforms/configuration.ts';

/** A guest that tries to reach beyond its partition, or to make the host work for it alone. */
export interface Attacker {
  readonly name: string;
  readonly source: string;
  readonly configuration?: Partial<PartitionConfiguration>;
  /** What the journals must say was refused. */
  readonly refused?: readonly string[];
  /** A device of its partition asks, or the processor by itself, not one of its instructions: there is no exit that says so. */
  readonly withoutExit?: boolean;
  /** It must come to its end. */
  readonly ends?: boolean;
}

/** Bytes of RAM of each guest here. */
export const RAM = 8 << 20;

const OFF = `
    mov dx, 0x604
    mov ax, 0x2000
    out dx, ax
    cli
    hlt`;

/**
 * Around an attack: `try` does one instruction whatever fault it raises, `map A` maps the page at WINDOW to the entry A and goes on
 * with the page behind it. All interrupts are taken and ended.
 */
export const around = (attack: string) => `bits 64
WINDOW equ 0x8000000000
TABLES equ 0x600000
%macro try 1+
    mov qword [resume], %%next
    %1
%%next:
%endmacro
%macro map 1
    mov rax, %1
    mov [TABLES + 0x2000], rax
    mov rax, WINDOW
    invlpg [rax]
%endmacro
_start:
    mov rsp, 0x580000
    mov edi, idt
    xor ecx, ecx
.gate:
    mov eax, caught
    cmp ecx, 32
    jb .exception
    mov eax, ended
.exception:
    mov [rdi], ax
    mov word [rdi + 2], cs
    mov word [rdi + 4], 0x8e00
    shr eax, 16
    mov [rdi + 6], ax
    add edi, 16
    inc ecx
    cmp ecx, 256
    jb .gate
    lidt [idt_register]
    mov rax, cr3
    mov qword [rax + 8], TABLES + 3
    mov qword [TABLES], TABLES + 0x1003
    mov qword [TABLES + 0x1000], TABLES + 0x2003
    mov rax, cr4
    or eax, 0x200                   ; OSFXSR
    mov cr4, rax
    mov rbx, WINDOW
    mov edi, 0xfee00000
    mov dword [rdi + 0xf0], 0x1ff
${attack}
leave: ${OFF}
; A fault: on with the next attempt.
caught:
    mov rsp, 0x580000
    jmp [resume]
ended:
    push rax
    push rcx
    push rdx
    mov eax, 0xfee000b0
    mov dword [rax], 0
    mov al, 0x20
    out 0x20, al
    out 0xa0, al
    mov al, 0x0c
    out 0x70, al
    in al, 0x71
    pop rdx
    pop rcx
    pop rax
    iretq
align 8
resume: dq leave
idt_register: dw 0xfff
    dq idt
align 16
idt: times 4096 db 0
`;

/** Physical addresses where nothing of the partition is, as entries of a page table. */
const ELSEWHERE = [
  RAM,
  RAM + 0x1000,
  0x4000_0000,
  0xbfff_f000,
  0xfed0_0000,
  0xfee0_1000,
  0xfeef_f000,
  0xffff_f000,
  0x1_0000_0000,
  0x7f_ffff_f000,
  0xff_ffff_f000,
  2 ** 45,
  2 ** 46 - 0x1000,
];
/** Entries with address bits that no processor here has, and other reserved ones. */
const RESERVED = [
  '0x000ffffffffff003',
  '0x0008000000000003',
  '0x7ff0000000000003',
  '0xfff0000000000003',
  '-1',
  '0x00ffffff00000083',
];
const entry = (address: number) => `0x${(BigInt(address) + 3n).toString(16)}`;

const memory: readonly Attacker[] = [
  {
    name: 'reads and writes physical addresses beyond its RAM',
    refused: ['memory'],
    source: around(
      [...ELSEWHERE.map(entry), ...RESERVED]
        .map(
          (value) =>
            `map ${value}\ntry mov rax, [rbx]\ntry mov [rbx + 0xff8], rax\ntry lock xadd [rbx], rax\ntry movups xmm0, [rbx]`,
        )
        .join('\n'),
    ),
    ends: true,
  },
  {
    name: 'accesses memory across the end of its RAM',
    refused: ['memory'],
    source: around(`
    map ${entry(RAM - 0x1000)}
    mov rax, ${entry(RAM)}
    mov [TABLES + 0x2008], rax
    lea rbp, [rbx + 0xffc]
    try mov rax, [rbp]
    try mov [rbp], rax
    try movups xmm0, [rbp]
    try movups [rbp], xmm0
    try cmpxchg16b [rbp - 4]
    try fxsave [rbp - 0x7c]
    try lgdt [rbp]
    mov rdi, rbp
    mov esi, 0x100000
    mov ecx, 0x800
    try rep movsq
    lea rsi, [rbx + 0xf00]
    mov edi, 0x500000
    mov ecx, 0x1000
    try rep movsb
    lea rdi, [rbx + 0xff8]
    mov ecx, 0x2000
    try rep stosd
    lea rsp, [rbx + 0x1004]
    try push rax
    lea rsp, [rbx + 0xffc]
    try pop rax`),
    ends: true,
  },
  {
    name: 'wraps around the ends of the address space',
    source: around(`
    try mov rax, [-4]
    try mov [-1], rax
    try movups xmm0, [-8]
    mov rdi, -16
    mov ecx, 100
    try rep stosb
    mov rsi, -8
    mov edi, 0x500000
    mov ecx, 100
    try rep movsb
    mov rsi, 0x7ffffffffffc
    try lodsq
    mov rax, 0x800000000000
    try mov rax, [rax]
    mov rsp, 4
    try push rax
    xor esp, esp
    try push rax
    mov eax, -1
    try jmp rax
    mov rax, -1
    try jmp rax
    mov qword [0x500002], -2
    mov word [0x500000], 0xffff
    try lgdt [0x500000]
    try lldt word [0x500000]`),
  },
  {
    name: 'points its page tables beyond its RAM',
    refused: ['memory'],
    withoutExit: true,
    source: around(`
    mov rax, cr3
    mov rdx, ${entry(RAM)}
    mov [rax + 16], rdx
    mov rsi, 0x10000000000
    try mov rax, [rsi]
    mov rax, cr3
    mov rdx, 0x7fffffffff003
    mov [rax + 16], rdx
    try mov rax, [rsi]
    mov rdx, 0x7ffffff000
    mov cr3, rdx
    mov rax, [0]`),
    ends: true,
  },
  {
    name: 'runs code where it has no memory',
    refused: ['memory'],
    withoutExit: true,
    source: around('map 0xb0000003\njmp rbx'),
    ends: true,
  },
  {
    name: 'gives the hypervisor addresses that are not its own',
    configuration: { platform: 'kvm' },
    source: around(
      ['0x4b564d00', '0x4b564d01', '0x11', '0x12', '0x4b564d02', '0x4b564d03', '0x4b564d04']
        .flatMap((msr) =>
          [RAM, RAM - 8, 2 ** 32, 2 ** 45].map(
            (gpa) => `mov ecx, ${msr}\nmov rax, ${gpa + 1}\nmov rdx, rax\nshr rdx, 32\ntry wrmsr`,
          ),
        )
        .concat(
          ['-1', '-16', '0xffffffffffff0', `${RAM - 4}`, '0x8000000000000000'].map(
            (gpa) => `mov eax, 9\nmov rbx, ${gpa}\nxor ecx, ecx\ntry vmcall`,
          ),
        )
        .join('\n'),
    ),
    ends: true,
  },
];

/** ICR commands: fixed, lowest priority, NMI, INIT, start-up, each to a number, to a logical destination and with shorthands. */
const COMMANDS = [0x4040, 0x4140, 0x4400, 0x4500, 0x4608, 0x4840, 0x4940, 0xc0000 + 0x4040, 0xc4400, 0xc4500, 0xc4608, 0x84040];

const interrupts: readonly Attacker[] = [
  {
    name: 'sends every kind of message to every processor number',
    refused: ['vcpus'],
    source: around(`
    sti
    mov ebp, 1
.number:
    mov eax, ebp
    shl eax, 24
    mov [rdi + 0x310], eax
    ${COMMANDS.map((command) => `mov dword [rdi + 0x300], ${command}`).join('\n')}
    inc ebp
    cmp ebp, 255                    ; which would be itself too
    jb .number`),
    ends: true,
  },
  {
    name: 'does so in x2APIC mode, with numbers of 32 bits',
    refused: ['vcpus'],
    source: around(`
    sti
    mov ecx, 0x1b
    rdmsr
    or ah, 4
    wrmsr
    mov ecx, 0x830
${[1, 2, 15, 0x100, 0xffff, 0x10000, 0x10001, 0x7fff_ffff, 0xffff_fffe]
  .flatMap((number) => COMMANDS.map((command) => `mov edx, ${number}\nmov eax, ${command}\ntry wrmsr`))
  .join('\n')}`),
    ends: true,
  },
  {
    name: 'writes messages as a device would, to all of the range',
    refused: ['memory'],
    source: around(`
    mov esi, 0xfee01000
.message:
    mov dword [rsi], 0x4040
    add esi, 0x1000
    cmp esi, 0xfef00000
    jb .message`),
    ends: true,
  },
  {
    name: 'has its I/O APIC send to processors of others',
    refused: ['vcpus'],
    withoutExit: true,
    source: around(`
    sti
    mov esi, 0xfec00000
    mov ebp, 1
.number:
    mov dword [rsi], 0x15
    mov eax, ebp
    shl eax, 24
    mov [rsi + 0x10], eax
    mov dword [rsi], 0x14
    mov dword [rsi + 0x10], 0x40
    mov al, 0x30
    out 0x43, al
    mov al, 1
    out 0x40, al
    xor eax, eax
    out 0x40, al
    mov ecx, 1000
.wait:
    dec ecx
    jnz .wait
    add ebp, ebp
    cmp ebp, 256
    jb .number`),
    ends: true,
  },
  {
    name: 'names processors of others in hypercalls',
    configuration: { platform: 'kvm' },
    refused: ['vcpus'],
    source: around(`
    mov eax, 5
    mov ecx, 1
    vmcall
    mov eax, 11
    mov ebx, 7
    vmcall
    mov eax, 10
    mov rbx, -1
    mov rcx, -1
    xor edx, edx
    mov esi, 0x40
    vmcall
    mov eax, 10
    mov rbx, -1
    mov rdx, -1
    mov esi, 0x400
    vmcall`),
  },
];

const storms: readonly Attacker[] = [
  {
    name: 'reads and writes every MSR',
    source: around(
      [0, 0x4b56_4d00, 0xc000_0000, 0xc001_0000]
        .map((first) => {
          const end = first === 0 ? 0x1000 : first + 0x200;
          return `mov ebp, ${first}\n.m${first}:\nmov ecx, ebp\ntry rdmsr\nmov ecx, ebp\nmov eax, -1\nmov edx, eax\ncmp ecx, 0x1b\nje .n${first}\ntry wrmsr\n.n${first}:\ninc ebp\ncmp ebp, ${end}\njne .m${first}`;
        })
        .join('\n'),
    ),
  },
  {
    name: 'rewrites its code without end',
    source: around(`
    mov r15d, 0x500000
.write:
    mov rdi, r15
    mov eax, ecx
    shl rax, 8
    mov al, 0xb8
    mov [rdi], rax
    mov byte [rdi + 5], 0xc3
    call rdi
    inc ecx
    mov eax, ecx
    and eax, 0xffff
    lea r15, [rax + 0x500000]
    jmp .write`),
  },
  {
    name: 'makes new hot code all the time',
    source: around(`
.new:
    mov edi, 0x400000
    mov ebp, 256
.loop:
    mov dword [rdi], 0x9090c0ff
    mov dword [rdi + 4], 0x75c9ff90
    mov word [rdi + 8], 0xc3f6
    mov ecx, 5000
    call rdi
    add edi, 0x40
    dec ebp
    jnz .loop
    jmp .new`),
  },
  {
    name: 'leaves at every instruction',
    source: around('.again:\nxor eax, eax\ncpuid\nin al, 0x80\nmov eax, [rdi + 0x20]\njmp .again'),
  },
  {
    name: 'has all timers tick as fast as they can',
    source: around(`
    mov dword [rdi + 0x3e0], 0xb
    mov dword [rdi + 0x320], 0x20040
    mov dword [rdi + 0x380], 1
    mov al, 0x34
    out 0x43, al
    mov al, 2
    out 0x40, al
    xor eax, eax
    out 0x40, al
    mov al, 0x0a
    out 0x70, al
    mov al, 0x23
    out 0x71, al
    mov al, 0x0b
    out 0x70, al
    mov al, 0x72
    out 0x71, al
    sti
.idle:
    hlt
    jmp .idle`),
  },
  {
    name: 'arms timers without end',
    source: around(`
    mov dword [rdi + 0x320], 0x40
.arm:
    mov dword [rdi + 0x380], -1
    mov dword [rdi + 0x380], 1
    mov dword [rdi + 0x3e0], 0
    jmp .arm`),
  },
  { name: 'meets a triple fault', source: 'bits 64\nlidt [rel nothing]\nud2\nnothing: dw 0\ndq 0\n', ends: true },
  {
    name: 'meets faults without an instruction between them',
    source:
      'bits 16\norg 0x7c00\nxor ax, ax\nmov ds, ax\nmov word [24], fault\nmov [26], ax\nmov ax, 0x2000\nmov ss, ax\nmov sp, 0x7000\nfault: ud2\ntimes 510 - ($ - $$) db 0\ndw 0xaa55\n',
  },
  { name: 'prints without end', source: around(".more:\nmov al, 'x'\nout 0xe9, al\nmov dx, 0x3f8\nout dx, al\njmp .more") },
  {
    name: 'floods itself with messages',
    source: around(
      'sti\n.more:\nmov dword [rdi + 0x300], 0x84040\nmov dword [rdi + 0x300], 0x84041\nmov dword [rdi + 0x300], 0x44400\njmp .more',
    ),
  },
  {
    name: 'resets its other processors without end',
    configuration: { vcpus: 8 },
    source: around(
      'mov byte [0x8000], 0xf3\nmov dword [0x8001], 0xfceb90\n.more:\nmov dword [rdi + 0x300], 0xc4500\nmov dword [rdi + 0x300], 0xc4608\njmp .more',
    ),
  },
  {
    name: 'changes its address space without end',
    source: around('mov rax, cr3\n.more:\nmov cr3, rax\nmov rcx, [0x200000]\ninvlpg [0x200000]\njmp .more'),
  },
  {
    name: 'maps every page of its memory as a page table',
    source: around(`
.again:
    mov ebp, 0x100
.table:
    mov rax, rbp
    shl rax, 12
    or eax, 3
    mov [TABLES + 0x1000], rax
    mov rax, [rbx]
    inc ebp
    cmp ebp, 0x5ff
    jb .table
    jmp .again`),
  },
  {
    name: 'moves a whole address space with one instruction',
    source: around(
      'mov rcx, -1\nmov esi, 0x700000\nmov edi, 0x500000\n.more:\ntry rep movsb\nmov rcx, -1\nmov edx, 0x80\ntry rep outsb\njmp .more',
    ),
  },
  {
    name: 'jumps its clock about',
    source: around(
      '.more:\nmov ecx, 0x10\nmov eax, -1\nmov edx, -1\ntry wrmsr\nxor eax, eax\nxor edx, edx\ntry wrmsr\njmp .more',
    ),
  },
];

export const ATTACKERS: readonly Attacker[] = [...memory, ...interrupts, ...storms];
