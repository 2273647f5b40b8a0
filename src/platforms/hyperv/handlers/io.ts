import { hexOfSize } from '../../../hypervisor/exits/describe.ts';
import type { ExitContext } from '../../../hypervisor/exits/exit-context.ts';
import type { ExitOf } from '../../../processor/exit.ts';
import { type Handler, inFrame, stage } from '../../../stages/stage.ts';
import { hex } from '../../../x86/address.ts';
import { accessPort } from '../../exits/handlers/device-access.ts';
import { type Hyperv, hypervisorFrame, parentFrame } from '../hyperv.ts';

type IoContext = ExitContext<ExitOf<'io'>>;

/** I/O instruction (VMX reason 30, SVM 0x7B). An emulated device is in the worker process of the parent partition. */
export function* handleIo(hyperv: Hyperv, context: IoContext): Handler {
  const { port, size, write, string, rep } = context.exit;
  yield stage('hyperv-io.exit', { port, size, direction: write ? 'out' : 'in', string, rep });
  yield* inFrame(hypervisorFrame(hyperv, 'I/O port intercept'), intercept(hyperv, context));
}

function* intercept(hyperv: Hyperv, context: IoContext): Handler {
  const { exit, processor } = context;
  const device = hyperv.machine.devices.portOwner(exit.port);
  yield stage('hyperv-io.route', { port: exit.port, device: device ?? 'none', served: 'by the parent partition' });
  const value = yield* inFrame(parentFrame('vid.sys', 'HvMessageTypeX64IoPortIntercept'), dispatch(hyperv, context, device));
  processor.completeAccess(BigInt(value));
  if (exit.write) context.result('ok');
  else context.resultOf(hexOfSize, BigInt(value >>> 0), BigInt(exit.size));
  yield stage('hyperv-io.complete', exit.write ? { port: exit.port } : { port: exit.port, value });
}

/** The virtualization infrastructure driver gives the intercept to the worker process of the virtual machine. */
function* dispatch(hyperv: Hyperv, context: IoContext, device: string | undefined): Handler<number> {
  const { port, size, write, value } = context.exit;
  context.record.to = 'parent';
  yield stage('hyperv-io.parent', { port, size, access: write ? 'write' : 'read', rax: value >>> 0 });
  if (device === undefined) {
    hyperv.machine.door.askForPorts(port, size, () => `to ${write ? 'write' : 'read'} port ${hex(port)}`);
    yield stage('hyperv-io.unclaimed', { port, note: write ? 'nobody listens: dropped' : 'nobody answers: all ones' });
    return 0xffff_ffff >>> (32 - size * 8);
  }
  return yield* inFrame(
    parentFrame('vmwp.exe', `${device} ${write ? 'write' : 'read'}`),
    accessPort(hyperv.machine, context.exit, device),
  );
}
