import { describe, expect, test } from 'vitest';
import { type PrivilegeName, USUAL_PRIVILEGES } from '../../../src/hypervisor/privileges/privileges.ts';
import type { PartitionConfiguration } from '../../../src/platforms/configuration.ts';
import { bitsOf, Feature, Hint } from '../../../src/platforms/hyperv/abi/cpuid.ts';
import { Msr } from '../../../src/platforms/hyperv/abi/msrs.ts';
import { Privilege, privilegeMask } from '../../../src/platforms/hyperv/abi/privileges.ts';
import { read, runMsrs, write } from './msr-guest.ts';

/** Prints EAX, EBX, ECX and EDX of a leaf. */
function leaf(number: number): string {
  return `
    mov eax, 0x${number.toString(16)}
    xor ecx, ecx
    cpuid
    mov r8d, eax
    mov r9d, ebx
    mov r10d, ecx
    mov r11d, edx
    mov rax, r8
    call hex
    mov rax, r9
    call hex
    mov rax, r10
    call hex
    mov rax, r11
    call hex
  `;
}

function leaves(numbers: readonly number[], configuration: Partial<PartitionConfiguration> = {}) {
  const { lines } = runMsrs(numbers.map(leaf).join(''), configuration);
  return numbers.map((_, index) => lines.slice(index * 4, index * 4 + 4).map((line) => Number(`0x${line}`)));
}

const text = (...registers: readonly (number | undefined)[]) =>
  new TextDecoder().decode(Uint32Array.from(registers.map((value) => value ?? 0)));

describe('CPUID', () => {
  test.each(['intel', 'amd'] as const)('says that this is Hyper-V on %s', (vendor) => {
    const [one, signature, face, version, limits, stack] = leaves(
      [1, 0x4000_0000, 0x4000_0001, 0x4000_0002, 0x4000_0005, 0x4000_0080],
      { vendor },
    );
    expect((one?.[2] ?? 0) >>> 31).toBe(1);
    expect(signature?.[0]).toBe(0x4000_000c);
    expect(text(...(signature ?? []).slice(1))).toBe('Microsoft Hv');
    expect(text(face?.[0])).toBe('Hv#1');
    expect(version?.[1]).toBe(0xa_0000);
    expect(limits?.slice(0, 2)).toEqual([64, 64]);
    expect(stack?.[0]).toBe(0x4000_0082);
    expect(text(...(stack ?? []).slice(1))).toBe('Microsoft VS');
  });

  test('has what a child of Linux needs, and what isn’t there isn’t shown', () => {
    const [features, cpuManagement, nested, isolation] = leaves([0x4000_0003, 0x4000_0007, 0x4000_000a, 0x4000_000c]);
    const [eax = 0, ebx = 0, , edx = 0] = features ?? [];
    expect(eax & 0x0a7f).toBe(0x0a7f);
    expect(ebx & 0x30).toBe(0x30);
    const root = privilegeMask(Privilege.CREATE_PARTITIONS, Privilege.CPU_MANAGEMENT) >> 32n;
    expect(BigInt(ebx) & root).toBe(0n);
    const timers = bitsOf(Feature.DIRECT_SYNTHETIC_TIMERS, Feature.UNHALTED_TIMER);
    const needed = timers | bitsOf(Feature.FREQUENCY_MSRS, Feature.CRASH_MSRS);
    expect(edx & needed).toBe(needed);
    expect(edx & bitsOf(Feature.GUEST_DEBUGGING, Feature.DEBUG_MSRS, Feature.PERFORMANCE_MONITORS)).toBe(0);
    for (const empty of [cpuManagement, nested, isolation]) expect(empty).toEqual([0, 0, 0, 0]);
  });

  test('recommends MSRs of the APIC where each access to its page leaves, and no AutoEOI where none does', () => {
    const hintsOf = (configuration: Partial<PartitionConfiguration>) => leaves([0x4000_0004], configuration)[0]?.[0] ?? 0;
    const apicv = hintsOf({ vendor: 'intel' });
    expect(apicv & bitsOf(Hint.APIC_MSRS, Hint.DEPRECATE_AUTO_EOI)).toBe(bitsOf(Hint.DEPRECATE_AUTO_EOI));
    for (const configuration of [{ vendor: 'amd' }, { vendor: 'intel', intercepts: ['-virtual-interrupts'] }] as const)
      expect(hintsOf(configuration) & bitsOf(Hint.APIC_MSRS, Hint.DEPRECATE_AUTO_EOI)).toBe(bitsOf(Hint.APIC_MSRS));
  });

  test('shows a parent that the TSC is invariant once it has asked for it', () => {
    const code = [
      leaf(0x8000_0007),
      write(Msr.TSC_INVARIANT_CONTROL, 1n),
      leaf(0x8000_0007),
      write(Msr.TSC_INVARIANT_CONTROL, 2n),
    ];
    const { lines } = runMsrs(code.join(''), { privileges: [...USUAL_PRIVILEGES, 'create-partitions'] });
    expect(lines.filter((_, index) => [3, 4, 8, 9].includes(index))).toEqual([
      '0000000000000000',
      'ok',
      '0000000000000100',
      '#GP',
    ]);
  });
});

