import { hexOfSize } from '../../../hypervisor/exits/describe.ts';
import type { ExitContext } from '../../../hypervisor/exits/exit-context.ts';
import type { ExitOf } from '../../../processor/exit.ts';
import { type Handler, inFrame, stage } from '../../../stages/stage.ts';
import { hex } from '../../../x86/address.ts';
import { accessPort } from '../../exits/handlers/device-access.ts';
import { leBytes } from '../../register-values.ts';
import { IO_DIRECTION, KvmExit } from '../abi/kvm-run.ts';
import { deviceFrame, type Kvm, kernelFrame, vmmFrame } from '../kvm.ts';
import type { UserSpace } from '../vm/virtual-machine.ts';
import { signalEvent } from './io-event.ts';

type IoContext = ExitContext<ExitOf<'io'>>;

/** I/O instruction (VMX reason 30, SVM 0x7B). Each iteration of a string instruction exits for itself. */
export function* handleIo(kvm: Kvm, context: IoContext): Handler {
  const { port, size, write, string, rep } = context.exit;
  yield stage('kvm-io.exit', { port, size, direction: write ? 'out' : 'in', string, rep });
  yield* inFrame(kernelFrame('kvm_fast_pio'), emulatePio(kvm, context));
}

function* emulatePio(kvm: Kvm, context: IoContext): Handler {
  const { exit, processor } = context;
  const device = kvm.machine.devices.portOwner(exit.port);
  const inKernel = kvm.vm.isInKernel(device);
  const event =
    exit.write && kvm.vm.ioEvents.exist
      ? kvm.vm.ioEvents.find('pio', BigInt(exit.port), exit.size, BigInt(exit.value >>> 0))
      : undefined;
  yield stage('kvm-io.route', {
    port: exit.port,
    device: device ?? 'none',
    served: inKernel || event ? 'in the kernel' : 'by the VMM process',
  });
  if (event && !inKernel) {
    yield* inFrame(kernelFrame('ioeventfd_write'), signalEvent(context, event));
    return;
  }
  if (!inKernel && kvm.vm.userSpace) {
    yield* inFrame(vmmFrame('KVM_EXIT_IO'), leaveToVmm(kvm.vm.userSpace, context));
    return;
  }
  const value = inKernel
    ? yield* inFrame(deviceFrame(device, exit.write ? 'write' : 'read', true), accessPort(kvm.machine, context.exit, device))
    : yield* inFrame(vmmFrame('KVM_EXIT_IO'), exitToVmm(kvm, context, device));
  processor.completeAccess(BigInt(value));
  if (exit.write) context.result('ok');
  else context.resultOf(hexOfSize, BigInt(value >>> 0), BigInt(exit.size));
  yield stage('kvm-io.complete', exit.write ? { port: exit.port } : { port: exit.port, value });
}

/** KVM_RUN returns to a VMM, which is to fill in what is read. */
function* leaveToVmm(userSpace: UserSpace, context: IoContext): Handler {
  const { port, size, write, value } = context.exit;
  const direction = write ? IO_DIRECTION.OUT : IO_DIRECTION.IN;
  context.record.to = 'device';
  context.result('KVM_EXIT_IO');
  yield stage('kvm-io.user-space', { exit_reason: KvmExit.IO, direction, size, port, count: 1 });
  userSpace.leave(context, { reason: KvmExit.IO, direction, size, port, count: 1, data: leBytes(BigInt(value >>> 0), size) });
}

/** KVM_RUN returns; the VMM finds the device and enters the guest again. */
function* exitToVmm(kvm: Kvm, context: IoContext, device: string | undefined): Handler<number> {
  const { port, size, write, value } = context.exit;
  context.record.to = 'device';
  const direction = write ? IO_DIRECTION.OUT : IO_DIRECTION.IN;
  yield stage('kvm-io.vmm', { exit_reason: KvmExit.IO, direction, size, port, count: 1, data: value >>> 0 });
  if (device === undefined) {
    kvm.machine.door.askForPorts(port, size, () => `to ${write ? 'write' : 'read'} port ${hex(port)}`);
    yield stage('kvm-io.unclaimed', { port, note: write ? 'nobody listens: dropped' : 'nobody answers: all ones' });
    return 0xffff_ffff >>> (32 - size * 8);
  }
  return yield* inFrame(deviceFrame(device, write ? 'write' : 'read', false), accessPort(kvm.machine, context.exit, device));
}
