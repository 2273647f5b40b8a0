import { describe, expect, test } from 'vitest';
import { Msr } from '../../../src/platforms/hyperv/abi/msrs.ts';
import { guest, runToEnd } from '../run-guest.ts';
import { printed, read, runMsrs, withMsrs, write } from './msr-guest.ts';

const PAGE = 0x20_0000n;

/** Routines that print the page's time, and by how much the counter read behind it is ahead. */
const TIME = `
    by_page:
      mov ebx, 0x200000
      rdtsc
      shl rdx, 32
      or rax, rdx
      mul qword [rbx + 8]
      mov rax, rdx
      add rax, [rbx + 16]
      ret
    ahead:
      call by_page
      mov r12, rax
      mov ecx, 0x40000020
      rdmsr
      shl rdx, 32
      or rax, rdx
      sub rax, r12
      jmp hex
    `;

describe('reference time', () => {
  test('grows with each read of the counter, and by what has passed', () => {
    const code = `
      mov r13d, 1000
      xor r14d, r14d
      dec r14
    again:
      mov ecx, 0x40000020
      rdmsr
      shl rdx, 32
      or rax, rdx
      cmp r14, -1
      je first
      cmp rax, r14
      jbe wrong
    first:
      mov r14, rax
      dec r13d
      jnz again
      lea rsi, [rel text_ok]
      call puts
    wrong:
      ${read(Msr.TIME_REF_COUNT)}
      rdtsc
      shl rdx, 32
      or rax, rdx
      xor edx, edx
      mov ecx, 100
      div rcx
      call hex
    `;
    const { lines } = runMsrs(code);
    expect(lines[0]).toBe('ok');
    const [counter = 0n, tsc = 0n] = lines.slice(1).map((line) => BigInt(`0x${line}`));
    expect(counter).toBeGreaterThan(9_999n);
    // Printing takes a while.
    expect(tsc - counter).toBeGreaterThanOrEqual(0n);
    expect(tsc - counter).toBeLessThan(20n);
  });

  test.each(['intel', 'amd'] as const)(
    'is the same by the page and by the counter on %s, also after the TSC was written',
    (vendor) => {
      const moved = (value: string) => `
      mov ecx, 0x10
      mov rax, ${value}
      mov rdx, rax
      shr rdx, 32
      wrmsr
    `;
      const code = [
        write(Msr.REFERENCE_TSC, PAGE | 1n),
        'call ahead\nmov eax, [rbx]\ncall hex\n',
        moved('0x123456789abcdef'),
        'call ahead\nmov eax, [rbx]\ncall hex\n',
        'mov ecx, 0x3b\nxor eax, eax\nxor edx, edx\nwrmsr\n',
        'call ahead\nmov eax, [rbx]\ncall hex\n',
        moved('1 << 62'),
        'call ahead\n',
      ].join('');
      const { lines } = runMsrs(code, { vendor }, TIME);
      expect(lines[0]).toBe('ok');
      // A read of the counter takes 10 units.
      for (const index of [1, 3, 5, 7]) expect([10n, 11n]).toContain(BigInt(`0x${lines[index]}`));
      // AMD's model has no TSC_ADJUST.
      const last = vendor === 'intel' ? 3n : 2n;
      expect([2, 4, 6].map((index) => lines[index])).toEqual([printed(1n), printed(2n), printed(last)]);
    },
  );

  test('is by the counter alone where the TSCs of two processors differ', () => {
    const code = [
      write(Msr.REFERENCE_TSC, PAGE | 1n),
      'mov ecx, 0x10\nmov eax, 1000000\nxor edx, edx\nwrmsr\n',
      'mov ebx, 0x200000\nmov eax, [rbx]\ncall hex\n',
    ].join('');
    expect(runMsrs(code, { vcpus: 2 }).lines).toEqual(['ok', printed(0n)]);
  });

  test('leaves the page as it was when it goes', () => {
    const code = [
      'mov ebx, 0x200000\nmov qword [rbx + 8], 77\n',
      write(Msr.REFERENCE_TSC, PAGE | 1n),
      'mov rax, [rbx + 8]\ncall hex\n',
      write(Msr.REFERENCE_TSC, 0x30_0001n),
      'mov rax, [rbx + 8]\ncall hex\nmov rax, [rbx + 0x100008]\ncall hex\n',
      write(Msr.REFERENCE_TSC, 0n),
      'mov rax, [rbx + 0x100008]\ncall hex\n',
    ].join('');
    const scale = printed(((1n << 64n) + 99n) / 100n);
    expect(runMsrs(code).lines).toEqual(['ok', scale, 'ok', printed(77n), scale, 'ok', printed(0n)]);
  });

  test('passes the same however the run is cut', () => {
    const code = [write(Msr.REFERENCE_TSC, PAGE | 1n), read(Msr.TIME_REF_COUNT), read(Msr.TIME_REF_COUNT), 'call ahead\n'];
    const source = withMsrs(code.join(''), TIME);
    const runs = [1_000_000, 3].map((slice) => runToEnd(guest(source, { platform: 'hyperv' }), slice));
    expect(runs[1]?.hash).toBe(runs[0]?.hash);
    expect(runs[1]?.text).toBe(runs[0]?.text);
  });
});
