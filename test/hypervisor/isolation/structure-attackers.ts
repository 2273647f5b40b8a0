import { type Attacker, around, RAM } from './attackers.ts';

const APIC = 0xfee0_0000;
const IO_APIC = 0xfec0_0000;
/** Where the structures of a processor are put: device memory, no memory, and the end of RAM, half in it. */
const PLACES = [APIC, APIC + 0x300, APIC + 0xff8, IO_APIC, IO_APIC + 0xff8, RAM, RAM - 8, 0x4000_0000, 0xffff_fff8];

const atEach = (attack: (place: number) => string) => PLACES.map(attack).join('\n');

/** Guests that put what the processor reads and writes by itself where they have no memory. */
export const STRUCTURE_ATTACKERS: readonly Attacker[] = [
  {
    name: 'walks page tables in device memory',
    refused: ['memory'],
    withoutExit: true,
    source: around(
      atEach(
        (place) =>
          `mov rax, ${place & -4096}\nmov [TABLES], rax\nor qword [TABLES], 3\nmov rax, cr3\nmov cr3, rax\ntry mov rax, [rbx]\ntry mov [rbx], rax`,
      ),
    ),
    ends: true,
  },
  {
    name: 'has its root table in device memory',
    source: around(`mov rax, ${APIC}\nmov cr3, rax\nmov rax, [0x200000]\njmp leave`),
    ends: true,
  },
  {
    name: 'has its stack in device memory and beyond RAM',
    refused: ['memory'],
    source: around(
      atEach((place) =>
        [
          'push rax',
          'pop rax',
          'pushfq',
          'popfq',
          'call caught',
          'ret',
          'iretq',
          'enter 0x100, 31',
          'leave',
          'push qword [rdi + 0x20]',
          'int 0x40',
          'ud2',
        ]
          .map((instruction) => `mov rsp, ${place}\nmov rbp, rsp\ntry ${instruction}`)
          .join('\n'),
      ),
    ),
  },
  {
    name: 'has its interrupt table in device memory and beyond RAM',
    source: around(
      atEach(
        (place) =>
          `mov word [0x500000], 0xfff\nmov rax, ${place}\nmov [0x500002], rax\ntry lidt [0x500000]\ntry int 0x40\ntry ud2\nlidt [idt_register]`,
      ),
    ),
    ends: true,
  },
  {
    name: 'has its descriptors in device memory and beyond RAM',
    source: around(
      atEach((place) =>
        [
          `sgdt [0x500100]\nmov word [0x500000], 0xfff\nmov rax, ${place}\nmov [0x500002], rax\ntry lgdt [0x500000]`,
          ...[
            'mov eax, 8\ntry mov ds, ax',
            'mov eax, 0x28\ntry ltr ax',
            'mov eax, 0x30\ntry lldt ax',
            'mov eax, 0x18\ntry lar eax, ax',
            'mov eax, 0x18\ntry verw ax',
          ],
          'lgdt [0x500100]',
        ].join('\n'),
      ),
    ),
    ends: true,
  },
  {
    name: 'saves and restores state in device memory and across the end of RAM',
    refused: ['memory'],
    source: around(`
    mov rax, cr4
    or eax, 0x40200
    mov cr4, rax
    xor ecx, ecx
    xor edx, edx
    mov eax, 7
    xsetbv
${atEach((place) =>
  [place & -64, (place & -64) - 0x200, (place & -64) - 0x240]
    .map(
      (at) =>
        `mov rsi, ${at}\nmov eax, -1\nmov edx, eax\n${['fxsave [rsi]', 'fxrstor [rsi]', 'xsave [rsi]', 'xrstor [rsi]', 'xsavec [rsi]', 'xsaveopt [rsi]', 'fnsave [rsi]', 'frstor [rsi]', 'fnstenv [rsi]', 'fldenv [rsi]'].map((instruction) => `try ${instruction}`).join('\n')}`,
    )
    .join('\n'),
)}`),
    ends: true,
  },
  {
    name: 'gathers, masks and exchanges in device memory and across the end of RAM',
    refused: ['memory'],
    source: around(`
    mov rax, cr4
    or eax, 0x40200
    mov cr4, rax
    xor ecx, ecx
    xor edx, edx
    mov eax, 7
    xsetbv
${atEach(
  (place) => `
    mov rsi, ${place}
    vpcmpeqd ymm0, ymm0, ymm0
    vpcmpeqd ymm1, ymm1, ymm1
    try vpgatherdd ymm2, [rsi + ymm1*4], ymm0
    vpcmpeqd ymm0, ymm0, ymm0
    try vpgatherqq ymm2, [rsi + ymm1*8], ymm0
    vpcmpeqd ymm0, ymm0, ymm0
    try vpmaskmovd [rsi - 16], ymm0, ymm2
    try vpmaskmovq ymm2, ymm0, [rsi - 4]
    try vmovdqu [rsi - 1], ymm0
    try vmovdqu ymm2, [rsi - 31]
    try movbe rax, [rsi + 2]
    try lock cmpxchg16b [rsi]
    try lock cmpxchg8b [rsi + 4]
    try lock bts qword [rsi], 63
    mov rcx, -1
    try lock bts [rsi], rcx
    mov rcx, 0x7fffffffffffffff
    try btc [rsi], rcx
    try xchg [rsi + 1], rax
    try lock xadd [rsi + 5], rax
    try cmpxchg [rsi], rax
    mov rdi, rsi
    mov edi, ${APIC}`,
)}`),
    ends: true,
  },
  {
    name: 'moves strings from device to device, forwards and backwards',
    refused: ['memory'],
    source: around(
      atEach((place) =>
        PLACES.map((to) =>
          ['cld', 'std']
            .map((way) =>
              ['rep movsq', 'rep movsb', 'repe cmpsd', 'repne scasw', 'rep stosd', 'rep outsd', 'rep insb', 'rep lodsq']
                .map((instruction) => `mov rsi, ${place}\nmov rdi, ${to}\nmov ecx, 20\nmov edx, 0x80\n${way}\ntry ${instruction}`)
                .join('\n'),
            )
            .join('\n'),
        ).join('\n'),
      ).concat('\ncld'),
    ),
  },
  {
    name: 'changes in hot code what its window shows',
    refused: ['memory'],
    source: around(`
    mov ebp, 4000
    mov ecx, 0x500000 + 3
    mov edx, ${RAM} + 3
.more:
    mov [TABLES + 0x2000], rcx
    invlpg [rbx]
    mov qword [resume], .next
    mov rax, [rbx + 8]
    mov [rbx + 8], rax
.next:
    xchg rcx, rdx
    dec ebp
    jnz .more`),
    ends: true,
  },
  {
    name: 'runs hot code over the end of its RAM',
    refused: ['memory'],
    withoutExit: true,
    source: around(`
    mov ebp, 3000
    mov dword [${RAM - 8}], 0x90909090
    mov dword [${RAM - 4}], 0x90909090
.more:
    mov eax, ${RAM - 8}
    try jmp rax
    mov rax, ${APIC + 0x20}
    try call rax
    mov rax, ${IO_APIC + 0xffe}
    try jmp rax
    dec ebp
    jnz .more`),
  },
  {
    name: 'moves its local APIC over memory and devices',
    source: around(
      [0, 0x10_0000, 0x58_0000, RAM, IO_APIC, 0x4000_0000, 0x3f_ffff_f000, 0xf_ffff_ffff_f000]
        .map(
          (base) =>
            `mov rax, ${base + 0x900}\nmov rdx, rax\nshr rdx, 32\nmov ecx, 0x1b\ntry wrmsr\nmov rax, ${base + 0x20}\ntry mov eax, [rax]\nmov rax, ${base + 0x300}\ntry mov dword [rax], 0x40\nmov eax, ${APIC + 0x900}\nxor edx, edx\nmov ecx, 0x1b\ntry wrmsr`,
        )
        .join('\n'),
    ),
  },
  {
    name: 'steps through all that it does, with I/O and data breakpoints set',
    source: around(`
    mov rax, cr4
    or eax, 8
    mov cr4, rax
    mov eax, 0x80
    mov dr0, rax
    mov rax, ${APIC + 0x20}
    mov dr1, rax
    mov rax, rbx
    mov dr2, rax
    mov rax, 0x03320ff
    mov dr7, rax
    mov qword [resume], .more
.more:
    pushfq
    or dword [rsp], 0x100
    popfq
    out 0x80, al
    mov eax, [rdi + 0x20]
    mov eax, [0x500000]
    jmp .more`),
  },
  {
    name: 'sets its clocks to what they can’t show',
    source: around(`
.again:
    mov ecx, 0x100
.set:
    mov eax, ecx
    shr eax, 1
    and eax, 0x7f
    out 0x70, al
    mov eax, ecx
    imul eax, eax, 0x5b
    out 0x71, al
    in al, 0x71
    dec ecx
    jnz .set
    mov ecx, 0x6e0
    mov eax, -1
    mov edx, eax
    try wrmsr
    mov dword [rdi + 0x320], 0x40040
    xor eax, eax
    xor edx, edx
    try wrmsr
    mov eax, 1
    try wrmsr
    mov ecx, 0x3b
    mov edx, 0x80000000
    try wrmsr
    jmp .again`),
  },
  {
    name: 'uses a hypervisor’s instructions',
    source: around(
      [
        'vmxoff',
        'vmlaunch',
        'vmresume',
        'vmcall',
        'vmmcall',
        'vmptrst [0x500000]',
        'vmptrld [0x500000]',
        'vmclear [0x500000]',
        'vmxon [0x500000]',
        'vmread rax, rcx',
        'vmwrite rax, rcx',
      ]
        .map((instruction) => `try ${instruction}`)
        .join('\n')
        .concat(
          '\nmov eax, 0x500000\n',
          ['0x01d80f', '0xdd010f', '0xdc010f', '0xda010f', '0xdb010f', '0xde010f', '0xdf010f', '0xd4010f']
            .map((bytes) => `mov qword [0x500100], ${bytes}\nmov ecx, 0x500100\nmov byte [0x500103], 0xc3\ntry call rcx`)
            .join('\n'),
        ),
    ),
  },
];
