import { describe, expect, test } from 'vitest';
import { breakpointLike, matchesPattern, parseExitPattern } from '../../src/debugger/breakpoints/exit-breakpoints.ts';
import type { ExitReason } from '../../src/processor/exit.ts';

describe('a breakpoint on exits like one', () => {
  test.each<[ExitReason, string, string, string, string | undefined]>([
    ['io', 'in 0x71 (1 byte)', '0x710008', 'exit:io', 'port == 0x71 && !write'],
    ['msr-read', 'rdmsr 0xc0000082', '0x0', 'exit:msr-read', 'msr == 0xc0000082'],
    ['cpuid', 'cpuid 0x7.0x0', '0x0', 'exit:cpuid', 'leaf == 0x7'],
    ['cr', 'mov cr4, 0x20', '0x4', 'exit:cr', 'register == 4 && write'],
    ['cr', 'mov from cr3', '0x13', 'exit:cr', 'register == 3 && !write'],
    ['apic', 'apic write 0xb0, 0x0', '0x0', 'exit:apic', '(gpa & 0xfff) == 0xb0 && write'],
    ['mmio', 'read 0xfec00010 (4 bytes)', '0x0', 'exit:mmio', 'gpa == 0xfec00010 && !write'],
    ['second-level-violation', 'execute 0x1000', '0x0', 'exit:second-level-violation', 'gpa == 0x1000'],
    ['second-level-misconfiguration', 'page walk 0x2000', '0x0', 'exit:second-level-misconfiguration', 'gpa == 0x2000'],
    ['dirty-log', 'write 0x3000', '0x0', 'exit:dirty-log', 'gpa == 0x3000'],
    ['exception', '#PF(0x2)', '0x0', 'exit:exception', 'vector == 14'],
    ['external-interrupt', 'external-interrupt 0x20', '0x0', 'exit:external-interrupt', 'vector == 0x20'],
    ['hypercall', 'vmcall KVM_HC_KICK_CPU', '0x0', 'hypercall:KVM_HC_KICK_CPU', undefined],
    ['hypercall', 'vmmcall hypercall 77', '0x0', 'hypercall:0x4d', undefined],
    ['hypercall', 'vmcall HvCallSignalEvent(connection 0x10001, flag 0)', '0x0', 'hypercall:HvCallSignalEvent', undefined],
    ['hlt', 'hlt', '0x0', 'exit:hlt', undefined],
  ])('%s: %s', (reason, request, qualification, name, condition) => {
    const record = { seq: 1, partition: 1, vcpu: 0, icount: '1', rip: '0x1000', vmx: 0, svm: 0, reason, request, qualification };
    expect(breakpointLike(record)).toEqual(condition === undefined ? { name } : { name, condition });
  });
});

describe('a breakpoint on a hypercall', () => {
  test.each([
    ['hyperv', 'hypercall:HvCallPostMessage', 0x5cn, 'control word'],
    ['hyperv', 'hypercall: postmessage', 0x5cn, 'control word'],
    ['hyperv', 'hypercall:0x5d', 0x5dn, 'control word'],
    ['kvm', 'hypercall:send_ipi', 10n, 'rax'],
  ] as const)('of %s is read: %s', (platform, text, hypercall, numberIn) => {
    expect(parseExitPattern(text, platform)).toEqual({ reason: 'hypercall', hypercall, numberIn });
  });

  test('that does not exist is answered with names that are like it', () => {
    expect(parseExitPattern('hypercall:Message', 'hyperv')).toBe(
      'The platform hyperv has no hypercall "Message"; it has HvCallPostMessage, HvCallPostMessageDirect.',
    );
    expect(parseExitPattern('hypercall:0x10000', 'hyperv')).toBe(
      'A hypercall of hyperv has a code of 16 bits; "0x10000" is none.',
    );
    expect(parseExitPattern('hypercall:0x10000', 'kvm')).toMatchObject({ hypercall: 0x10000n });
    expect(parseExitPattern('hypercall:nothing', 'hyperv')).toMatch(/it has HvCallSwitchVirtualAddressSpace, .* and \d+ more\.$/);
  });

  test.each([
    [64, { 1: 0x3_0001_005cn }, true],
    [64, { 0: 0x5cn }, false],
    [32, { 0: 0xffff_ffff_0001_005cn }, true],
    [32, { 1: 0x5cn }, false],
  ] as const)('of Hyper-V is found in the control word of %s-bit code', (mode, registers, expected) => {
    const gpr = (index: number) => (registers as Readonly<Record<number, bigint>>)[index] ?? 0n;
    const exit = { reason: 'hypercall', instruction: 'vmcall', rip: 0n, instructionLength: 3, icount: 0n } as const;
    const pattern = { reason: 'hypercall', hypercall: 0x5cn, numberIn: 'control word' } as const;
    expect(matchesPattern(pattern, exit, { mode, state: { gpr } })).toBe(expected);
  });
});
