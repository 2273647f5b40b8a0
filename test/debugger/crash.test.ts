import { describe, expect, test } from 'vitest';
import { buildGuest, hasCompiler, stoppedAt } from '../adapter/c-guests.ts';
import type { Client } from '../adapter/client.ts';
import { atEntry } from '../adapter/guests.ts';

const EMPTY_IDT = `
empty: dw 0
    dq 0
`;

/** Source of a guest, and what its report has. */
const CASES: readonly { name: string; source: string; title: RegExp; report: readonly RegExp[] }[] = [
  {
    name: 'an IDT that is too small',
    source: `bits 64\n_start:\n    lidt [empty]\n    mov rbx, 0x1234\nbad:\n    ud2\n    hlt\n${EMPTY_IDT}`,
    title: /^vCPU 0 met a triple fault at RIP 0x10000d \(bad, guest\d+\.asm:6\): #UD, then #GP\(0x33\), then #DF\(0\), and no/,
    report: [/limit is 0x0, the gate of #UD would be its bytes 0x60 to 0x6f/, /rbx +0x0000000000001234/, /0f 0b +ud2/],
  },
  {
    name: 'a handler whose stack is not mapped',
    source: `bits 64
_start:
    lea rax, [rel handler]
    mov [rel idt + 14*16], ax
    mov word [rel idt + 14*16 + 2], cs
    mov byte [rel idt + 14*16 + 5], 0x8e
    shr rax, 16
    mov [rel idt + 14*16 + 6], ax
    lidt [rel register]
    mov rsp, 0x7f0000000000
    mov rbx, 0x600000000000
touch:
    mov [rbx + 8], rax
handler: hlt
register: dw 0xfff
    dq idt
align 16
idt: times 4096 db 0
`,
    title: /\(touch, guest\d+\.asm:13\): #PF\(0x2\), then #DF\(0\), and no handler/,
    report: [
      /#PF\(0x2\) at 0x600000000008 \(P=0: an entry is not present; W=1: a write; U=0: by the supervisor\)/,
      /pushed at 0x7effffffffd0 \(RSP points there\), which is not mapped\. The PML4 entry is not present\./,
      /The gate of #DF at 0x\w+ has type 0x0, which is no gate in long mode\./,
      /operand at 0x600000000008, 8 bytes: can't be read/,
      /\ncr2 +0x0000000000000000\n/,
      /rsp +0x00007f0000000000/,
    ],
  },
  {
    name: 'a stack that is not canonical',
    source: `bits 64
_start:
    mov rsp, 0x800000000040
    ud2
`,
    title: /#UD, then #SS\(0x1\), then #DF\(0\)/,
    report: [/The frame of #UD can't be pushed: RSP is 0x800000000040/],
  },
  {
    name: 'a gate with a null selector, and one that is not present',
    source: `bits 64
_start:
    mov byte [rel idt + 6*16 + 5], 0x8e
    mov byte [rel idt + 13*16 + 5], 0x0e
    mov byte [rel idt + 8*16 + 5], 0x8e
    mov word [rel idt + 8*16 + 2], 0x28
    lidt [rel register]
    ud2
register: dw 0xfff
    dq idt
align 16
idt: times 4096 db 0
`,
    title: /#UD, then #GP\(0x1\), then #DF\(0\)/,
    report: [
      /Selector 0x0000, the code selector of the gate of #UD, is null\./,
      /The gate of #GP at 0x\w+ is not present\./,
      /Selector 0x0028, the code selector of the gate of #DF, lies beyond the GDT, whose limit is 0x27\./,
    ],
  },
  {
    name: 'a TSS that is too small for a stack of the IST',
    source: `bits 64
_start:
    lea rax, [rel _start]
    mov [rel idt + 6*16], ax
    mov word [rel idt + 6*16 + 2], cs
    mov word [rel idt + 6*16 + 4], 0x8e07
    lidt [rel register]
    lgdt [rel tables]
    mov ax, 0x28
    ltr ax
    ud2
register: dw 0x6f
    dq idt
tables: dw 0x37
    dq gdt
gdt: times 4 dq 0
    dq 0x00af9b000000ffff
    dw 0x2f, 0x8000
    db 0, 0x89, 0, 0
    dq 0
align 16
idt: times 0x70 db 0
`,
    title: /#UD, then #TS\(0x29\), then #DF\(0\)/,
    report: [/The TSS is too small: its limit is 0x2f, IST7 of the TSS would be its bytes 0x54 to 0x5b\./],
  },
  {
    name: 'an MSR of another platform, without a handler',
    source: `bits 64
_start:
    lidt [empty]
    mov ecx, 0x40000000
    wrmsr
${EMPTY_IDT}`,
    title: /triple fault .*: #GP\(0\), then/,
    report: [/HV_X64_MSR_GUEST_OS_ID is an MSR of Hyper-V, and this is platform kvm: run the guest with --platform hyperv/],
  },
  {
    name: 'no IDT in 32-bit code',
    source: 'bits 32\n_start:\n    mov ecx, 7\nbad: ud2\n',
    title: /\(bad, guest\d+\.asm:4\): #UD/,
    report: [/ecx +0x00000007/, /eip +0x00100005/],
  },
  {
    name: 'a broken interrupt vector table in real mode',
    source: `bits 16
org 0x7c00
_start:
    lidt [empty]
    mov bx, 5
    ud2
empty: dw 3
    dd 0
times 510-($-$$) db 0
dw 0xaa55
`,
    title: /at RIP 0x7c08 .*: #UD, then #GP\(0\), then #DF\(0\)/,
    report: [/The interrupt vector table is too small: its limit is 0x3, the vector of #UD would be its bytes 0x18 to 0x1b\./],
  },
  {
    name: 'a fault in hot code',
    source: `bits 64
_start:
    lidt [empty]
    mov ecx, 300000
    mov rdi, 0x200000
again:
    mov [rdi], rcx
    dec ecx
    jnz again
    shl rdi, 24
    jmp again
${EMPTY_IDT}`,
    title: /\(again, guest\d+\.asm:7\): #PF\(0x2\)/,
    report: [/rdi +0x0000200000000000/, /rcx +0x0000000000000000/, /operand at 0x200000000000, 8 bytes/],
  },
];

const report = (client: Client): { markdown: string; json: { title: string; kind: string } } =>
  client.ask('hyperscope/crashReport');

function crashed(source: string, options: object): Client {
  const { client } = atEntry(source, options);
  expect(client.move('continue').event).toBe('stopped');
  return client;
}

describe.each([
  { vendor: 'intel', translator: '16M' },
  { vendor: 'intel', translator: 'off' },
  { vendor: 'amd', translator: '16M' },
  { vendor: 'amd', translator: 'off' },
])('a crash report with $vendor, translator $translator', (options) => {
  test.each(CASES)('of $name has why, and the state before', ({ source, title, report: wanted }) => {
    const client = crashed(source, options);
    const { text, reason } = client.run().body;
    expect(reason).toBe('exception');
    expect(text).toMatch(title);
    const { markdown, json } = report(client);
    expect(json.title).toBe(text);
    for (const pattern of wanted) expect(markdown).toMatch(pattern);
    // Every fault of these chains has its reason.
    expect(markdown.match(/Its delivery raised/g)?.length).toBe((text.match(/then/g)?.length ?? 0) + 1);
    expect(client.move('continue').event).toBe('terminated');
    expect(client.events.find(({ event }) => event === 'exited')?.body.exitCode).toBe(125);
  });
});

describe('a crash', () => {
  test('is reported in the same bytes by two runs, at the stop and behind the end', () => {
    const source = CASES[1]?.source ?? '';
    const [one, other] = [crashed(source, {}), crashed(source, {})];
    const { markdown } = report(one);
    other.move('continue');
    const sameFile = (text: string) => text.replace(/guest\d+\.asm/g, 'guest.asm');
    expect(sameFile(report(other).markdown)).toBe(sameFile(markdown));
    const sent = other.events.find(({ event }) => event === 'hyperscope/crash');
    expect(sameFile(sent?.body.markdown)).toBe(sameFile(markdown));
  });

  test('is told as a chain of exceptions, the cause innermost', () => {
    const { breakMode, description, details } = crashed(CASES[1]?.source ?? '', {}).ask('exceptionInfo', { threadId: 1 });
    expect(breakMode).toBe('unhandled');
    expect(description.split('\n')[0]).toMatch(/^vCPU 0 met a triple fault at/);
    expect(description).toContain('Continue ends the session');
    // An editor shows what the outermost one has below the description.
    expect(details.stackTrace).toBeUndefined();
    expect(details).toMatchObject({ typeName: '#DF(0)', innerException: [{ typeName: '#PF(0x2)' }] });
  });

  test('by an exception without a handler stops at the instruction, before the frame is pushed', () => {
    const client = crashed('bits 64\n_start:\n    mov rbx, 0x600000000000\n    push 5\nbad:\n    mov [rbx], rax\n    hlt\n', {});
    const stop = client.run();
    expect(stop.body.description).toBe('Unhandled exception');
    expect(stop.body.text).toMatch(
      /^vCPU 0 met #PF\(0x2\) at RIP 0x\w+ \(bad, .*, address 0x600000000000, and has no handler for it\.$/,
    );
    expect(client.evaluate('rsp', 'clipboard')).toBe('0x7fff8');
    expect(client.evaluate('qword [rsp - 8]', 'clipboard')).toBe('0x0');
    expect(client.frames()[0]).toMatchObject({ name: 'bad', line: 6 });
    const { markdown, json } = report(client);
    expect(json.kind).toBe('unhandled-exception');
    expect(markdown).toMatch(/rsp +0x000000000007fff8/);
    expect(client.move('continue').event).toBe('terminated');
    expect(client.events.find(({ event }) => event === 'exited')?.body.exitCode).toBe(126);
    // The guest stands in the stub now; the report is of before.
    expect(report(client).markdown).toBe(markdown);
  });

  test('by an MSR that is not there stops at the instruction, and says whose it is', () => {
    const client = crashed('bits 64\n_start:\n    mov ecx, 0x40000000\nbad:\n    wrmsr\n    hlt\n', {});
    expect(client.run().body.text).toMatch(/^vCPU 0 met #GP\(0\) at RIP 0x\w+ \(bad, .*\), and has no handler for it\.$/);
    expect(report(client).markdown).toMatch(/HV_X64_MSR_GUEST_OS_ID is an MSR of Hyper-V, and this is platform kvm/);
    expect(client.move('continue').event).toBe('terminated');
  });

  test('is none where the guest has handlers of its own', () => {
    const { client } = atEntry(`bits 64
_start:
    lea rax, [rel handler]
    mov [rel idt + 6*16], ax
    mov word [rel idt + 6*16 + 2], cs
    mov byte [rel idt + 6*16 + 5], 0x8e
    shr rax, 16
    mov [rel idt + 6*16 + 6], ax
    lidt [rel register]
    ud2
handler:
    mov dx, 0xf4
    mov al, 3
    out dx, al
register: dw 0xfff
    dq idt
align 16
idt: times 4096 db 0
`);
    expect(client.move('continue').event).toBe('terminated');
    expect(client.request('hyperscope/crashReport').message).toMatch(/^There is nothing to report/);
  });

  test('that a guest of Hyper-V reports by its MSRs has what it said', () => {
    const { client } = atEntry(
      `bits 64
_start:
    %macro set 2
    mov ecx, %1
    mov eax, %2
    xor edx, edx
    wrmsr
    %endmacro
    set 0x40000103, message
    set 0x40000104, message_end - message
    mov ecx, 0x40000105
    mov edx, 0xc0000000
    wrmsr
    hlt
message: db "the disk is gone", 10, "giving up", 10
message_end:
`,
      { platform: 'hyperv' },
    );
    expect(client.move('continue').event).toBe('terminated');
    const { markdown, json } = report(client);
    expect(json).toMatchObject({ kind: 'crash', title: 'The guest reported a crash on VP 0: "giving up".' });
    expect(markdown).toContain('## What the guest reported\n\n```\nthe disk is gone\ngiving up\n```');
    expect(client.events.find(({ event }) => event === 'exited')?.body.exitCode).toBe(126);
  });

  test('that is a halt for good says why nothing wakes each vCPU', () => {
    const { client } = atEntry('bits 64\n_start:\n    cli\n    hlt\n', { vcpus: 2 });
    expect(client.move('continue').event).toBe('terminated');
    const { markdown, json } = report(client);
    expect(json).toMatchObject({ kind: 'halted', title: expect.stringMatching(/^The guest halted for good at RIP 0x100001 /) });
    expect(markdown).toContain('vCPU 0 has interrupts off (RFLAGS.IF is 0)');
    expect(markdown).toContain('vCPU 1 waits for a start-up IPI');
  });

  test('is JSON as it stands, with the exits that led there', () => {
    const { json } = report(
      crashed(`bits 64\n_start:\n    xor eax, eax\n    cpuid\n    mov rbx, 0x7f0000000000\n    mov al, [rbx]\n    hlt\n`, {}),
    );
    expect(JSON.parse(JSON.stringify(json))).toEqual(json);
    expect(json).toMatchObject({ exits: [{ seq: 1, reason: 'cpuid', request: 'cpuid 0x0.0x0', rip: '0x100002' }] });
  });

  test('is forgotten by a restart', () => {
    const client = crashed(CASES[0]?.source ?? '', {});
    client.ask('restart');
    client.run();
    expect(client.request('hyperscope/crashReport').success).toBe(false);
    expect(client.move('continue').body.text).toMatch(CASES[0]?.title ?? /never/);
  });

  test('is printed by report, which needs files to write one', () => {
    const client = crashed(CASES[0]?.source ?? '', {});
    expect(client.evaluate('report', 'repl')).toBe(report(client).markdown.trimEnd());
    expect(client.request('evaluate', { expression: 'report a.md', context: 'repl' }).message).toMatch(
      /^This debugger has no files/,
    );
    const { client: fresh } = atEntry('bits 64\n_start: hlt\n');
    expect(fresh.request('evaluate', { expression: 'report', context: 'repl' }).message).toMatch(/^There is nothing to report/);
  });

  test.skipIf(!hasCompiler('gcc'))('of a C guest names functions and lines', () => {
    const client = stoppedAt(buildGuest('gcc', ['-O0']), 'add');
    const [frame] = client.frames();
    client.ask('writeMemory', {
      memoryReference: frame.instructionPointerReference,
      data: Buffer.from([0x0f, 0x0b]).toString('base64'),
    });
    client.ask('setBreakpoints', { source: frame.source, breakpoints: [] });
    client.evaluate('idtr.limit = 0', 'repl');
    expect(client.move('continue').body.text).toContain(`(${frame.name}+`);
    const { markdown } = report(client);
    expect(markdown).toMatch(
      new RegExp(`#0 RIP 0x\\w+ \\(${frame.name}, stepping\\.c:${frame.line}\\)\\n#1 RIP 0x\\w+ \\(\\w+, stepping\\.c:\\d+\\)`),
    );
  });
});
