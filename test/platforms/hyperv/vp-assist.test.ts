import { describe, expect, test } from 'vitest';
import type { PartitionConfiguration } from '../../../src/platforms/configuration.ts';
import { Msr } from '../../../src/platforms/hyperv/abi/msrs.ts';
import { printed, runMsrs, write } from './msr-guest.ts';

const PAGE = 0x20_0000n;

/** Sends itself ten interrupts, and ends each by the page's word where that says so, else by the MSR. */
const CODE = `
  mov ecx, 0x40
  lea rax, [rel on_interrupt]
  call gate
  mov ebx, 0xfee00000
  mov dword [rbx + 0xf0], 0x1ff
  ${write(Msr.VP_ASSIST_PAGE, PAGE | 1n)}
  sti
  mov r12d, 10
next:
  mov ecx, 0x40000071
  mov eax, 0x40040
  xor edx, edx
  wrmsr
  nop
  dec r12d
  jnz next
  mov rax, r13
  call hex
  mov rax, r14
  call hex
`;

const HANDLER = `
    on_interrupt:
      push rax
      push rcx
      push rdx
      inc r13
      btr dword [abs 0x200000], 0
      jc ended
      inc r14
      mov ecx, 0x40000070
      xor eax, eax
      xor edx, edx
      wrmsr
    ended:
      pop rdx
      pop rcx
      pop rax
      iretq
    `;

const run = (configuration: Partial<PartitionConfiguration>) => runMsrs(CODE, configuration, HANDLER).lines;

describe('EOI assist', () => {
  test.each([
    ['AMD without AVIC', { vendor: 'amd' }],
    ['Intel without APICv', { vendor: 'intel', intercepts: ['-virtual-interrupts'] }],
  ] as const)('saves the exits of EOIs on %s', (_name, configuration) => {
    expect(run(configuration)).toEqual(['ok', printed(10n), printed(0n)]);
  });

  test('is left alone with APICv', () => {
    expect(run({ vendor: 'intel' })).toEqual(['ok', printed(10n), printed(10n)]);
  });
});
