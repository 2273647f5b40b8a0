import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { nodeFiles } from '../../src/cli/node-files.ts';
import type { PlatformName } from '../../src/platforms/configuration.ts';
import { createPartition } from '../../src/platforms/create-partition.ts';
import { loadProgram } from '../../src/programs/load-program.ts';
import { guest, runToEnd } from './run-guest.ts';

/** What is said at the end of a sample that runs on a platform. */
function endOf(sample: string, platform: PlatformName): string {
  const path = `samples/${sample}.asm`;
  const program = loadProgram(readFileSync(path), path, {}, nodeFiles);
  return runToEnd(createPartition({ platform, vendor: 'intel', vcpus: 1, memory: 16 << 20 }, program)).end.message;
}

describe('a guest on a platform that it is not made for', () => {
  test.each<[string, PlatformName, string]>([
    [
      'hyperv/hypercalls',
      'kvm',
      'HV_X64_MSR_GUEST_OS_ID is an MSR of Hyper-V, and this is platform kvm: run the guest with --platform hyperv',
    ],
    [
      'hyperv/hypercalls',
      'bare',
      'HV_X64_MSR_GUEST_OS_ID is an MSR of Hyper-V, and this is platform bare: run the guest with --platform hyperv',
    ],
    [
      'kvm/kvmclock',
      'hyperv',
      'MSR_KVM_SYSTEM_TIME_NEW is an MSR of KVM, and this is platform hyperv: run the guest with --platform kvm',
    ],
    ['kvm/hypercalls', 'hyperv', 'run one that is made for KVM with --platform kvm'],
    ['kvm/hypercalls', 'bare', 'Platform bare has no hypervisor to call'],
  ])('%s on %s: is told of the right one', (sample, platform, sentence) => {
    expect(endOf(sample, platform)).toContain(sentence);
  });

  test.each<[string, PlatformName, string]>([
    ['an MSR of nobody', 'kvm', 'mov ecx, 0x12345\nrdmsr'],
    ['an MSR of the platform itself', 'hyperv', 'mov ecx, 0x40000002\nwrmsr'],
    ['another instruction', 'kvm', 'mov ecx, 0x40000000\nud2'],
  ])('%s tells of no other', (_, platform, source) => {
    expect(runToEnd(guest(`bits 64\n${source}\n`, { platform })).end.message).toMatch(/has no handler for it\.$/);
  });
});
