import { describe, expect, test } from 'vitest';
import type { Client } from './client.ts';
import { lineOf } from './client.ts';
import { atEntry } from './guests.ts';

/** Line on which the guest's newest frame is. */
const line = (client: Client): number => client.frames().find(({ source }) => source?.path.endsWith('.asm'))?.line;

/** Sets up an interrupt gate: macro `gate vector, handler`. */
const GATES = `
%macro gate 2
    mov rax, %2
    mov word [idt + %1 * 16], ax
    mov word [idt + %1 * 16 + 2], cs
    mov word [idt + %1 * 16 + 4], 0x8e00
    shr rax, 16
    mov word [idt + %1 * 16 + 6], ax
    shr rax, 16
    mov dword [idt + %1 * 16 + 8], eax
%endmacro
`;
const TABLE = `
idt_register:
    dw 256 * 16 - 1
    dq idt
align 16
idt: times 256 * 16 db 0
`;

describe('a step', () => {
  test('onto a fault stops at the first instruction of its handler; Step Out comes back', () => {
    const { client, file } = atEntry(`bits 64
${GATES}
_start:
    gate 6, handler
    lidt [idt_register]
    ud2             ; @fault
    nop             ; @after
    hlt
handler:
    mov rbx, 1      ; @handler
    add qword [rsp], 2
    iretq
${TABLE}`);
    client.ask('setBreakpoints', { source: { path: file }, breakpoints: [{ line: lineOf(file, '@fault') }] });
    client.move('continue');
    expect(line(client)).toBe(lineOf(file, '@fault'));
    const stop = client.move('next');
    expect(stop.body.description).toBe('Guest exception');
    expect(line(client)).toBe(lineOf(file, '@handler'));
    expect(client.evaluate('rbx', 'clipboard')).toBe('0x0');
    client.move('stepOut');
    expect(line(client)).toBe(lineOf(file, '@after'));
  });

  test('from a stop at a guest exception goes to the handler, too', () => {
    const { client, file } = atEntry(`bits 64
${GATES}
_start:
    gate 6, handler
    lidt [idt_register]
    ud2
    hlt
handler:
    mov rbx, 1      ; @handler
    hlt
${TABLE}`);
    client.ask('setExceptionBreakpoints', { filters: ['fault'] });
    expect(client.move('continue').body.description).toBe('Guest exception');
    client.ask('setExceptionBreakpoints', { filters: [] });
    client.move('stepIn');
    expect(line(client)).toBe(lineOf(file, '@handler'));
  });

  test('over a recursive call comes back to its own level', () => {
    const { client, file } = atEntry(`bits 64
_start:
    mov rcx, 5
    call down       ; @call
    hlt             ; @after
down:
    dec rcx         ; @down
    jz .done
    call down       ; @again
    inc rbx         ; @back
.done:
    ret`);
    client.move('next');
    client.move('stepIn');
    client.move('next');
    client.move('next');
    expect(line(client)).toBe(lineOf(file, '@again'));
    client.move('next');
    expect(line(client)).toBe(lineOf(file, '@back'));
    expect(client.evaluate('rbx', 'clipboard')).toBe('0x3');
    client.move('stepOut');
    expect(line(client)).toBe(lineOf(file, '@after'));
  });

  test('over a call that only asks where it is does not run away', () => {
    const { client, file } = atEntry(`bits 64
_start:
    call next
next:
    pop rax         ; @next
    hlt`);
    client.move('next');
    expect(line(client)).toBe(lineOf(file, '@next'));
  });

  test('over REP counts as one; into it by instruction goes pass by pass', () => {
    const { client, file } = atEntry(`bits 64
_start:
    mov ecx, 100
    mov edi, 0x5000
    rep stosb       ; @rep
    nop             ; @after
    hlt`);
    client.move('next');
    client.move('next');
    client.move('stepIn', 'instruction');
    expect(client.evaluate('ecx', 'clipboard')).toBe('0x00000063'.replace(/0x0+/, '0x'));
    expect(line(client)).toBe(lineOf(file, '@rep'));
    client.move('stepIn');
    expect(line(client)).toBe(lineOf(file, '@after'));
  });

  test('over a loop of one instruction is one round', () => {
    const { client, file } = atEntry(`bits 64
_start:
    mov ecx, 3
    loop $          ; @loop
    hlt             ; @after`);
    client.move('next');
    client.move('next');
    client.move('next');
    expect(line(client)).toBe(lineOf(file, '@loop'));
    expect(client.evaluate('ecx', 'clipboard')).toBe('0x1');
    client.move('next');
    expect(line(client)).toBe(lineOf(file, '@after'));
  });

  test.each(['bare', 'kvm'])(
    'over HLT on %s waits for the interrupt and runs its handler; into it stops in the handler',
    (platform) => {
      const source = `bits 64
${GATES}
APIC equ 0xfee00000
_start:
    gate 0x40, tick
    lidt [idt_register]
    mov rbx, APIC
    mov dword [rbx + 0xf0], 0x1ff
    mov dword [rbx + 0x3e0], 0b1011
    mov dword [rbx + 0x320], 0x40
    mov dword [rbx + 0x380], 100000
    sti
    hlt             ; @halt
    mov ecx, 1      ; @after
    hlt
tick:
    inc r15         ; @tick
    mov dword [rbx + 0xb0], 0
    iretq
${TABLE}`;
      for (const into of [false, true]) {
        const { client, file } = atEntry(source, { platform });
        client.ask('setBreakpoints', { source: { path: file }, breakpoints: [{ line: lineOf(file, '@halt') }] });
        client.move('continue');
        client.move('next');
        expect(line(client)).toBe(lineOf(file, '@after'));
        expect(client.ask('threads').threads[0].name).toContain('halted');
        client.move(into ? 'stepIn' : 'next');
        expect(line(client)).toBe(lineOf(file, into ? '@tick' : '@after'));
        expect(client.evaluate('r15', 'clipboard')).toBe(into ? '0x0' : '0x1');
        if (into) client.move('stepOut');
        expect(line(client)).toBe(lineOf(file, '@after'));
      }
    },
  );

  /** An interrupt comes soon, again and again; it counts in R15. */
  const TICKING = `bits 64
${GATES}
_start:
    gate 0x40, tick
    gate 6, handler
    lidt [idt_register]
    mov rbx, 0xfee00000
    mov dword [rbx + 0xf0], 0x1ff
    mov dword [rbx + 0x3e0], 0b1011
    mov dword [rbx + 0x320], 0x20040
    mov dword [rbx + 0x380], 1000
    sti             ; @sti
`;
  const TICK = `
tick:
    inc r15         ; @tick
    mov dword [rbx + 0xb0], 0
    iretq
${TABLE}`;

  test.each(['bare', 'kvm'])(
    'over a call on %s lets the interrupt in that the call waits for; no other step does',
    (platform) => {
      const source = `${TICKING}
    mov ecx, 2000
    loop $
    call wait       ; @call
    nop             ; @after
    nop             ; @next
    hlt
wait:
    mov rax, r15
.more:
    cmp rax, r15
    je .more
    cli
    ret
handler: hlt
${TICK}`;
      const { client, file } = atEntry(source, { platform });
      client.ask('setBreakpoints', { source: { path: file }, breakpoints: [{ line: lineOf(file, '@sti') }] });
      client.move('continue');
      // The loop takes longer than the timer.
      for (let step = 0; step < 3; step++) client.move('next');
      for (let round = 0; round < 1500; round++) client.move('stepIn');
      expect(client.evaluate('r15', 'clipboard')).toBe('0x0');
      client.ask('setBreakpoints', { source: { path: file }, breakpoints: [{ line: lineOf(file, '@call') }] });
      client.move('continue');
      const before = Number(client.evaluate('r15', 'clipboard'));
      expect(before).toBeGreaterThan(0);
      expect(client.move('next').body.reason).toBe('step');
      expect(line(client)).toBe(lineOf(file, '@after'));
      expect(Number(client.evaluate('r15', 'clipboard'))).toBeGreaterThan(before);
      client.move('next');
      expect(line(client)).toBe(lineOf(file, '@next'));
    },
  );

  test('onto a fault comes to its handler, though an interrupt waits', () => {
    const { client, file } = atEntry(`${TICKING}
    mov ecx, 1200
    loop $
    ud2             ; @fault
handler:
    hlt             ; @handler
${TICK}`);
    client.ask('setBreakpoints', { source: { path: file }, breakpoints: [{ line: lineOf(file, '@sti') }] });
    client.move('continue');
    while (line(client) !== lineOf(file, '@fault')) client.move('next');
    expect(client.move('next').body.description).toBe('Guest exception');
    expect(line(client)).toBe(lineOf(file, '@handler'));
    expect(client.evaluate('r15', 'clipboard')).toBe('0x0');
  });

  test('prints the logpoints that it passes and stops at breakpoints inside of what it steps over', () => {
    const { client, file } = atEntry(`bits 64
_start:
    call work       ; @call
    hlt             ; @after
work:
    mov eax, 5      ; @work
    inc eax         ; @log
    ret`);
    client.ask('setBreakpoints', {
      source: { path: file },
      breakpoints: [{ line: lineOf(file, '@log'), logMessage: 'eax is {eax}, word {word [rsp]}' }],
    });
    client.move('next');
    expect(line(client)).toBe(lineOf(file, '@after'));
    const printed = client.events.filter(({ event }) => event === 'output').map(({ body }) => body.output);
    expect(printed).toContainEqual(expect.stringMatching(/^eax is 0x5, word 0x5\n$/));
    client.ask('setBreakpoints', { source: { path: file }, breakpoints: [{ line: lineOf(file, '@work') }] });
    client.ask('restart');
    client.run();
    expect(client.move('next').body.reason).toBe('breakpoint');
    expect(line(client)).toBe(lineOf(file, '@work'));
  });
});

test('a guest that loops for ever still answers pause', () => {
  const { client } = atEntry('bits 64\n_start:\n    jmp $\n');
  client.ask('continue', { threadId: 1 });
  client.session.slice();
  client.ask('pause', { threadId: 1 });
  expect(client.run(3).body.reason).toBe('pause');
});

test('in real mode memory in an expression is read through its segment', () => {
  const { client } = atEntry(
    `bits 16
org 0x7c00
_start:
    mov ax, 0x1000
    mov ds, ax
    mov word [0x10], 0xbeef
    jmp $
times 510-($-$$) db 0
dw 0xaa55`,
    { platform: 'bare' },
  );
  client.move('next');
  client.move('next');
  client.move('next');
  expect(client.evaluate('word [0x10]', 'clipboard')).toBe('0xbeef');
  expect(client.evaluate('word gpa:[0x10010]', 'clipboard')).toBe('0xbeef');
  expect(client.evaluate('word es:[0x10]', 'clipboard')).not.toBe('0xbeef');
});
