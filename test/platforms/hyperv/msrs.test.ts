import { describe, expect, test } from 'vitest';
import { facetByName } from '../../../src/hypervisor/journal/exit-facets.ts';
import { MSR_REFERENCE, Msr } from '../../../src/platforms/hyperv/abi/msrs.ts';
import { guest, runToEnd } from '../run-guest.ts';
import { printed, read, runMsrs, withMsrs, write } from './msr-guest.ts';

const LINUX = 0x8100_0006_0100_0000n;

describe('synthetic MSRs', () => {
  test.each(['intel', 'amd'] as const)('are read and written as the guest may on %s', (vendor) => {
    const code = [
      read(Msr.VP_INDEX),
      write(Msr.VP_INDEX, 1n),
      read(Msr.TSC_FREQUENCY),
      read(Msr.APIC_FREQUENCY),
      write(Msr.TIME_REF_COUNT, 1n),
      read(Msr.EOI),
      write(Msr.TPR, 0x20n),
      read(Msr.TPR),
      write(Msr.TPR, 0x100n),
      read(Msr.CRASH_CTL),
      read(Msr.RESET),
      write(Msr.RESET, 0n),
      read(Msr.SYNDBG_STATUS),
      read(Msr.NESTED_SVERSION),
      read(0x4000_00aa),
      write(0x4000_00aa, 0n),
    ].join('');
    expect(runMsrs(code, { vendor }).lines).toEqual([
      printed(0n),
      '#GP',
      printed(1_000_000_000n),
      printed(1_000_000_000n),
      '#GP',
      '#GP',
      'ok',
      printed(0x20n),
      '#GP',
      printed(3n << 62n),
      printed(0n),
      'ok',
      '#GP',
      '#GP',
      '#GP',
      '#GP',
    ]);
  });

  test('say in the journal why an access is refused', () => {
    const { records } = runMsrs(
      [read(Msr.TSC_INVARIANT_CONTROL), read(Msr.SYNDBG_STATUS), write(Msr.VP_INDEX, 1n), read(0x4000_00aa)].join(''),
    );
    const results = records.filter(({ reason }) => reason.startsWith('msr')).map(({ result }) => result);
    expect(results).toEqual([
      '#GP(0): HV_X64_MSR_TSC_INVARIANT_CONTROL takes the privilege AccessTscInvariantControls',
      'refused: it needs the privilege debugging, to exchange data with a debugger through the hypervisor',
      '#GP(0): HV_X64_MSR_VP_INDEX cannot be written',
      '#GP(0): there is no such MSR',
    ]);
  });

  test('have their names in the journal, beside those of the processor, and are counted by them', () => {
    const { records } = runMsrs([write(Msr.GUEST_OS_ID, 1n), read(Msr.TIME_REF_COUNT), read(0x4000_00aa)].join(''));
    const accesses = records.filter(({ reason }) => reason.startsWith('msr'));
    expect(accesses.map(({ request }) => request)).toEqual([
      'wrmsr 0x40000000 HV_X64_MSR_GUEST_OS_ID, 0x1',
      'rdmsr 0x40000020 HV_X64_MSR_TIME_REF_COUNT',
      'rdmsr 0x400000aa',
    ]);
    expect(accesses.map((record) => facetByName('msr')?.of(record))).toEqual([
      '0x40000000 HV_X64_MSR_GUEST_OS_ID',
      '0x40000020 HV_X64_MSR_TIME_REF_COUNT',
      '0x400000aa',
    ]);
  });

  test('have one row each, and names of their own', () => {
    expect(new Set(MSR_REFERENCE.map(({ index }) => index)).size).toBe(MSR_REFERENCE.length);
    expect(new Set(MSR_REFERENCE.map(({ name }) => name)).size).toBe(MSR_REFERENCE.length);
    for (const index of Object.values(Msr)) expect(MSR_REFERENCE.some((row) => row.index === index)).toBe(true);
  });
});

