import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { nodeFiles } from '../../../../src/cli/node-files.ts';
import { createPartition } from '../../../../src/platforms/create-partition.ts';
import { loadProgram } from '../../../../src/programs/load-program.ts';
import { guest, ROUTINES, runToEnd } from '../../run-guest.ts';

const SAMPLE = 'samples/hyperv/hypercalls.asm';

test.each(['intel', 'amd'] as const)('the sample of hypercalls gets the statuses that it says, on %s', (vendor) => {
  const program = loadProgram(readFileSync(SAMPLE), SAMPLE, {}, nodeFiles);
  const { text, end } = runToEnd(createPartition({ platform: 'hyperv', vendor, vcpus: 1, memory: 64 << 20 }, program));
  expect(end.kind).toBe('power-off');
  expect(text.split('\n')).toEqual([
    'HvCallSignalEvent, connection 0x99: status 0x12, done 0x0',
    'HvCallTranslateVirtualAddress: status 0x0, done 0x0',
    '  page 0x100',
    'HvCallGetVpRegisters: status 0x0, done 0x2',
    '  CR3 is 0x9000, EFER is 0x500',
    'the same, not aligned: status 0x4, done 0x0',
    'call 0x7fff: status 0x2, done 0x0',
    '',
  ]);
});

const segment = (selector: number, attributes: number) => `dq 0\n dd -1\n dw ${selector}, ${attributes}\n`;
const DATA = segment(16, 0xc093);

/** Starts its second vCPU with registers of its own, and waits for what that leaves. */
const STARTS_ANOTHER = (instruction: string) => `
  bits 64
  _start:
    mov rsp, 0x80000
    mov ecx, 0x40000000
    mov eax, 1
    xor edx, edx
    wrmsr
    mov ecx, 0x40000001
    mov eax, 0x280001
    wrmsr
    mov ecx, 0xc0000080
    rdmsr
    mov [rel efer], eax
    mov rax, cr0
    mov [rel cr0_value], rax
    mov rax, cr3
    mov [rel cr3_value], rax
    mov rax, cr4
    mov [rel cr4_value], rax
    lea rax, [rel second]
    mov [rel rip_value], rax
    mov ecx, 0x99
    lea rdx, [rel start]
    ${instruction}
    call hex
  wait:
    pause
    cmp qword [rel word_of_second], 0
    je wait
    mov rax, [rel word_of_second]
    call hex
    jmp off
  second:
    mov [rel word_of_second], rsp
    hlt
  ${ROUTINES}
  align 8
  word_of_second: dq 0
  align 512
  start:
    dq -1
    dd 1, 0
  rip_value: dq 0
    dq 0x77000, 2
    ${segment(8, 0xa09b)}
    ${DATA}${DATA}${DATA}${DATA}${DATA}
    ${segment(24, 0x8b)}
    ${segment(0, 0)}
    dq 0, 0, 0, 0
  efer: dq 0
  cr0_value: dq 0
  cr3_value: dq 0
  cr4_value: dq 0
    dq 0x0007040600070406
`;

describe.each([
  ['intel', 'vmcall'],
  ['amd', 'vmmcall'],
] as const)('on %s', (vendor, instruction) => {
  test('a guest starts its second vCPU with one call', () => {
    const started = guest(STARTS_ANOTHER(instruction), { platform: 'hyperv', vendor, vcpus: 2 });
    expect(runToEnd(started).text).toBe('0000000000000000\n0000000000077000\n');
  });
});
