import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { EscapeKeys } from '../../src/cli/raw-terminal.ts';
import { cli, missingTool, skipped } from './real-gdb.ts';

/** Prints a mark, then each key in brackets. It is as large as a kernel. */
const ECHO = `bits 64
section .text
global _start
_start:
    mov dx, 0x3f8
    mov al, '#'
    out dx, al
next:
    mov dx, 0x3fd
.wait:
    in al, dx
    test al, 1
    jz .wait
    mov dx, 0x3f8
    in al, dx
    mov bl, al
    mov al, '<'
    out dx, al
    mov al, bl
    out dx, al
    mov al, '>'
    out dx, al
    jmp next
section .bss
    resb 3 << 20
`;

test('keys behind Ctrl+A are for Hyperscope, in whatever pieces they come', () => {
  const told: string[] = [];
  const keys = new EscapeKeys({
    help: () => told.push('help'),
    end: () => told.push('end'),
    ask: () => told.push('ask'),
  });
  const typed = (...pieces: readonly string[]) =>
    pieces.map((piece) => Buffer.from(keys.take(Buffer.from(piece, 'latin1'))).toString('latin1')).join('');
  expect([typed('a\x01\x01b\x03'), told]).toEqual(['a\x01b\x03', []]);
  expect([typed('\x01', 'x', 'c'), told]).toEqual(['c', ['end']]);
  expect([typed('\x01h\x01X\x01\x18'), told]).toEqual(['', ['end', 'help', 'end', 'end']]);
  expect([typed('\x01q\x01\x11q'), told.slice(4)]).toEqual(['q', ['ask', 'ask']]);
});

const missing = missingTool('script');
let child: ChildProcess | undefined;
afterEach(() => {
  child?.kill();
});

describe.skipIf(missing)(`in a terminal${skipped(missing)}`, () => {
  test('a guest that may be Linux gets each key at once, and Ctrl+A X ends it', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'hyperscope-terminal-'));
    const [source, program] = [path.join(folder, 'echo.asm'), path.join(folder, 'echo.elf')];
    writeFileSync(source, ECHO);
    execFileSync(process.execPath, [cli, 'asm', source, '-o', program]);
    const command = `'${process.execPath}' '${cli}' run '${program}'`;
    const started = spawn('script', ['--quiet', '--return', '--command', command, '/dev/null'], { stdio: 'pipe' });
    child = started;
    let text = '';
    started.stdout.on('data', (chunk) => {
      text += chunk;
    });
    const ended = new Promise((resolve) => started.on('exit', resolve));
    await expect.poll(() => text, { timeout: 20_000 }).toMatch(/Ctrl\+A X ends the guest[\s\S]*#$/);
    started.stdin.write('hi\x03\x01\x01\r');
    await expect.poll(() => text, { timeout: 20_000 }).toContain('#<h><i><\x03><\x01><\r>');
    started.stdin.write('\x01x');
    expect(await ended).toBe(130);
    expect(text).toMatch(/The guest was ended by Ctrl\+A X\.\s*$/);
  }, 60_000);
});
