import { expect, test } from 'vitest';
import { kernelMessage } from '../../../src/debugger/linux/message.ts';

const TEXTS = new Map([
  [0x1000n, 'init'],
  [0x2000n, 'a longer text'],
]);

function message(format: string, ...values: readonly bigint[]): string {
  const rest = [...values];
  return kernelMessage(format, () => rest.shift(), {
    text: (address) => TEXTS.get(address),
    describe: (address) => (address === 0x3000n ? 'do_exit+0x10' : undefined),
  });
}

test('messages are made as the kernel makes them', () => {
  expect(message('Attempted to kill init! exitcode=0x%08x\n', 0x700n)).toBe('Attempted to kill init! exitcode=0x00000700');
  expect(message('VFS: Unable to mount root fs on %s', 0x1000n)).toBe('VFS: Unable to mount root fs on init');
  expect(message('%d %u %i', 0xffff_ffffn, 0xffff_ffffn, 5n)).toBe('-1 4294967295 5');
  expect(message('%ld %llx %#x %X %o', -1n & 0xffff_ffff_ffff_ffffn, 0x1_0000_0000n, 255n, 255n, 8n)).toBe(
    '-1 100000000 0xff FF 10',
  );
  expect(message('[%5d|%-5d|%05d]', 1n, 2n, 3n)).toBe('[    1|2    |00003]');
  expect(message('%.*s and %.3s', 8n, 0x2000n, 0x1000n)).toBe('a longer and ini');
  expect(message('%pS %px %c%%', 0x3000n, 0x3000n, 0x41n)).toBe('do_exit+0x10 0x3000 A%');
});

test('what can not be shown is left or told', () => {
  expect(message('%s %s', 0n, 0x9999n)).toBe('(null) (efault)');
  expect(message('%d %d', 1n)).toBe('1 %d');
  expect(message('%q')).toBe('%q');
  expect(message(`%${'9'.repeat(12)}d`, 1n).length).toBeLessThan(600);
  expect(message('plain')).toBe('plain');
});
