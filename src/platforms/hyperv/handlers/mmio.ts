import { hexOf, hexOfSize } from '../../../hypervisor/exits/describe.ts';
import type { ExitContext } from '../../../hypervisor/exits/exit-context.ts';
import { type Handler, inFrame, stage } from '../../../stages/stage.ts';
import { hex } from '../../../x86/address.ts';
import { type ExitOf, type Hyperv, hypervisorFrame, parentFrame } from '../hyperv.ts';

type MmioContext = ExitContext<ExitOf<'mmio'>>;
type ApicContext = ExitContext<ExitOf<'apic'>>;

/** An access to guest physical memory where no RAM is mapped: an intercept message to the parent, whose worker process emulates it. */
export function* handleMmio(hyperv: Hyperv, context: MmioContext): Handler {
  const { gpa, gva, size, write } = context.exit;
  yield stage('hyperv-mmio.exit', { gpa, gva, size, access: write ? 'write' : 'read' });
  yield* inFrame(hypervisorFrame(hyperv, 'unmapped GPA intercept'), intercept(hyperv, context));
}

function* intercept(hyperv: Hyperv, context: MmioContext): Handler {
  const { exit, processor } = context;
  if (exit.fetch) {
    yield* inFrame(parentFrame('vmwp.exe', 'stop the virtual machine'), fetchFromHole(hyperv, context));
    return;
  }
  const device = hyperv.machine.devices.mmioOwner(processor.index, exit.gpa);
  yield stage('hyperv-mmio.route', { gpa: exit.gpa, device: device ?? 'none', served: 'by the parent partition' });
  const value = yield* inFrame(
    parentFrame('vid.sys', 'HvMessageTypeUnmappedGpa'),
    dispatch(hyperv, context, device ?? 'no device'),
  );
  processor.completeAccess(value);
  if (exit.write) context.result('ok');
  else context.resultOf(hexOfSize, value, BigInt(exit.size));
  yield stage('hyperv-mmio.complete', exit.write ? { gpa: exit.gpa } : { gpa: exit.gpa, value });
}

function* dispatch(hyperv: Hyperv, context: MmioContext, device: string): Handler<bigint> {
  const { gpa, size, write, value } = context.exit;
  context.record.to = 'parent';
  yield stage('hyperv-mmio.parent', { gpa, size, access: write ? 'write' : 'read', value });
  return yield* inFrame(parentFrame('vmwp.exe', `${device} ${write ? 'write' : 'read'}`), access(hyperv, context, device));
}

function* access(hyperv: Hyperv, context: MmioContext, device: string): Handler<bigint> {
  const { exit, processor } = context;
  const { buses } = hyperv.machine;
  if (exit.write) {
    yield stage('hyperv-mmio.device-write', { device, gpa: exit.gpa, value: exit.value });
    yield* buses.writeMmioInStages(processor.index, exit.gpa, exit.size, exit.value);
    return 0n;
  }
  const answer = buses.readMmio(processor.index, exit.gpa, exit.size);
  yield stage('hyperv-mmio.device-read', { device, gpa: exit.gpa, value: answer });
  return answer;
}

function* fetchFromHole(hyperv: Hyperv, context: MmioContext): Handler {
  const { exit } = context;
  context.record.to = 'parent';
  context.result('emulation failure');
  yield stage('hyperv-mmio.emulation-failure', { gpa: exit.gpa, rip: exit.rip });
  hyperv.machine.finish({
    kind: 'crash',
    status: 126,
    message: `The guest jumped to RIP ${hex(exit.rip)}, physical address ${hex(exit.gpa)}, where no memory is.`,
  });
}

/** An access to the local APIC's page (VMX reason 44; on AMD, a nested page fault). The APIC is in the hypervisor. */
export function* handleApicAccess(hyperv: Hyperv, context: ApicContext): Handler {
  const { gpa, size, write } = context.exit;
  yield stage('hyperv-apic.exit', { offset: Number(gpa & 0xfffn), size, access: write ? 'write' : 'read' });
  yield* inFrame(hypervisorFrame(hyperv, write ? 'write local APIC' : 'read local APIC'), accessApic(hyperv, context));
}

function* accessApic(hyperv: Hyperv, context: ApicContext): Handler {
  const { exit, processor } = context;
  const apic = hyperv.apic(context.vcpu);
  const offset = Number(exit.gpa & 0xfffn);
  if (exit.write) {
    yield stage('hyperv-apic.write', { offset, value: exit.value });
    apic.writeMmio(exit.gpa, exit.size, exit.value);
    processor.completeAccess(0n);
    context.result('ok');
    return;
  }
  const value = apic.readMmio(exit.gpa, exit.size);
  processor.completeAccess(value);
  context.resultOf(hexOf, value);
  yield stage('hyperv-apic.read', { offset, value });
}
