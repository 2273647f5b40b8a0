import { describe, expect, test } from 'vitest';
import type { ExitDetail } from '../../src/processor/exit.ts';
import { machine, START } from './kvm-machine.ts';

const out: ExitDetail = {
  reason: 'io',
  port: 0x3f8,
  size: 1,
  write: true,
  value: 0x41,
  string: false,
  rep: false,
  immediate: false,
};
const hypercall: ExitDetail = { reason: 'hypercall', instruction: 'vmcall' };

describe('the path of an exit', () => {
  test('goes from kvm-intel through kvm.ko to the device in the VMM process', () => {
    const guest = machine('intel', [out]);
    expect(guest.frames()).toEqual([
      'kvm-intel: handle_io',
      'kvm-intel: handle_io | kvm.ko: kvm_fast_pio',
      'kvm-intel: handle_io | kvm.ko: kvm_fast_pio | VMM process: KVM_EXIT_IO',
      'kvm-intel: handle_io | kvm.ko: kvm_fast_pio | VMM process: KVM_EXIT_IO | VMM process: serial8250 write',
      'kvm-intel: handle_io | kvm.ko: kvm_fast_pio',
    ]);
    expect(guest.partition.journal.latest(1)).toMatchObject([{ handler: 'kvm-intel handle_io', to: 'device', result: 'ok' }]);
  });

  test('stays in the kernel for the interrupt controllers and the timer', () => {
    const guest = machine('amd', [{ ...out, port: 0x21 }]);
    expect(guest.frames().at(-2)).toBe('kvm-amd: io_interception | kvm.ko: kvm_fast_pio | kvm.ko: pic8259 write');
    expect(guest.partition.journal.latest(1)).toMatchObject([{ to: 'hypervisor' }]);
  });

  test('answers with ones where no device is', () => {
    const guest = machine('intel', [{ ...out, port: 0x9999, write: false, size: 2 }]);
    guest.partition.run({ instructions: 1 });
    expect(guest.processor.log).toContain('completed 65535');
    expect(guest.partition.journal.latest(1)).toMatchObject([{ result: '0xffff', to: 'device' }]);
  });

  test('is an EPT misconfiguration on Intel and a nested page fault on AMD for device memory', () => {
    const mmio: ExitDetail = { reason: 'mmio', gpa: 0xfec0_0010n, gva: 0xfec0_0010n, size: 4, write: false, value: 0n };
    const intel = machine('intel', [mmio]);
    expect(intel.frames()[0]).toBe('kvm-intel: handle_ept_misconfig');
    expect(intel.partition.journal.latest(1)).toMatchObject([
      { reason: 'mmio', vmx: 49, qualification: '0x0', to: 'hypervisor' },
    ]);
    const amd = machine('amd', [{ ...mmio, gpa: 0xd000_0000n }]);
    expect(amd.frames()).toContain('kvm-amd: npf_interception | kvm.ko: kvm_mmu_page_fault | VMM process: KVM_EXIT_MMIO');
    expect(amd.partition.journal.latest(1)).toMatchObject([{ svm: 0x400, qualification: '0x100000004', to: 'device' }]);
  });

  test('is an APIC access for the local APIC’s page', () => {
    const apic: ExitDetail = { reason: 'mmio', gpa: 0xfee0_0030n, gva: 0n, size: 4, write: false, value: 0n };
    const guest = machine('intel', [apic]);
    expect(guest.frames()).toEqual(['kvm-intel: handle_apic_access', 'kvm-intel: handle_apic_access | kvm.ko: apic_mmio_read']);
    expect(guest.partition.journal.latest(1)).toMatchObject([{ reason: 'apic', vmx: 44, result: '0x50014' }]);
  });

  test('ends the machine on a triple fault', () => {
    const guest = machine('intel', [
      {
        reason: 'triple-fault',
        chain: [
          { vector: 14, errorCode: 2 },
          { vector: 8, errorCode: 0 },
        ],
      },
    ]);
    expect(guest.partition.run({ instructions: 1 })).toMatchObject({
      kind: 'ended',
      end: {
        kind: 'triple-fault',
        status: 125,
        message: 'vCPU 0 met a triple fault at RIP 0x0: #PF(0x2), then #DF(0), and no handler could take it.',
      },
    });
  });

  test('ends in an internal error when the guest runs where no memory is', () => {
    const fetch: ExitDetail = {
      reason: 'mmio',
      gpa: 0xd000_0000n,
      gva: 0xd000_0000n,
      size: 1,
      write: false,
      value: 0n,
      fetch: true,
    };
    expect(machine('intel', [fetch]).partition.run({ instructions: 1 })).toMatchObject({
      kind: 'ended',
      end: { kind: 'crash', status: 126 },
    });
  });
});

