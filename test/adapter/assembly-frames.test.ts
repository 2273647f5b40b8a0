import { describe, expect, test } from 'vitest';
import type { Client } from './client.ts';
import { atEntry } from './guests.ts';

/** Runs to a label; gives the names on the call stack and the lines of the callers. */
function stackAt(text: string, label: string, options: object = {}): { names: string[]; texts: string[]; client: Client } {
  const { client, file } = atEntry(text, options);
  client.ask('setFunctionBreakpoints', { breakpoints: [{ name: label }] });
  expect(client.move('continue').body.reason).toBe('breakpoint');
  const frames = client.frames();
  const lines = text.split('\n');
  expect(frames.every(({ source }) => source?.path === file)).toBe(true);
  return { names: frames.map(({ name }) => name), texts: frames.map(({ line }) => lines[line - 1]?.trim() ?? ''), client };
}

const NESTED = `
    call outer              ; from the start
    hlt
outer:
    push BX
    push CX
    call middle             ; from outer
    pop CX
    pop BX
    ret
middle:
    push BX
    sub SP, 8
    test SP, SP
    jz .never
.loop:
    call inner              ; from middle
    dec CX
    jnz .loop
.never:
    add SP, 8
    pop BX
    ret
inner:
    push CX
    nop
.here:
    nop
    pop CX
    ret
`;

const nested = (bits: number, prefix: string) =>
  `bits ${bits}\n_start:\n    mov ${prefix}CX, 1${NESTED.replaceAll(/\b(BX|CX|SP)\b/g, `${prefix}$1`)}`;

describe('the call stack of guest assembly', () => {
  for (const [bits, prefix] of [
    [16, ''],
    [32, 'E'],
    [64, 'R'],
  ] as const)
    test(`shows the callers of functions that push registers and move the stack pointer, in ${bits}-bit code`, () => {
      const { names, texts } = stackAt(nested(bits, prefix), 'inner.here');
      expect(names).toEqual(['inner', 'middle', 'outer', '_start']);
      expect(texts.slice(1)).toEqual(['middle', 'outer', 'the start'].map((from) => expect.stringContaining(`; from ${from}`)));
    });

  test('counts from the bases of SS and CS in real mode', () => {
    const text = `bits 16
org 0
_start:
    mov ax, 0x2000
    mov ss, ax
    mov sp, 0x100
    mov ax, 0x3000
    mov es, ax
    push cs
    pop ds
    mov si, _start
    xor di, di
    mov cx, the_end - _start
    rep movsb
    jmp 0x3000:moved
moved:
    call first
    hlt
first:
    push ax
    call second
    pop ax
    ret
second:
    push bx
.here:
    pop bx
    ret
the_end:
`;
    const { client } = atEntry(text);
    client.ask('setInstructionBreakpoints', {
      breakpoints: [{ instructionReference: '0x30000', offset: Number(client.evaluate('second.here - _start', 'clipboard')) }],
    });
    expect(client.move('continue').body.reason).toBe('breakpoint');
    expect(client.evaluate('ss.base', 'clipboard')).toBe('0x20000');
    expect(client.frames()[0].instructionPointerReference).toMatch(/^0x300/);
  });

  test('goes through an interrupt handler to what it has interrupted, with and without an error code', () => {
    for (const [vector, raise, drop] of [
      [6, 'ud2', 0],
      [13, 'mov ax, 0x1234\n    mov fs, ax', 8],
    ] as const) {
      const text = `bits 64
_start:
    mov rax, handler
    mov rdi, table + ${vector} * 16
    mov [rdi], ax
    mov word [rdi + 2], cs
    mov word [rdi + 4], 0x8e00
    shr rax, 16
    mov [rdi + 6], ax
    mov dword [rdi + 8], 0
    lidt [table_register]
    call work
    hlt
work:
    push rbx
    ${raise}                ; interrupted
    pop rbx
    ret
handler:
    push rax
    push rcx
    call report             ; from the handler
    pop rcx
    pop rax
${drop > 0 ? `    add rsp, ${drop}\n` : ''}    add qword [rsp], 2
    iretq
report:
    nop
.here:
    ret
align 16
table: times 32 dq 0
table_register:
    dw 511
    dq table
`;
      const { names, texts } = stackAt(text, 'report.here');
      expect(names).toEqual(['report', 'handler', 'work', '_start']);
      expect(texts[1]).toContain('; from the handler');
      expect(texts[2]).toContain(vector === 6 ? 'ud2' : 'mov fs');
      expect(texts[3]).toBe('call work');
    }
  });

  test('gives the registers of a caller as they were there, where the callee has pushed them', () => {
    const text = `bits 64
_start:
    mov rbx, 0x1111
    call first
    hlt
first:
    push rbx
    mov rbx, 0x2222
    call second
    pop rbx
    ret
second:
    push rbx
    mov rbx, 0x3333
.here:
    pop rbx
    ret
`;
    const { names, client } = stackAt(text, 'second.here');
    expect(names).toEqual(['second', 'first', '_start']);
    const values = client.frames().map(({ id }) => {
      const { scopes } = client.ask('scopes', { frameId: id });
      const registers = scopes.find(({ name }: { name: string }) => name === 'Registers');
      const { variables } = client.ask('variables', { variablesReference: registers.variablesReference });
      return variables.find(({ name }: { name: string }) => name === 'rbx').value.split(' ')[0];
    });
    expect(values.map(BigInt)).toEqual([0x3333n, 0x2222n, 0x1111n]);
  });
});
