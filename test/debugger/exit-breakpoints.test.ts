import { describe, expect, test } from 'vitest';
import { breakpointLike } from '../../src/debugger/breakpoints/exit-breakpoints.ts';
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
    ['hlt', 'hlt', '0x0', 'exit:hlt', undefined],
  ])('%s: %s', (reason, request, qualification, name, condition) => {
    const record = { seq: 1, partition: 1, vcpu: 0, icount: '1', rip: '0x1000', vmx: 0, svm: 0, reason, request, qualification };
    expect(breakpointLike(record)).toEqual(condition === undefined ? { name } : { name, condition });
  });
});
