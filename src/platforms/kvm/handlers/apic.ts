import { hexOf } from '../../../hypervisor/exits/describe.ts';
import type { ExitContext } from '../../../hypervisor/exits/exit-context.ts';
import { type Handler, inFrame, stage } from '../../../stages/stage.ts';
import { type ExitOf, type Kvm, kernelFrame } from '../kvm.ts';

/** An access to the local APIC's page (VMX reason 44; on AMD, AVIC's 0x402). The APIC is in the kernel. */
export function* handleApicAccess(kvm: Kvm, context: ExitContext<ExitOf<'apic'>>): Handler {
  const { gpa, size, write } = context.exit;
  yield stage('kvm-apic.exit', { offset: Number(gpa & 0xfffn), size, access: write ? 'write' : 'read' });
  const name = write ? 'apic_mmio_write' : 'apic_mmio_read';
  yield* inFrame(kernelFrame(name), access(kvm, context));
}

function* access(kvm: Kvm, context: ExitContext<ExitOf<'apic'>>): Handler {
  const { exit, processor } = context;
  const apic = kvm.apic(context.vcpu);
  const offset = Number(exit.gpa & 0xfffn);
  if (exit.write) {
    yield stage('kvm-apic.write', { offset, value: exit.value });
    apic.writeMmio(exit.gpa, exit.size, exit.value);
    processor.completeAccess(0n);
    context.result('ok');
    return;
  }
  const value = apic.readMmio(exit.gpa, exit.size);
  processor.completeAccess(value);
  context.resultOf(hexOf, value);
  yield stage('kvm-apic.read', { offset, value });
}
