import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { Cap } from '../../../src/platforms/kvm/abi/capabilities.ts';
import { Errno } from '../../../src/platforms/kvm/abi/errors.ts';
import * as Flags from '../../../src/platforms/kvm/abi/flags.ts';
import { SystemIoctl, VcpuIoctl, VmIoctl } from '../../../src/platforms/kvm/abi/ioctls.ts';
import { KvmExit } from '../../../src/platforms/kvm/abi/kvm-run.ts';
import * as Layouts from '../../../src/platforms/kvm/abi/structures.ts';

const hasHeaders = existsSync('/usr/include/linux/kvm.h') && spawnSync('gcc', ['--version']).status === 0;

/** C expressions for the numbers of a table, and our values of them. */
function constants(prefix: string, table: Readonly<Record<string, number>>): [expression: string, ours: number][] {
  return Object.entries(table).map(([name, value]) => [`${prefix}${name}`, value]);
}

function layout(struct: string, table: Readonly<Record<string, number>>): [expression: string, ours: number][] {
  return Object.entries(table).map(([field, value]) =>
    field === 'SIZE' ? [`sizeof(struct ${struct})`, value] : [`offsetof(struct ${struct}, ${field})`, value],
  );
}

/** What this machine's compiler says of expressions over the kernel's headers. */
function inC(expressions: readonly string[]): number[] {
  const directory = mkdtempSync(path.join(tmpdir(), 'hyperscope-kvm-abi-'));
  try {
    const source = path.join(directory, 'abi.c');
    const program = path.join(directory, 'abi');
    const lines = expressions.map((expression) => `printf("%llu\\n", (unsigned long long)(unsigned int)(${expression}));`);
    const headers = ['errno.h', 'stddef.h', 'stdio.h', 'linux/kvm.h'].map((name) => `#include <${name}>`);
    writeFileSync(source, [...headers, 'int main(void) {', ...lines, 'return 0; }', ''].join('\n'));
    execFileSync('gcc', ['-o', program, source]);
    return execFileSync(program, { encoding: 'utf8' }).trim().split('\n').map(Number);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

describe.skipIf(!hasHeaders)("KVM's numbers and structures are those of the kernel's headers", () => {
  test.each([
    ['error numbers', constants('', Errno)],
    ['ioctls', [SystemIoctl, VmIoctl, VcpuIoctl].flatMap((table) => constants('KVM_', table))],
    ['capabilities', constants('KVM_CAP_', Cap)],
    [
      'exit reasons',
      // Newer than the headers of some systems.
      constants('KVM_EXIT_', KvmExit).filter(([name]) => name !== 'KVM_EXIT_MEMORY_FAULT'),
    ],
    [
      'flags',
      [
        ...constants('KVM_MEM_', Flags.MemoryFlag),
        ...constants('KVM_IRQFD_FLAG_', Flags.IrqFdFlag),
        ...constants('KVM_IRQ_ROUTING_', Flags.RoutingType),
        ...constants('KVM_IRQCHIP_', Flags.IrqChip),
        ...constants('KVM_GUESTDBG_', Flags.GuestDebug),
        ...constants('KVM_MP_STATE_', Flags.MpState),
        ...constants('KVM_MSR_FILTER_', Flags.MsrRangeFlag),
        ...constants('KVM_MSR_FILTER_', Flags.MsrFilterFlag),
        ...constants('KVM_MSR_EXIT_REASON_', Flags.MsrExitReason),
        ['KVM_MSR_FILTER_MAX_RANGES', Flags.MSR_FILTER_RANGES],
        ['KVM_MSR_FILTER_MAX_BITMAP_SIZE * 8', Flags.MSR_RANGE_LENGTH],
        ...constants('KVM_CLOCK_', Flags.ClockFlag),
        ...Object.entries(Flags.IoEventFlag).map(([name, value]): [string, number] => [
          `1 << kvm_ioeventfd_flag_nr_${name.toLowerCase()}`,
          value,
        ]),
      ],
    ],
    [
      'structures',
      [
        ...layout('kvm_regs', Object.fromEntries(Layouts.REGS.map((name, index) => [name, index * 8]))),
        ...layout('kvm_segment', Layouts.SegmentLayout),
        ...layout('kvm_sregs', Layouts.SregsLayout),
        ...layout('kvm_fpu', Layouts.FpuLayout),
        ...layout('kvm_vcpu_events', Layouts.VcpuEventsLayout),
        ...layout('kvm_debugregs', Layouts.DebugRegsLayout),
        ...layout('kvm_run', Layouts.RunLayout),
        ...layout('kvm_userspace_memory_region', Layouts.MemoryRegionLayout),
        ...layout('kvm_irq_routing_entry', Layouts.RoutingEntryLayout),
        ...layout('kvm_ioeventfd', Layouts.IoEventFdLayout),
        ...layout('kvm_irqfd', Layouts.IrqFdLayout),
        ...layout('kvm_msr_filter_range', Layouts.MsrRangeLayout),
        ...layout('kvm_msr_filter', Layouts.MsrFilterLayout),
        ...layout('kvm_guest_debug', Layouts.GuestDebugLayout),
        ...layout('kvm_cpuid_entry2', Layouts.CpuidEntryLayout),
        ...layout('kvm_clock_data', Layouts.ClockDataLayout),
        ...layout('kvm_translation', Layouts.TranslationLayout),
      ],
    ],
  ] as [string, [string, number][]][])('%s', (_name, rows) => {
    const theirs = inC(rows.map(([expression]) => expression));
    expect(rows.map(([expression, ours]) => `${expression} = ${ours}`)).toEqual(
      rows.map(([expression], index) => `${expression} = ${theirs[index]}`),
    );
  });
});
