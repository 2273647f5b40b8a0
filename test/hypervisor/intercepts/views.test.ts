import { describe, expect, test } from 'vitest';
import type { InspectNode } from '../../../src/devices/inspect.ts';
import { interceptSettings } from '../../../src/hypervisor/intercepts/settings.ts';
import { vmcbView } from '../../../src/hypervisor/views/vmcb.ts';
import { vmcsView } from '../../../src/hypervisor/views/vmcs.ts';
import { guest, ROUTINES, runToEnd } from '../../platforms/run-guest.ts';
import { InterceptedGuest } from './guest.ts';

/** Value and detail of a field, wherever it is in a view. */
function find(node: InspectNode, name: string): string | undefined {
  if (node.name === name) return [node.value, node.detail].filter((part) => part !== undefined).join(' ');
  for (const child of node.children ?? []) {
    const found = find(child, name);
    if (found !== undefined) return found;
  }
  return undefined;
}

const HELLO = `bits 64\n_start:\n lea rsi, [rel text]\n call puts\n jmp off\ntext: db "hi", 0\n${ROUTINES}`;

describe("what KVM's guests show", () => {
  const view = (vendor: 'intel' | 'amd') => {
    const partition = guest(HELLO, { vendor });
    partition.run({ instructions: 1 });
    const [vcpu] = partition.vcpus;
    if (vcpu === undefined) throw new Error('no vCPU');
    return (vendor === 'intel' ? vmcsView : vmcbView)(vcpu.processor, vcpu.lastExit, vcpu.settings);
  };

  test('of the VMCS has the controls by name', () => {
    const vmcs = view('intel');
    expect(find(vmcs, 'pin-based')).toBe(
      '0xbf 0x4000, External-interrupt exiting, NMI exiting, Virtual NMIs, Process posted interrupts',
    );
    expect(find(vmcs, 'primary')).toBe(
      '0xb5a06dfa 0x4002, Use TSC offsetting, HLT exiting, MWAIT exiting, RDPMC exiting, Use TPR shadow, MOV-DR exiting, ' +
        'Unconditional I/O exiting, Use MSR bitmaps, MONITOR exiting, Activate secondary controls',
    );
    expect(find(vmcs, 'secondary')).toContain('Enable EPT');
    expect(find(vmcs, 'entry')).toContain('IA-32e mode guest');
    expect(find(vmcs, 'exception bitmap')).toBe('0x0 0x4004, none');
    expect(find(vmcs, 'CR0 guest/host mask')).toBe('0xfffffffffffefff7 0x6000');
    // What the guest reads is the register.
    expect(find(vmcs, 'CR0 read shadow')).toBe(find(vmcs, 'CR0')?.replace('0x6800', '0x6004'));
    expect(find(vmcs, 'MSR bitmap')).toBe('32755 of 32768 bits set 0x2004');
    expect(find(vmcs, 'I/O bitmap A')).toBeUndefined();
  });

  test('of the VMCB has the intercepts by name', () => {
    const vmcb = view('amd');
    expect(find(vmcb, 'CR intercepts')).toBe('0x100010 0x0000, CR4_READ, CR4_WRITE');
    expect(find(vmcb, 'intercepts 3')).toBe(
      '0xbd4c802f 0x000c, INTR, NMI, SMI, INIT, CR0_SEL_WRITE, RDPMC, CPUID, RSM, INVD, HLT, INVLPGA, IOIO_PROT, MSR_PROT, ' +
        'TASK_SWITCH, SHUTDOWN',
    );
    expect(find(vmcb, 'intercepts 4')).toContain('VMRUN, VMMCALL');
    expect(find(vmcb, 'nested paging control')).toBe('0x1 0x0090, NP_ENABLE');
  });
});

describe('events', () => {
  const machine = (vendor: 'intel' | 'amd') => {
    const delivered = new InterceptedGuest(vendor, 'ud2');
    delivered.state.setGpr(4, 0x4000_1000n);
    delivered.intercept(interceptSettings(['interrupt-window'], { exceptions: (1 << 14) | (1 << 6) }));
    delivered.processor.inject({ vector: 13, type: 'exception', errorCode: 0x18 });
    return { exit: delivered.exit(), processor: delivered.processor };
  };

  test('that were being delivered and that wait are in both structures', () => {
    const intel = machine('intel');
    intel.processor.inject({ vector: 6, type: 'exception' });
    intel.processor.pendingDebug = 0x4001n;
    const vmcs = vmcsView(intel.processor, intel.exit, interceptSettings());
    expect(find(vmcs, 'IDT-vectoring information')).toBe('0x80000b0d 0x4408, #GP(0x18)');
    expect(find(vmcs, 'IDT-vectoring error code')).toBe('0x18 0x440a');
    expect(find(vmcs, 'interruption information')).toBe('0x80000b0e 0x4404');
    expect(find(vmcs, 'VM-entry interruption information')).toBe('0x80000306 0x4016, #UD');
    expect(find(vmcs, 'pending debug exceptions')).toBe('0x5001 0x6822');
    expect(find(vmcs, 'primary')).toContain('Interrupt-window exiting');
    const amd = machine('amd');
    const vmcb = vmcbView(amd.processor, amd.exit, interceptSettings());
    expect(find(vmcb, 'EXITINTINFO')).toBe('0x1880000b0d 0x0088, #GP(0x18)');
    expect(find(vmcb, 'EVENTINJ')).toBe('0x0 0x00a8');
    expect(find(vmcb, 'virtual interrupt control')).toBe('0xf0100 0x0060, V_TPR 0, V_INTR_PRIO 15, V_IRQ');
  });
});

describe('an entry that a processor would refuse', () => {
  test.each([
    ['intel', { vmx: 33, svm: -1 }],
    ['amd', undefined],
  ] as const)('ends a guest of KVM on %s', (vendor, numbers) => {
    const partition = guest(HELLO, { vendor });
    const [vcpu] = partition.vcpus;
    partition.run({ instructions: 1 });
    // With IF clear, which only VMX minds.
    vcpu?.processor.inject({ vector: 0x20, type: 'external-interrupt' });
    if (numbers === undefined) {
      expect(partition.run({ instructions: 1 }).kind).not.toBe('ended');
      expect(partition.journal.latest(1)[0]?.reason).not.toBe('vm-entry-failure');
      return;
    }
    const { end } = runToEnd(partition);
    expect(end).toMatchObject({ kind: 'internal-error', message: expect.stringContaining('RFLAGS.IF clear') });
    expect(partition.journal.latest(1)).toMatchObject([
      { reason: 'vm-entry-failure', ...numbers, request: 'VM entry: an external interrupt is injected with RFLAGS.IF clear' },
    ]);
  });
});