describe('CPUID', () => {
  test('says KVM', () => {
    const guest = machine('intel', [{ reason: 'cpuid', leaf: 0x4000_0000, subleaf: 0 }]);
    guest.partition.run({ instructions: 1 });
    const { state } = guest.processor;
    const bytes = [3, 1, 2].flatMap((register) =>
      [0n, 8n, 16n, 24n].map((shift) => Number((state.gpr(register) >> shift) & 0xffn)),
    );
    expect(String.fromCharCode(...bytes)).toBe('KVMKVMKVM\0\0\0');
    expect(state.gpr(0)).toBe(0x4000_0010n);
  });

  test('offers what is there, and says that a hypervisor is present', () => {
    const guest = machine('intel', [
      { reason: 'cpuid', leaf: 0x4000_0001, subleaf: 0 },
      { reason: 'cpuid', leaf: 1, subleaf: 0 },
    ]);
    guest.partition.run({ instructions: 1 });
    expect(guest.processor.state.gpr(0)).toBe(0x100_7afbn);
    guest.partition.run({ instructions: 1 });
    expect(guest.processor.state.gpr(1) >> 31n).toBe(1n);
  });
});

describe('hypercalls', () => {
  const call = (registers: Readonly<Record<number, bigint>>, cpl = 0, vcpus = 1) => {
    const guest = machine('intel', [hypercall], vcpus);
    Object.defineProperty(guest.processor, 'cpl', { value: cpl });
    guest.withRegisters(registers);
    guest.partition.run({ instructions: 1 });
    return { guest, rax: BigInt.asIntN(64, guest.processor.state.gpr(0)) };
  };

  test('are refused from user mode with -1, and unknown ones with -1000', () => {
    expect(call({ 0: 5n }, 3).rax).toBe(-1n);
    expect(call({ 0: 77n }).rax).toBe(-1000n);
    expect(call({ 0: 12n }).rax).toBe(-1000n);
    expect(call({ 0: 1n }).rax).toBe(0n);
  });

  test('are named in the journal', () => {
    const { guest } = call({ 0: 11n, 3: 0n });
    expect(guest.partition.journal.latest(1)).toMatchObject([{ request: 'vmcall KVM_HC_SCHED_YIELD', result: '0' }]);
    expect(call({ 0: 99n }).guest.partition.journal.latest(1)).toMatchObject([{ result: '-KVM_ENOSYS (-1000)' }]);
  });

  test('are counted by name in the journal, and by number where they have none', () => {
    const counted = (number: bigint) => call({ 0: number }).guest.partition.journal.statistics.by('hypercall');
    expect(counted(11n)).toMatchObject([{ value: 'KVM_HC_SCHED_YIELD', count: 1 }]);
    expect(counted(99n)).toMatchObject([{ value: '0x63', count: 1 }]);
  });

  test('pair clocks, and say where memory is wrong', () => {
    const { guest, rax } = call({ 0: 9n, 3: 0x2000n, 1: 0n });
    expect(rax).toBe(0n);
    expect(new DataView(guest.memory.read(0x2000n, 64).slice().buffer).getBigInt64(0, true)).toBe(START);
    expect(call({ 0: 9n, 3: 0x9000_0000n, 1: 0n }).rax).toBe(-14n);
    expect(call({ 0: 9n, 3: 0x2000n, 1: 1n }).rax).toBe(-95n);
  });

  test('send IPIs to a bitmap of processors and count them', () => {
    const { guest, rax } = call({ 0: 10n, 3: 0b110n, 1: 0n, 2: 0n, 6: 0x41n }, 0, 3);
    expect(rax).toBe(2n);
    const inspected = JSON.stringify(guest.partition.devices.localApics[1]?.inspect());
    // Not software-enabled, so it is dropped there; the sender counts it all the same, as KVM does.
    expect(inspected).toContain('software disabled');
    expect(call({ 0: 10n, 3: 1n, 6: 0x0541n }).rax).toBe(-22n);
  });

  test('of the other vendor are patched to this one’s', () => {
    const guest = machine('amd', [hypercall]);
    expect(guest.frames().at(-1)).toBe('kvm-amd: vmmcall_interception | kvm.ko: emulator_fix_hypercall');
    expect(guest.memory.read(0n, 3)).toEqual(Uint8Array.of(0x0f, 0x01, 0xd9));
  });
});

