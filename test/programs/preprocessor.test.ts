import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { nodeFiles } from '../../src/cli/node-files.ts';
import { assemble } from '../../src/programs/assembler/assemble.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'hyperscope-preprocessor-'));
const reason = spawnSync('nasm', ['-v']).status === 0 ? undefined : 'nasm is not installed';

const PROGRAMS: Readonly<Record<string, string>> = {
  'contexts with names of their own': `
%macro repeat 0
%push loop
%$begin:
%endmacro
%macro until 2
    cmp %1, %2
    jne %$begin
%pop loop
%endmacro
    xor eax, eax
repeat
    inc eax
    push rbx
    repeat
        inc ebx
    until ebx, 3
    pop rbx
until eax, 10
%push outer
%assign %$count 3
%push inner
%assign %$count 4
    db %$count, %$$count
%ifctx inner
    db 1
%else
    db 2
%endif
%pop
%pop
`,
  'strings that are measured, cut and joined': `
%define greeting 'hello'
%strlen length greeting
%substr first greeting 1
%substr rest greeting 2,-1
%strcat both 'a', "b", 'cd'
    db length, first, rest, both
`,
  'macros with ranges of parameters, defaults, greed and rotation': `
%macro store 1-3 7, 8
    db %1, %2, %3, %0
%endmacro
    store 1
    store 1, 2
    store 1, 2, 3
%macro text 2+
    db %1
    db %2
%endmacro
    text 1, 2, 3, 'x'
%macro each 1-*
%rep %0
    dw %1
%rotate 1
%endrep
%endmacro
    each 1, 2, 3, 4
%macro saved 1
    push %1
    call %%over
    pop %1
%%over: ret
%endmacro
    saved rax
    saved rcx
`,
  'conditions of every kind': `
%define here 1
%define name value
%define number 5
%define string 'abc'
%define nothing
%macro known 0
%endmacro
%ifdef here
    db 1
%endif
%ifndef here
    db 2
%elifdef name
    db 3
%endif
%ifidn name, value
    db 4
%endif
%ifidni name, VALUE
    db 5
%endif
%ifnum number
    db 6
%endif
%ifid name
    db 7
%endif
%ifstr string
    db 8
%endif
%ifempty nothing
    db 9
%endif
%ifmacro known
    db 10
%endif
%if number > 3 && number < 6
    db 11
%elif number
    db 12
%else
    db 13
%endif
%assign total 0
%rep 5
%assign total total + 1
%if total = 3
%exitrep
%endif
    db total
%endrep
%xdefine frozen number
%undef number
%define number 9
    db frozen, number
`,
};

describe.skipIf(reason)(
  `the preprocessor makes of a source what nasm makes of it${reason ? ` (skipped: ${reason})` : ''}`,
  () => {
    test.each(Object.entries(PROGRAMS))('%s', (_name, text) => {
      const file = path.join(folder, 'source.asm');
      const out = path.join(folder, 'out.bin');
      writeFileSync(file, `bits 64\n${text}`);
      const { stderr, status } = spawnSync('nasm', ['-f', 'bin', '-w-all', '-o', out, file], { encoding: 'utf8' });
      expect([status, stderr]).toEqual([0, '']);
      const { bytes, diagnostics } = assemble(file, nodeFiles, { format: 'bin' });
      expect(diagnostics.filter(({ severity }) => severity === 'error')).toEqual([]);
      expect(Buffer.from(bytes ?? []).toString('hex')).toBe(readFileSync(out).toString('hex'));
    });
  },
);

test('contexts that don’t fit are told', () => {
  const file = path.join(folder, 'contexts.asm');
  const said = (text: string) => {
    writeFileSync(file, text);
    return assemble(file, nodeFiles, { format: 'bin' }).diagnostics.map(({ line, message }) => `${line}: ${message}`);
  };
  expect(said('%pop\n')).toEqual(['1: A %pop stands without its %push.']);
  expect(said('%push a\n%pop b\n')).toEqual(['2: The context on top is "a", not "b".']);
  expect(said('nop\n jmp %$x\n')).toEqual(['2: %$x belongs to a context, and there is none here.']);
});
