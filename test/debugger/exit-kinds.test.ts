import { describe, expect, test } from 'vitest';
import { launchGuest } from '../../src/debugger/launch-guest.ts';
import { FACET_NAMES } from '../../src/hypervisor/journal/exit-facets.ts';
import { parseExitFilter } from '../../src/hypervisor/journal/exit-filter.ts';
import { plainRecord } from '../../src/hypervisor/journal/exit-journal.ts';
import { ExitStatistics } from '../../src/hypervisor/journal/exit-statistics.ts';
import { oneFile } from '../support/files.ts';

/** Exits of many reasons, several by one instruction with other values, in rounds. */
const GUEST = `bits 64
_start:
    mov ebp, 40
again:
    mov eax, 11
    vmcall
    mov eax, 77
    vmcall
    mov esi, ports
port:
    mov dx, [rsi]
    in al, dx
    out dx, al
    add esi, 2
    cmp esi, ports + 8
    jne port
    mov ecx, 0x4b564d01
    xor eax, eax
    xor edx, edx
    wrmsr
    mov ecx, 0x1b
    rdmsr
    mov ecx, 3
leaf:
    push rcx
    lea eax, [rcx - 1]
    cpuid
    pop rcx
    dec ecx
    jnz leaf
    mov rbx, 0xfee00000
    mov eax, [rbx + 0x30]
    mov [rbx + 0xb0], eax
    mov rsi, 0xd0000000
    mov rax, [rsi]
    mov rax, cr0
    xor eax, 0x40000000
    mov cr0, rax
    monitor
    dec ebp
    jnz again
    mov dx, 0x604
    mov ax, 0x2000
    out dx, ax
    hlt
ports: dw 0x80, 0x3f8, 0x40, 0x20
`;

function finished(vendor: 'intel' | 'amd') {
  const files = oneFile('guest.asm', new TextEncoder().encode(GUEST));
  const guest = launchGuest({ program: 'guest.asm', vendor }, files);
  const { partition } = guest;
  const live = partition.journal.statistics;
  for (let slice = 0; slice < 10_000 && !partition.end; slice++) partition.run({ instructions: 1000 });
  expect(partition.end?.kind).toBe('power-off');
  return { live, records: partition.journal.latest(4096).map(plainRecord), total: partition.journal.total };
}

describe.each(['intel', 'amd'] as const)('exits of a running guest (%s)', (vendor) => {
  const { live, records, total } = finished(vendor);
  const counted = (filter?: string) => {
    const statistics = new ExitStatistics(undefined, filter === undefined ? undefined : parseExitFilter(filter));
    for (const record of records) statistics.add(record);
    return statistics;
  };

  test('are all there, of many reasons', () => {
    expect(records).toHaveLength(total);
    expect(live.total).toBe(total);
    const reasons = live.by('reason').map(({ value }) => value);
    expect(reasons).toEqual(expect.arrayContaining(['io', 'mmio', 'apic', 'hypercall', 'msr-read', 'msr-write', 'cpuid', 'cr']));
  });

  test.each(FACET_NAMES)('are counted by %s as their records are', (name) => {
    expect(live.by(name)).toEqual(counted().by(name));
  });

  test.each(['reason=io', '!to=device port=0x80', 'msr=apic_base', 'handler~cpuid', 'vcpu=0.1'])('are those of %s', (filter) => {
    const part = live.part(parseExitFilter(filter));
    expect(part?.total).toBe(counted(filter).total);
    const plain = counted(filter);
    for (const name of FACET_NAMES)
      expect(part?.by(name).map(({ value, count, instructions }) => [value, count, instructions])).toEqual(
        plain.by(name).map(({ value, count, instructions }) => [value, count, instructions]),
      );
  });

  test('do not tell which passed a filter that looks into what each one asked for', () => {
    expect(live.part(parseExitFilter('request~0x80'))).toBeUndefined();
    expect(live.part(parseExitFilter('reason=io !result=ok'))).toBeUndefined();
  });
});