describe('paravirtual MSRs', () => {
  const write = (msr: number, value: bigint): ExitDetail => ({ reason: 'msr-write', msr, value });
  const read = (msr: number): ExitDetail => ({ reason: 'msr-read', msr });

  test('fill the kvmclock structure', () => {
    const guest = machine('intel', [write(0x4b56_4d01, 0x3001n), read(0x4b56_4d01)]);
    guest.memory.write(0x3000n, Uint8Array.of(3));
    guest.partition.run({ instructions: 1 });
    const view = new DataView(guest.memory.read(0x3000n, 32).slice().buffer);
    expect(view.getUint32(0, true)).toBe(4);
    const tscTimestamp = view.getBigUint64(8, true);
    const systemTime = view.getBigUint64(16, true);
    // How a guest computes the time 1234 ticks later.
    const delta = (tscTimestamp + 1234n - tscTimestamp) << BigInt(view.getInt8(28));
    expect(((delta * BigInt(view.getUint32(24, true))) >> 32n) + systemTime).toBe(systemTime + 1234n);
    expect(view.getUint8(29)).toBe(1);
    guest.partition.run({ instructions: 1 });
    expect(guest.processor.state.gpr(0)).toBe(0x3001n);
  });

  test('have their names in the journal, beside those of the processor', () => {
    const guest = machine('intel', [write(0x4b56_4d01, 0x3001n), read(0x4b56_4d01), read(0xc000_0082)]);
    guest.partition.run({ instructions: 3 });
    expect(guest.partition.journal.latest(3).map(({ request }) => request)).toEqual([
      'wrmsr 0x4b564d01 MSR_KVM_SYSTEM_TIME_NEW, 0x3001',
      'rdmsr 0x4b564d01 MSR_KVM_SYSTEM_TIME_NEW',
      'rdmsr 0xc0000082 LSTAR',
    ]);
  });

  test('fill the wall clock', () => {
    const guest = machine('intel', [write(0x4b56_4d00, 0x4000n)]);
    guest.partition.run({ instructions: 1 });
    const view = new DataView(guest.memory.read(0x4000n, 12).slice().buffer);
    expect([view.getUint32(0, true), view.getUint32(4, true), view.getUint32(8, true)]).toEqual([2, Number(START), 0]);
  });

  test('tell how much time was stolen', () => {
    const guest = machine('intel', [write(0x4b56_4d03, 0x5001n)], 2);
    guest.partition.run({ instructions: 100_000 });
    const view = new DataView(guest.memory.read(0x5000n, 64).slice().buffer);
    expect(view.getBigUint64(0, true)).toBe(40_000n);
    expect(view.getUint32(8, true) % 2).toBe(0);
  });

  test.each([
    [0x4b56_4d03, 0x5021n],
    [0x4b56_4d03, 0x9000_0001n],
    [0x4b56_4d04, 0x3n],
    [0x4b56_4d05, 2n],
    [0x4b56_4d02, 5n],
    [0x4b56_4d02, 0x9000_0009n],
    [0x4b56_4d06, 0x100n],
    [0x4b56_4d08, 1n],
  ])('raise #GP(0) for a bad value or a feature that is not offered: %x = %x', (msr, value) => {
    const guest = machine('intel', [write(msr, value)]);
    guest.partition.run({ instructions: 1 });
    expect(guest.processor.log).toContain('inject 13');
    expect(guest.partition.journal.latest(1)).toMatchObject([{ result: '#GP(0)' }]);
  });
});
