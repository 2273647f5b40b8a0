import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { expressionAt, registersIn } from '../../src/extension/assembly-expressions.ts';
import { hexDump } from '../../src/extension/hex-dump.ts';
import { launchSchema } from '../../src/extension/launch-schema.ts';
import { ASSEMBLY_FILE, Command, DEBUG_TYPE, LANGUAGE, View } from '../../src/extension/names.ts';

const root = path.resolve(import.meta.dirname, '../..');
const manifest = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
const { contributes } = manifest;

describe('package.json', () => {
  test('describes launch.json as the debugger reads it', () => {
    const [{ configurationAttributes }] = contributes.debuggers;
    expect(configurationAttributes.launch, 'run `node tools/contributions.mjs`').toEqual(
      JSON.parse(JSON.stringify(launchSchema())),
    );
  });

  test('has every attribute described', () => {
    const silent = Object.entries(launchSchema().properties).filter(([, property]) => !property.markdownDescription);
    expect(silent).toEqual([]);
  });

  test('contributes exactly the commands that the extension registers', () => {
    const contributed = contributes.commands.map(({ command }: { command: string }) => command);
    expect(contributed.sort()).toEqual(Object.values(Command).sort());
  });

  test('contributes the views that the extension fills, and menus of commands that there are', () => {
    const views = Object.values<{ id: string }[]>(contributes.views).flat();
    expect(views.map(({ id }) => id).sort()).toEqual(Object.values(View).sort());
    const known = new Set<string>(Object.values(Command));
    const menus: { command: string }[] = [
      ...Object.values<{ command: string }[]>(contributes.menus).flat(),
      ...contributes.keybindings,
    ];
    expect(menus.map(({ command }) => command).filter((command) => !known.has(command))).toEqual([]);
  });

  test('names the debug type and the language as the sources do', () => {
    expect(contributes.debuggers[0].type).toBe(DEBUG_TYPE);
    expect(contributes.languages[0].id).toBe(LANGUAGE);
    for (const extension of ['.asm', '.nasm', '.s']) {
      expect(contributes.languages[0].extensions).toContain(extension);
      expect(`guest${extension}`).toMatch(ASSEMBLY_FILE);
    }
  });

  test('names only files that are there', () => {
    const files = [
      manifest.icon,
      ...contributes.languages.map(({ configuration }: { configuration: string }) => configuration),
      ...contributes.grammars.map(({ path: file }: { path: string }) => file),
      ...contributes.walkthroughs[0].steps.map(({ media }: { media: { svg: string } }) => media.svg),
    ];
    expect(files.filter((file) => !existsSync(path.join(root, file)))).toEqual([]);
    expect(contributes.walkthroughs[0].steps).toHaveLength(5);
  });

  test('snippets use attributes that exist', () => {
    const known = new Set([...Object.keys(launchSchema().properties), 'type', 'request', 'name']);
    for (const { body } of contributes.debuggers[0].configurationSnippets)
      expect(Object.keys(body).filter((name) => !known.has(name))).toEqual([]);
  });
});

describe('what a hover evaluates', () => {
  const at = (marked: string) => expressionAt(marked.replace('|', ''), marked.indexOf('|'))?.expression;

  test.each([
    ['    mov r|ax, [rsp+8]', 'rax'],
    ['    mov rax, |[rsp+8]', '[rsp+8]'],
    ['    mov rax, [rs|p+8]', 'rsp'],
    ['    call pr|int', 'print'],
    ['_st|art:', '_start'],
    ['    mo|v rax, rbx', undefined],
    ['start: rep mov|sb', undefined],
    ['    mov rax, 1 ; rb|x', undefined],
    ['    db "r|ax"', undefined],
    ['    mov qwo|rd [rax], 1', undefined],
  ])('%s', (line, expression) => {
    expect(at(line)).toBe(expression);
  });

  test('registers of a line', () => {
    expect(registersIn('    add RAX, [r8d + rbx*2] ; rcx').map(({ expression }) => expression)).toEqual(['rax', 'r8d', 'rbx']);
    expect(registersIn('    mov cr3, rax').map(({ expression }) => expression)).toEqual(['cr3', 'rax']);
  });
});

test('memory is shown in lines of 16 bytes', () => {
  const bytes = new TextEncoder().encode('Hello from a guest');
  expect(hexDump(0x7c00n, bytes)).toBe(
    '00007c00  48 65 6c 6c 6f 20 66 72  6f 6d 20 61 20 67 75 65  Hello from a gue\n' +
      '00007c10  73 74                                             st\n',
  );
  expect(hexDump(0xffff_ffff_ffff_fff0n, bytes.subarray(0, 16))).toMatch(/^fffffffffffffff0 /);
});
