import { describe, expect, test } from 'vitest';
import { encodePageOut, PAGE_OUT } from '../../src/hypervisor/partition/page-out.ts';
import type { PartitionConfiguration } from '../../src/platforms/configuration.ts';
import { guest, IDT, ROUTINES, runToEnd } from './run-guest.ts';

const APIC_EOI = '0xb0';
/** Its writes to SVR and ICR. */
const OTHER_APIC_EXITS = 11;

/** Sends itself ten interrupts, one after the other, and ends each by KVM's word where that says so. */
const SKIPS_EOIS = `
  bits 64
  _start:
    mov rsp, 0x80000
    call load_idt
    mov ecx, 0x40
    lea rax, [rel handler]
    call gate
    mov ebx, 0xfee00000
    mov dword [rbx + 0xf0], 0x1ff
    mov ecx, 0x4b564d04
    lea rax, [rel word_of_eoi]
    mov rdx, rax
    shr rdx, 32
    or eax, 1
    wrmsr
    sti
    mov r8d, 10
  next:
    mov dword [rbx + 0x300], 0x40040
    nop
    dec r8d
    jnz next
    mov rax, r9
    call hex
    jmp off
  handler:
    inc r9
    btr dword [rel word_of_eoi], 0
    jc ended
    mov dword [rbx + ${APIC_EOI}], 0
  ended:
    iretq
  align 64
  word_of_eoi: dd 0
  ${ROUTINES}
  ${IDT}
`;

/** How many interrupts it took, and the exits for EOIs. */
function interruptsAndEois(configuration: Partial<PartitionConfiguration>, slice?: number) {
  const { text, records, hash } = runToEnd(guest(SKIPS_EOIS, configuration), slice);
  return { text, hash, eois: records.filter(({ reason }) => reason === 'apic').length - OTHER_APIC_EXITS };
}

describe('PV EOI', () => {
  test.each([
    ['AMD without AVIC', { vendor: 'amd' }],
    ['Intel without APICv', { vendor: 'intel', intercepts: ['-virtual-interrupts'] }],
  ] as const)('saves the exits of EOIs on %s, and the next interrupt comes all the same', (_name, configuration) => {
    const { text, eois } = interruptsAndEois(configuration);
    expect(text).toBe('000000000000000a\n');
    expect(eois).toBe(0);
  });

  test('is left alone with APICv, as by KVM', () => {
    expect(interruptsAndEois({ vendor: 'intel' })).toMatchObject({ text: '000000000000000a\n', eois: 10 });
  });

  test('has the same states however the run is cut', () => {
    const whole = interruptsAndEois({ vendor: 'amd' });
    for (const slice of [1, 7]) expect(interruptsAndEois({ vendor: 'amd' }, slice).hash).toBe(whole.hash);
  });
});

/**
 * Two vCPUs with steal time structures. The second one computes; the first one waits until that doesn't run, and leaves it a TLB flush.
 */
const LEAVES_A_FLUSH = `
  bits 64
  _start:
    mov rsp, 0x80000
    mov ebx, 0xfee00000
    mov dword [rbx + 0xf0], 0x1ff
    lea rsi, [rel trampoline]
    mov edi, 0x70000
    mov ecx, trampoline_end - trampoline
    rep movsb
    lea rax, [rel first]
    call enable
    mov dword [rbx + 0x310], 0x1000000
    mov dword [rbx + 0x300], 0x4500
    mov dword [rbx + 0x300], 0x4670
  ready:
    pause
    cmp dword [0x71000], 1
    jne ready
    xor ecx, ecx
  running:
    inc ecx
    jz failed
    mov al, 1
    mov dl, 3
    lock cmpxchg [0x71110], dl
    jne running
  wait_for_it:
    pause
    cmp byte [0x71110], 3
    je wait_for_it
    movzx eax, byte [rel first + 16]
    call hex
    jmp off
  failed:
    mov eax, 0xbad
    call hex
    jmp off
  enable:
    mov ecx, 0x4b564d03
    mov rdx, rax
    shr rdx, 32
    or eax, 1
    wrmsr
    ret
  bits 16
  trampoline:
    mov ecx, 0x4b564d03
    mov eax, 0x71101
    xor edx, edx
    wrmsr
    mov ax, 0x7100
    mov ds, ax
    mov dword [0], 1
  again:
    inc edx
    jmp again
  trampoline_end:
  bits 64
  align 64
  first: times 64 db 0
  ${ROUTINES}
`;

describe('steal time', () => {
  test.each(['intel', 'amd'] as const)('says who does not run, and takes TLB flushes for when it does: %s', (vendor) => {
    const partition = guest(LEAVES_A_FLUSH, { vendor, vcpus: 2 });
    const { text, end } = runToEnd(partition);
    expect(end.message).toBe('The guest powered off.');
    expect(text).toBe('0000000000000000\n');
    const flushes = partition
      .inspect()
      .children?.find(({ name }) => name === 'platform')
      ?.children?.filter(({ name }) => name.startsWith('vCPU'))
      .map(({ children }) => children?.find(({ name }) => name === 'PV TLB flushes')?.value);
    expect(flushes).toEqual(['0', '1']);
  });
});

