import { spawnSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { nodeFiles } from '../../src/cli/node-files.ts';
import { assemble } from '../../src/programs/assembler/assemble.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'hyperscope-mistakes-'));
const hasNasm = spawnSync('nasm', ['-v']).status === 0;
const HEAD = ['bits 64', '_start:', 'main: ret', '.here: ret'];

/** What people write wrong, with the column of the mistake, what is said of it, and the hint. All stand behind HEAD, under `main`. */
const MISTAKES: readonly (readonly [text: string, column: number, message: RegExp, hint: RegExp])[] = [
  ['  movv eax, 1', 3, /"movv" is neither an instruction nor a directive/, /Did you mean "mov"/],
  ['  mvo eax, 1', 3, /"mvo" is neither/, /"mov"/],
  ['  mov eaxx, 1', 7, /The symbol "eaxx" is not defined/, /the register eax/],
  ['  mov r8l, 1', 7, /"r8l" is not defined/, /the register r8b/],
  ['  jmp mian', 7, /"mian" is not defined/, /"main"/],
  ['  jmp Main', 7, /"Main" is not defined/, /"main"/],
  ['  jmp .hre', 7, /"\.hre" is not defined/, /"\.here"/],
  ['  jmp nowhere_at_all', 7, /not defined/, /spelling/],
  ['  mov eax 1', 11, /comma is missing/, /./],
  ['  mov rax, 0x1g', 12, /"0x1g" is not a number/, /0x1F/],
  ['  db "abc', 6, /string has no end/, /Close it/],
  ['  add eax, ebx, ecx', 3, /doesn't take 3 operands/, /takes 2/],
  ['  mov [rsi], 1', 3, /size of the operation is not stated/, /byte, word, dword or qword/],
  ['  mov rax, byte [rsi]', 3, /doesn't take this combination/, /sizes/],
  ['  push eax', 3, /doesn't take this combination of operands in 64-bit mode/, /sizes/],
  ['  pusha', 3, /doesn't exist in 64-bit mode/, /bits 64/],
  ['  mov eax, offset main', 12, /"offset" is not defined/, /leave "offset" out/],
  ['  mov rax, [rip+4]', 13, /"rip" is not defined/, /\[rel NAME\]/],
  ['  movl $1, %eax', 8, /instruction or directive is expected/, /AT&T syntax/],
  ['  mov eax, [rsp+rsp*2]', 13, /stack pointer has no factor/, /1, 2, 4 and 8/],
  ['  times -1 nop', 9, /count of TIMES is -1/, /^$/],
  ['  align 3', 9, /3 is no alignment/, /power of two/],
  ['main: nop', 1, /"main" is defined already, at .*:3/, /leading dot/],
  ['  mov ah, r8b', 3, /doesn't take this combination/, /./],
  ['  lea eax, ebx', 3, /doesn't take this combination/, /./],
  ['%macro foo 1', 1, /%macro has no end/, /%endmacro/],
  ['%endif', 1, /%endif/, /./],
  ['%include "nothing.inc"', 1, /nothing\.inc/, /./],
];

describe('what people write wrong gets one error, where it is, with a hint', () => {
  test.each(MISTAKES)('%s', (text, column, message, hint) => {
    const file = path.join(folder, 'guest.asm');
    const source = [...HEAD, text, ''].join('\n');
    writeFileSync(file, source);
    const { diagnostics } = assemble(file, nodeFiles, { format: 'elf64' });
    const errors = diagnostics.filter(({ severity }) => severity === 'error');
    expect(errors).toHaveLength(1);
    expect([errors[0]?.line, errors[0]?.column]).toEqual([HEAD.length + 1, column]);
    expect(errors[0]?.message).toMatch(message);
    expect(errors[0]?.hint ?? '').toMatch(hint);
    if (!hasNasm) return;
    const { status } = spawnSync('nasm', ['-f', 'elf64', '-w-all', '-o', path.join(folder, 'out'), file]);
    expect(status, 'nasm refuses it, too').not.toBe(0);
  });

  test.each([
    ['mov dword [0xfee000d0], 1', '0xfee000d0'],
    ['mov ecx, [rax + 0x80000000]', '0x80000000'],
  ])('%s is refused, where NASM warns and has the address sign-extended', (text, address) => {
    const file = path.join(folder, 'far.asm');
    writeFileSync(file, `bits 64\n${text}\nmov ecx, [0xffffffff80000000]\n`);
    const { diagnostics } = assemble(file, nodeFiles, { format: 'elf64' });
    expect(diagnostics.map(({ line, message, hint }) => [line, message, hint])).toEqual([
      [2, expect.stringContaining(`${address} can't be in an instruction`), expect.stringContaining(`mov rax, ${address}`)],
    ]);
  });

  test('a word alone on its line is a label, with a warning unless a colon says so', () => {
    const file = path.join(folder, 'orphan.asm');
    writeFileSync(file, 'bits 64\n_start:\n  hltt\nhere:\n$there\n  jmp here\n');
    const { diagnostics } = assemble(file, nodeFiles, { format: 'elf64' });
    expect(diagnostics.map(({ line, column, severity, message }) => [line, column, severity, message])).toEqual([
      [3, 3, 'warning', expect.stringMatching(/^"hltt" is taken for a label; write a colon .* "hlt"\?$/)],
    ]);
  });

  test('a wrong operand before a label that comes later is told once, as what it is', () => {
    const file = path.join(folder, 'later.asm');
    writeFileSync(file, 'bits 64\n_start:\n  mov eax, byte [later]\nlater: db 1\n');
    const { diagnostics } = assemble(file, nodeFiles, { format: 'elf64' });
    expect(diagnostics.map(({ line, message }) => [line, message])).toEqual([
      [3, expect.stringContaining('combination of operands')],
    ]);
  });
});
