import { describe, expect, test } from 'vitest';
import { splitAssignment } from '../../src/debugger/expressions/assignment.ts';
import { atEntry } from '../adapter/guests.ts';
import { Random } from '../support/random.ts';

describe('what sets something', () => {
  test.each<[string, string, string]>([
    ['rax = 5', 'rax', '5'],
    ['dword [rsp+4]=rax', 'dword [rsp+4]', 'rax'],
    ['zf = rax == 5', 'zf', 'rax == 5'],
    ['rbx = (1 <= 2)', 'rbx', '(1 <= 2)'],
    ["byte [rsi] = '='", 'byte [rsi]', "'='"],
    ['a[i == 1] = 2', 'a[i == 1]', '2'],
    ['x = y = z', 'x', 'y = z'],
    ['rcx += 2', 'rcx', 'rcx + (2)'],
    ['p->count -= n + 1', 'p->count', 'p->count - (n + 1)'],
    ['byte [rsi]^=0xff', 'byte [rsi]', 'byte [rsi] ^ (0xff)'],
  ])('%s', (text, target, value) => {
    expect(splitAssignment(text)).toEqual({ target, value });
  });

  test.each(['rax', 'rax == 5', 'rax != 5', 'rax <= 5', 'rax >= 5', "'=' == al", '[rax == 1]', '(a = b)', '= 5', ''])(
    '%s does not',
    (text) => {
      expect(splitAssignment(text)).toBeUndefined();
    },
  );
});

const WORDS = [
  'regs',
  'exits',
  'walk',
  'map',
  'mem',
  'find',
  'idt',
  'gdt',
  'cpuid',
  'help',
  'input',
  'rax',
  '$rsp',
  'zf',
  'cr0',
  'cr3',
  'gs.base',
  'cs',
  'ss',
  'tr',
  'ldtr',
  'gdtr.limit',
  'idtr.base',
  'efer',
  'dr7',
  'msr:EFER',
  'msr:0x10',
  'msr:0xc0000101',
  'gpa:',
  'gva:',
  'fs:',
  'byte',
  'qword',
  '[',
  ']',
  '(',
  ')',
  '=',
  '==',
  '+',
  '-',
  '*',
  '/',
  '%',
  '<<',
  '?',
  ':',
  '"',
  "'",
  '\\x4',
  '\\',
  '0x',
  '0',
  '1',
  '-1',
  '4096',
  '0xffffffffffffffff',
  '0x8000000000000000',
  '99999999999999999999',
  'message',
  '_start',
  '-n',
  ',',
  '.',
  'é',
  '\u0000',
  ' ',
  '\n',
];
/** What an error of JavaScript itself says: none of these may reach a user. */
const RAW_ERROR =
  /Cannot (read|set|convert|mix)|is not (a function|iterable)|of undefined|BigInt|Invalid|out of bounds|call stack|itself/;

test('whatever is typed into the console gets an answer or a sentence, and the guest can still be looked at', () => {
  for (let seed = 1; seed <= 40; seed++) {
    const random = new Random(seed);
    const { client } = atEntry(
      'bits 64\n_start: mov rax, message\n    hlt\nmessage: db "text"\n',
      seed % 2 ? {} : { vendor: 'amd' },
    );
    for (let count = 0; count < 60; count++) {
      const text = Array.from({ length: random.between(1, 6) }, () => random.pick(WORDS)).join(random.chance(0.8) ? ' ' : '');
      const context = random.chance(0.8) ? 'repl' : random.pick(['watch', 'hover', 'clipboard']);
      const response = client.request('evaluate', { expression: text, context });
      const answer = response.success ? response.body.result : response.message;
      expect(typeof answer, `seed ${seed}: ${text}`).toBe('string');
      if (!response.success) expect(answer, `seed ${seed}: ${text}`).not.toMatch(RAW_ERROR);
    }
    for (const scope of ['Registers', 'Segments', 'Control registers', 'MSRs', 'VMCS', 'VMCB'])
      if (scope !== (seed % 2 ? 'VMCB' : 'VMCS')) client.scope(scope);
    client.frames();
    client.ask('disassemble', { memoryReference: '0x100000', instructionOffset: -8, instructionCount: 16 });
    client.ask('next', { threadId: 1 });
    for (let slice = 0; slice < 30 && client.session.slice(); slice++);
  }
});
