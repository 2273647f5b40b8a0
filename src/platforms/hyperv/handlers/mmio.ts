import { hexOfSize } from '../../../hypervisor/exits/describe.ts';
import type { ExitContext } from '../../../hypervisor/exits/exit-context.ts';
import type { ExitOf } from '../../../processor/exit.ts';
import { type Handler, inFrame, stage } from '../../../stages/stage.ts';
import { hex } from '../../../x86/address.ts';
import { accessMmio } from '../../exits/handlers/device-access.ts';
import { type Hyperv, hypervisorFrame, parentFrame } from '../hyperv.ts';

type MmioContext = ExitContext<ExitOf<'mmio'>>;

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
  return yield* inFrame(
    parentFrame('vmwp.exe', `${device} ${write ? 'write' : 'read'}`),
    accessMmio(hyperv.machine, context.exit, context.vcpu, device),
  );
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
