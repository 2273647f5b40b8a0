import { describe, expect, test } from 'vitest';
import { lineOf } from './client.ts';
import { atEntry } from './guests.ts';

/** Starts vCPU 1 in real mode at 0x8000 with INIT and a start-up IPI. */
const STARTS_ANOTHER = `bits 64
_start:
    mov dword [0x8000], 0xfeeb9090      ; nop, nop, jmp $
    mov rbx, 0xfee00300
    mov dword [rbx + 0x10], 1 << 24
    mov dword [rbx], 0x00004500
    mov dword [rbx + 0x10], 1 << 24
    mov dword [rbx], 0x00004608
wait:
    nop
    jmp wait
`;

describe('vCPUs are threads', () => {
  test('each with its state, its stack and its registers', () => {
    const { client } = atEntry(STARTS_ANOTHER, { vcpus: 2 });
    expect(client.ask('threads').threads).toEqual([
      { id: 1, name: 'vCPU 0' },
      { id: 2, name: 'vCPU 1 (waiting for a start-up IPI)' },
    ]);
    const [frame] = client.ask('stackTrace', { threadId: 2 }).stackFrames;
    const { scopes } = client.ask('scopes', { frameId: frame.id });
    const { variables } = client.ask('variables', { variablesReference: scopes[0].variablesReference });
    expect(variables.map(({ name }: { name: string }) => name)).toContain('ip');
    const regs = (options: object) => client.ask('evaluate', { expression: 'regs', context: 'repl', ...options }).result;
    expect(regs({ frameId: frame.id })).toContain('16-bit code');
    expect(regs({})).toContain('64-bit code');
    expect(client.request('stackTrace', { threadId: 3 }).message).toBe('There is no vCPU with thread id 3.');
  });

  test('that wait for another one to start them are not stepped, and keep what was shown', () => {
    const { client } = atEntry(STARTS_ANOTHER, { vcpus: 2 });
    const [frame] = client.frames();
    for (const command of ['next', 'stepIn', 'stepOut'])
      expect(client.request(command, { threadId: 2 }).message).toMatch(/^vCPU 1 waits for a start-up IPI/);
    expect(client.ask('scopes', { frameId: frame.id }).scopes).not.toEqual([]);
  });

  test('that were started are stepped alone', () => {
    const { client } = atEntry(STARTS_ANOTHER, { vcpus: 2 });
    client.ask('continue', { threadId: 1 });
    for (let slice = 0; slice < 10; slice++) client.session.slice();
    client.ask('pause', { threadId: 1 });
    expect(client.run().body).toMatchObject({ reason: 'pause', threadId: 1 });
    const before = client.evaluate('rip', 'clipboard');
    expect(client.ask('threads').threads[1].name).toBe('vCPU 1');
    client.ask('next', { threadId: 2, granularity: 'instruction' });
    expect(client.run().body).toMatchObject({ reason: 'step', threadId: 2 });
    const [frame] = client.ask('stackTrace', { threadId: 2 }).stackFrames;
    expect(Number(frame.instructionPointerReference)).toBeGreaterThanOrEqual(0x8000);
    expect(Number(frame.instructionPointerReference)).toBeLessThan(0x8004);
    const own = client.ask('stackTrace', { threadId: 1 }).stackFrames[0];
    expect(client.ask('evaluate', { expression: 'rip', context: 'clipboard', frameId: own.id }).result).toBe(before);
  });

  test('take their interrupts while another one steps over a call that waits for that', () => {
    const { client, file } = atEntry(
      `bits 64
_start:
    mov dword [0x100], 0x08000010       ; vector 0x40 of vCPU 1: 0800:0010
    mov rsi, other
    mov edi, 0x8000
    mov ecx, other_end - other
    rep movsb
    mov rbx, 0xfee00300
    mov dword [rbx + 0x10], 1 << 24
    mov dword [rbx], 0x00004500
    mov dword [rbx], 0x00004608
.ready:
    cmp byte [0x8080], 1
    pause
    jne .ready
    call interrupt      ; @call
    nop                 ; @after
    hlt
interrupt:
    mov dword [rbx], 0x00004040
.wait:
    cmp byte [0x8080], 2
    pause
    jne .wait
    ret
other:
bits 16
    jmp start
    times 16 - ($ - other) nop
    mov byte [cs:0x80], 2
    iret
start:
    mov ecx, 0x1b                       ; x2APIC mode: real mode doesn't reach the APIC's page
    rdmsr
    or ax, 1 << 10
    wrmsr
    mov ecx, 0x80f                      ; enabled
    mov eax, 0x1ff
    xor edx, edx
    wrmsr
    mov byte [cs:0x80], 1
    sti
    jmp $
other_end:
`,
      { vcpus: 2 },
    );
    const [call, after] = [lineOf(file, '@call'), lineOf(file, '@after')];
    client.ask('setBreakpoints', { source: { path: file }, breakpoints: [{ line: call }] });
    client.move('continue');
    client.ask('next', { threadId: 1 });
    expect(client.run(300).body).toMatchObject({ reason: 'step', threadId: 1 });
    expect(client.frames()[0].line).toBe(after);
  });
});
