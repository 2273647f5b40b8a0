import type { LocalApic } from '../../../devices/local-apic/device.ts';
import { hexOf } from '../../../hypervisor/exits/describe.ts';
import type { ExitContext } from '../../../hypervisor/exits/exit-context.ts';
import type { ExitOf } from '../../../processor/exit.ts';
import { type Handler, type HandlerFrame, inFrame, stage } from '../../../stages/stage.ts';

type ApicContext = ExitContext<ExitOf<'apic'>>;

/**
 * An access to the local APIC's page (VMX reason 44; on AMD, AVIC's 0x402 or a nested page fault). `frame`: the function of the hypervisor,
 * which has the APIC, that does it.
 */
export function* handleApicAccess(apic: LocalApic, frame: HandlerFrame, context: ApicContext): Handler {
  const { gpa, size, write } = context.exit;
  yield stage('apic-page.exit', { offset: Number(gpa & 0xfffn), size, access: write ? 'write' : 'read' });
  yield* inFrame(frame, access(apic, context));
}

function* access(apic: LocalApic, context: ApicContext): Handler {
  const { exit, processor } = context;
  const offset = Number(exit.gpa & 0xfffn);
  if (exit.write) {
    yield stage('apic-page.write', { offset, value: exit.value });
    apic.writeMmio(exit.gpa, exit.size, exit.value);
    processor.completeAccess(0n);
    context.result('ok');
    return;
  }
  const value = apic.readMmio(exit.gpa, exit.size);
  processor.completeAccess(value);
  context.resultOf(hexOf, value);
  yield stage('apic-page.read', { offset, value });
}