describe('the hypercall page', () => {
  const CALL_PAGE = 'mov rbx, 0x200000\nmov rax, [rbx]\ncall hex\n';

  test.each([
    ['intel', printed(0xcccc_cccc_c3c1_010fn)],
    ['amd', printed(0xcccc_cccc_c3d9_010fn)],
  ] as const)('has the call of %s, covers the page beneath and gives it back', (vendor, code) => {
    const { lines } = runMsrs(
      [
        'mov rbx, 0x200000\nmov rax, 0x1122334455667788\nmov [rbx], rax\n',
        write(Msr.HYPERCALL, 0x20_0001n),
        read(Msr.HYPERCALL),
        CALL_PAGE,
        write(Msr.GUEST_OS_ID, LINUX),
        read(Msr.GUEST_OS_ID),
        write(Msr.HYPERCALL, 0x20_0001n),
        read(Msr.HYPERCALL),
        CALL_PAGE,
        write(Msr.GUEST_OS_ID, 0n),
        read(Msr.HYPERCALL),
        CALL_PAGE,
      ].join(''),
      { vendor },
    );
    expect(lines).toEqual([
      'ok',
      printed(0x20_0000n),
      printed(0x1122_3344_5566_7788n),
      'ok',
      printed(LINUX),
      'ok',
      printed(0x20_0001n),
      code,
      'ok',
      printed(0x20_0000n),
      printed(0x1122_3344_5566_7788n),
    ]);
  });

  test('is where the guest says, within its address space, until it is locked', () => {
    const { lines } = runMsrs(
      [
        write(Msr.GUEST_OS_ID, LINUX),
        write(Msr.HYPERCALL, (1n << 52n) | 1n),
        read(Msr.HYPERCALL),
        write(Msr.HYPERCALL, 0x20_0003n),
        write(Msr.HYPERCALL, 0x30_0001n),
        read(Msr.HYPERCALL),
      ].join(''),
    );
    expect(lines).toEqual(['ok', '#GP', printed(0n), 'ok', '#GP', printed(0x20_0003n)]);
  });

  test.each(['intel', 'amd'] as const)('refuses writes with #GP on %s', (vendor) => {
    const { lines, records } = runMsrs(
      [
        write(Msr.GUEST_OS_ID, LINUX),
        write(Msr.HYPERCALL, 0x20_0001n),
        'mov rbx, 0x200000\nxor r15d, r15d\nmov [rbx], al\nmov rax, r15\ncall hex\n',
      ].join(''),
      { vendor },
    );
    expect(lines.at(-1)).toBe(printed(1n));
    expect(records.find(({ reason }) => reason === 'second-level-violation')?.result).toBe(
      '#GP(0): the hypercall page cannot be written',
    );
  });
});

describe('waiting and starting anew', () => {
  test('a read of GUEST_IDLE waits for an interrupt that the guest has off', () => {
    const code = `
      cli
      mov ebx, 0xfee00000
      mov dword [rbx + 0xf0], 0x1ff
      mov dword [rbx + 0x3e0], 0xb
      mov dword [rbx + 0x320], 0x40
      mov dword [rbx + 0x380], 100000
      rdtsc
      mov r12d, eax
      ${read(Msr.GUEST_IDLE)}
      rdtsc
      sub eax, r12d
      call hex
    `;
    const { lines } = runMsrs(code);
    expect(lines[0]).toBe(printed(0n));
    const waited = BigInt(`0x${lines[1]}`);
    expect(waited).toBeGreaterThan(99_000n);
    expect(waited).toBeLessThan(101_000n);
  });

  test.each(['intel', 'amd'] as const)('another processor wakes one that waits so, on %s', (vendor) => {
    // The second processor waits in real mode, and then says who it is.
    const waiter = `
    bits 16
    waiter:
      cli
      mov ax, 0x6100
      mov ds, ax
      mov ecx, 0x1b
      rdmsr
      or eax, 0xc00
      wrmsr
      mov ecx, 0x80f
      mov eax, 0x1ff
      xor edx, edx
      wrmsr
      mov byte [0], 1
      mov ecx, ${Msr.GUEST_IDLE}
      rdmsr
      mov ecx, ${Msr.VP_INDEX}
      rdmsr
      inc ax
      mov [0], ax
      hlt
    waiter_end:
    bits 64
    `;
    const code = `
      lea rsi, [rel waiter]
      mov edi, 0x60000
      mov ecx, waiter_end - waiter
      rep movsb
      mov ebx, 0xfee00000
      mov dword [rbx + 0xf0], 0x1ff
      mov dword [rbx + 0x310], 0x1000000
      mov dword [rbx + 0x300], 0x4500
      mov dword [rbx + 0x310], 0x1000000
      mov dword [rbx + 0x300], 0x4660
    starting:
      pause
      cmp byte [0x61000], 1
      jne starting
      mov ecx, 100000
    waiting:
      dec ecx
      jnz waiting
      movzx eax, byte [0x61000]
      call hex
      ${write(Msr.ICR, (1n << 56n) | 0x40n)}
    waking:
      pause
      cmp byte [0x61000], 1
      je waking
      movzx eax, byte [0x61000]
      call hex
    `;
    expect(runMsrs(code, { vendor, vcpus: 2 }, waiter).lines).toEqual([printed(1n), 'ok', printed(2n)]);
  });

  test('RESET resets the partition, with the privilege for it', () => {
    const { end } = runMsrs(write(Msr.RESET, 1n));
    expect(end).toMatchObject({ kind: 'reset', message: 'The guest reset its partition through HV_X64_MSR_RESET.' });
    const { lines } = runMsrs(`${write(Msr.RESET, 1n)}mov dx, 0xf4\nmov al, 0\nout dx, al\n`, {
      privileges: ['serial-console', 'debug-exit', 'hypercalls', 'timers'],
    });
    expect(lines).toEqual(['#GP']);
  });
});

test('the same run has the same states however it is cut', () => {
  const code = [
    write(Msr.GUEST_OS_ID, LINUX),
    write(Msr.HYPERCALL, 0x20_0001n),
    write(Msr.REFERENCE_TSC, 0x20_1001n),
    read(Msr.TIME_REF_COUNT),
    read(Msr.VP_RUNTIME),
  ].join('');
  const hashes = [1_000_000, 7, 1].map((slice) => runToEnd(guest(withMsrs(code), { platform: 'hyperv' }), slice).hash);
  expect(new Set(hashes).size).toBe(1);
});
