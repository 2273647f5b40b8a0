import { describe, expect, test } from 'vitest';
import { ExpressionError, type ExpressionScope, evaluateExpression, packText } from '../../src/debugger/expressions/evaluator.ts';

const NAMES: Readonly<Record<string, bigint>> = {
  rax: 5n,
  rsp: 0x1000n,
  bp: 0x20n,
  si: 0x10n,
  zf: 1n,
  message: 0x2000n,
  '.loop': 7n,
  'core::fmt': 9n,
  'msr:0xc0000080': 0x500n,
  reason: packText('msr-write'),
};

/** Memory in which each byte is the low byte of its address; the physical one has them inverted. */
const scope: ExpressionScope = {
  lookUp: (name) => NAMES[name],
  symbolAddress: (name) => (name === 'message' ? NAMES[name] : undefined),
  read: (address, bytes, space) => {
    let value = 0n;
    for (let index = bytes - 1; index >= 0; index--) {
      const byte = (address + BigInt(index)) & 0xffn;
      value = (value << 8n) | (space === 'gpa' ? byte ^ 0xffn : byte);
    }
    return value;
  },
  segmentBase: (segment, registers) => (segment === 'fs' ? 0x100n : segment === 'ss' || registers.includes('bp') ? 0x40n : 0n),
  wordSize: 4,
};
const value = (text: string) => evaluateExpression(text, scope);

describe('an expression', () => {
  test.each<[string, bigint]>([
    ['1 + 2 * 3', 7n],
    ['&message + 1', 0x2001n],
    ['3 & message', 0n],
    ['(1 + 2) * 3', 9n],
    ['0x10', 16n],
    ['10h', 16n],
    ['0ffh', 255n],
    ['0b1010', 10n],
    ['1_000', 1000n],
    ['rax', 5n],
    ['$rax', 5n],
    ['-1', 0xffff_ffff_ffff_ffffn],
    ['0 - 1 > 0', 1n],
    ['~0', 0xffff_ffff_ffff_ffffn],
    ['!rax', 0n],
    ['1 << 70', 0n],
    ['rax == 5 && zf', 1n],
    ['rax == 4 || !zf', 0n],
    ['rax & 4 | 8 ^ 1', 13n],
    ['zf?1:0', 1n],
    ['zf ? rax : message', 5n],
    ['message + .loop', 0x2007n],
    ['core::fmt', 9n],
    ['msr:0xc0000080', 0x500n],
    ["reason == 'msr-write'", 1n],
    ['reason == "io"', 0n],
  ])('%s is what it is in C', (text, expected) => {
    expect(value(text)).toBe(expected);
  });

  test.each<[string, bigint]>([
    ['byte [rsp + 4]', 0x04n],
    ['word [0x10]', 0x1110n],
    ['[0x10]', 0x13121110n],
    ['qword [0]', 0x0706050403020100n],
    ['*rsp', 0x03020100n],
    ['byte gpa:[4]', 0xfbn],
    ['byte [fs:2]', 0x02n],
    ['byte fs:[2]', 0x02n],
    ['byte [bp]', 0x60n],
    ['byte ds:[bp]', 0x60n],
    ['byte gva:[bp]', 0x20n],
    ['byte [byte [si]]', 0x10n],
  ])('%s reads memory as the instruction would', (text, expected) => {
    expect(value(text)).toBe(expected);
  });

  test.each<[string, RegExp]>([
    ['', /empty/],
    ['1 +', /ends too early/],
    ['(1', /"\)" is missing/],
    ['1 2', /left over/],
    ['nobody', /"nobody" is not a register/],
    ['1 / 0', /divides by zero/],
    ['5 @', /not a register|left over/],
    ['0x', /"0x" is no number/],
    ['12ab', /"12ab" is no number/],
    ['#', /means nothing/],
    ['('.repeat(500), /nests too deeply/],
    ['-'.repeat(3000), /nests too deeply/],
    ['1?'.repeat(1500), /nests too deeply/],
    ['1'.repeat(5000), /characters at most/],
  ])('%.40s is refused with a sentence', (text, sentence) => {
    expect(() => value(text)).toThrow(ExpressionError);
    expect(() => value(text)).toThrow(sentence);
  });
});