/**
 * Waits until the host has the page at 4 MiB on its disk, and reads it: prints the tokens that it is told of (the first one is for everybody),
 * T for the fault, and what it reads.
 */
const WAITS_FOR_A_PAGE = `
  bits 64
  %define TARGET 0x400000
  _start:
    mov rsp, 0x80000
    call load_idt
    mov ecx, 14
    lea rax, [rel not_present]
    call gate
    mov ecx, 0x50
    lea rax, [rel ready]
    call gate
    mov ebx, 0xfee00000
    mov dword [rbx + 0xf0], 0x1ff
    mov rax, 0x1122334455667788
    mov [TARGET], rax
    sti
    mov ecx, 0x4b564d06
    mov eax, 0x50
    xor edx, edx
    wrmsr
    mov ecx, 0x4b564d02
    lea rax, [rel area]
    mov rdx, rax
    shr rdx, 32
    or eax, ENABLE
    wrmsr
    mov r8d, 200000
  wait_for_host:
    dec r8d
    jnz wait_for_host
    mov rax, [TARGET]
    call hex
    jmp off
  not_present:
    push rax
    cmp dword [rel area], 1
    jne off
    mov dword [rel area], 0
    mov dx, 0x3f8
    mov al, 'T'
    out dx, al
    mov rax, cr2
    call hex
    mov rax, cr2
    sti
  until_ready:
    cmp rax, [rel token]
    je there
    hlt
    jmp until_ready
  there:
    pop rax
    add rsp, 8
    iretq
  ready:
    push rax
    push rcx
    push rdx
    mov eax, [rel area + 4]
    mov [rel token], rax
    call hex
    mov dword [rel area + 4], 0
    mov ecx, 0x4b564d07
    mov eax, 1
    xor edx, edx
    wrmsr
    mov dword [rbx + 0xb0], 0
    pop rdx
    pop rcx
    pop rax
    iretq
  align 64
  area: times 64 db 0
  token: dq 0
  ${ROUTINES}
  ${IDT}
`;

describe('asynchronous page faults', () => {
  const EVERYBODY = '00000000ffffffff\n';
  const VALUE = '1122334455667788\n';
  /** Runs it, with the page paged out on the way where that is asked for. */
  function run(source: string, vendor: 'intel' | 'amd', pagesOut: boolean, slice = 10_000) {
    const partition = guest(source, { vendor, memory: 8 << 20 });
    let text = '';
    partition.onConsole((_source, bytes) => {
      text += new TextDecoder().decode(bytes);
    });
    while (!partition.end && partition.icount < 100_000n) partition.run({ instructions: 100_000 - Number(partition.icount) });
    if (pagesOut) expect(partition.sendToDevice(PAGE_OUT, encodePageOut({ gpa: 0x40_0000n, size: 0x1000n }))).toBe(true);
    const state = partition.secondLevel.stateAt(0x40_0000n);
    const results: string[] = [];
    partition.journal.onRecord(({ reason, result }) => reason === 'second-level-violation' && results.push(result ?? ''));
    while (!partition.end && partition.icount < 2_000_000n && partition.run({ instructions: slice }).kind !== 'idle');
    return { text, state, results, ticks: partition.now(), hash: partition.stateHash() };
  }
  const source = (enable: number) => `%define ENABLE ${enable}\n${WAITS_FOR_A_PAGE}`;

  test.each(['intel', 'amd'] as const)('let the guest go on until the page is there: %s', (vendor) => {
    const { text, state, results } = run(source(11), vendor, true);
    expect(state).toBe('paged-out');
    expect(text).toBe(`${EVERYBODY}T0000000000000000\n0000000000000000\n${VALUE}`);
    expect(results).toEqual(['asynchronous page fault, token 0x0']);
    expect(run(source(11), vendor, false).text).toBe(EVERYBODY + VALUE);
  });

  test('are not for a kernel that does not want them: its vCPU waits', () => {
    const { text, results, ticks } = run(source(9), 'intel', true);
    expect(text).toBe(EVERYBODY + VALUE);
    expect(results).toEqual(["read back from the host's disk"]);
    expect(ticks - run(source(9), 'intel', false).ticks).toBe(100_000n);
  });

  test('come at the same instruction in every run', () => {
    const { hash } = run(source(11), 'intel', true);
    expect(run(source(11), 'intel', true, 77).hash).toBe(hash);
  });

  test('wait with what they have to say for the local APIC', () => {
    const on = 'mov dword [rbx + 0xf0], 0x1ff';
    const late = source(11).replace(on, '').replace('mov r8d, 200000', `${on}\n    mov r8d, 200000`);
    expect(run(late, 'intel', false).text).toBe(EVERYBODY + VALUE);
  });

  test('refuse what they can not do', () => {
    const { text } = run(source(0x11), 'intel', false);
    expect(text).toBe('');
  });
});