describe('what a user takes away', () => {
  const ALL: readonly PrivilegeName[] = [
    'serial-console',
    'debug-exit',
    'power',
    'timers',
    'send-ipis',
    'start-vcpus',
    'hypercalls',
  ];
  const without = (name: PrivilegeName) => ({ privileges: ALL.filter((each) => each !== name) });
  const END = 'mov dx, 0x604\nmov ax, 0x2000\nout dx, ax\nmov dx, 0xf4\nxor eax, eax\nout dx, al\n';

  test.each([
    ['timers', Privilege.ACCESS_SYNTHETIC_TIMERS, Msr.STIMER0_CONFIG],
    ['hypercalls', Privilege.ACCESS_HYPERCALL_MSRS, Msr.GUEST_OS_ID],
    ['power', Privilege.ACCESS_RESET, Msr.RESET],
  ] as const)('%s: its bit of the mask is gone, and its MSRs are refused', (name, bit, msr) => {
    const { lines, records } = runMsrs(`${leaf(0x4000_0003)}${read(msr)}${END}`, without(name));
    expect(BigInt(`0x${lines[0]}`) & (1n << BigInt(bit))).toBe(0n);
    expect(lines[4]).toBe('#GP');
    expect(records.find(({ reason }) => reason === 'msr-read')?.result).toContain('refused');
  });

  test('hypercalls: nothing that takes one is shown', () => {
    const [features, hints] = leaves([0x4000_0003, 0x4000_0004], without('hypercalls'));
    expect(features?.[1]).toBe(0);
    expect((features?.[3] ?? 0) & bitsOf(Feature.XMM_HYPERCALL_INPUT, Feature.EXTENDED_GVA_RANGES)).toBe(0);
    expect((hints?.[0] ?? 0) & bitsOf(Hint.REMOTE_FLUSH, Hint.CLUSTER_IPI, Hint.PROCESSOR_MASKS_EX)).toBe(0);
  });

  test('send-ipis: they aren’t recommended; start-vcpus: its bit is gone', () => {
    expect((leaves([0x4000_0004], without('send-ipis'))[0]?.[0] ?? 0) & bitsOf(Hint.CLUSTER_IPI)).toBe(0);
    const start = 1n << BigInt(Privilege.START_VIRTUAL_PROCESSOR - 32);
    expect(BigInt(leaves([0x4000_0003], without('start-vcpus'))[0]?.[1] ?? 0) & start).toBe(0n);
  });

  test('whoever may make partitions is a parent', () => {
    const [features] = leaves([0x4000_0003], { privileges: [...ALL, 'create-partitions'] });
    expect(BigInt(features?.[1] ?? 0) & 1n).toBe(1n);
  });
});
