import { expect, test } from 'vitest';
import { codesOfKeys, codesOfText, keyStrokes } from '../../../src/devices/keyboard/scan-codes.ts';

const hex = (bytes: Uint8Array) => [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');

test('text is typed key by key, with Shift around those that need it', () => {
  expect(hex(codesOfText('aZ1\n'))).toBe('1e 9e 2a 2c ac aa 02 82 1c 9c');
  expect(hex(codesOfText('`\\|/?'))).toBe('29 a9 2b ab 2a 2b ab aa 35 b5 2a 35 b5 aa');
  expect(codesOfText('\r\n')).toEqual(codesOfText('\n'));
});

test('each printable character of ASCII has a key', () => {
  const printable = Array.from({ length: 0x5f }, (_, index) => String.fromCharCode(0x20 + index)).join('');
  expect(codesOfText(printable).length).toBeGreaterThanOrEqual(2 * 0x5f);
});

test('keys are pressed together and released the other way around', () => {
  expect(hex(codesOfKeys('ctrl+alt+delete'))).toBe('1d 38 e0 53 e0 d3 b8 9d');
  expect(hex(codesOfKeys('F12'))).toBe('58 d8');
  expect(hex(codesOfKeys('shift+a'))).toBe('2a 1e 9e aa');
  expect(hex(codesOfKeys('ctrl++'))).toBe('1d 0d 8d 9d');
});

test('what no key is there for', () => {
  expect(() => codesOfText('ä')).toThrow('a US keyboard has no key for "ä"');
  expect(() => codesOfKeys('ctrl+hyper')).toThrow('there is no key "hyper"; they are characters and esc, ');
});

test('scan codes are taken apart with their prefixes', () => {
  expect(keyStrokes(Uint8Array.of(0x1e, 0x9e, 0xe0, 0x53, 0xe0, 0xd3, 0xe1, 0x1d, 0x45, 0xe0))).toEqual([
    { code: 0x1e, isBreak: false },
    { code: 0x1e, isBreak: true },
    { code: 0x53, isBreak: false, prefix: 0xe0 },
    { code: 0x53, isBreak: true, prefix: 0xe0 },
    { code: 0x1d, isBreak: false, prefix: 0xe1 },
    { code: 0x45, isBreak: false },
  ]);
});
