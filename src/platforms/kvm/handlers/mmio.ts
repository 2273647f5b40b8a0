import { hexOfSize } from '../../../hypervisor/exits/describe.ts';
import type { ExitContext } from '../../../hypervisor/exits/exit-context.ts';
import type { ExitOf } from '../../../processor/exit.ts';
import { type Handler, inFrame, stage } from '../../../stages/stage.ts';
import { hex } from '../../../x86/address.ts';
import { accessMmio } from '../../exits/handlers/device-access.ts';
import { leBytes, littleEndian } from '../../register-values.ts';
import { MemoryFlag } from '../abi/flags.ts';
import { InternalError, KvmExit } from '../abi/kvm-run.ts';
import { deviceFrame, giveUp, ioThreadFrame, type Kvm, kernelFrame, vmmFrame } from '../kvm.ts';
import type { UserSpace } from '../vm/virtual-machine.ts';
import { signalEvent } from './io-event.ts';

type MmioContext = ExitContext<ExitOf<'mmio'>>;

/**
 * An access to guest physical memory without a memory slot. kvm-intel marks such pages so that they cause an EPT
 * misconfiguration (reason 49), kvm-amd gets a nested page fault (0x400).
 */
export function* handleMmio(kvm: Kvm, context: MmioContext): Handler {
  const { gpa, gva, size, write } = context.exit;
  yield stage('kvm-mmio.exit', { gpa, gva, size, access: write ? 'write' : 'read' });
  yield* inFrame(kernelFrame('kvm_mmu_page_fault'), emulate(kvm, context));
}

function* emulate(kvm: Kvm, context: MmioContext): Handler {
  const { exit, processor } = context;
  if (exit.fetch) {
    yield* inFrame(vmmFrame('KVM_EXIT_INTERNAL_ERROR'), fetchFromHole(kvm, context));
    return;
  }
  // A machine that is its own VMM has no read-only slots.
  const slot = exit.write || !kvm.vm.userSpace ? undefined : kvm.vm.slots.at(exit.gpa);
  if (slot !== undefined && (slot.flags & MemoryFlag.READONLY) !== 0) {
    yield* inFrame(kernelFrame('emulator_read_emulated'), readReadOnly(context, slot.slot));
    return;
  }
  const device = kvm.machine.devices.mmioOwner(processor.index, exit.gpa);
  const inKernel = kvm.vm.isInKernel(device);
  const event = exit.write ? kvm.vm.ioEvents.find('mmio', exit.gpa, exit.size, exit.value) : undefined;
  const rings =
    device !== undefined && exit.write && kvm.vm.doorbellEvents && kvm.machine.devices.isDoorbell(exit.gpa, exit.size);
  yield stage('kvm-mmio.route', {
    gpa: exit.gpa,
    device: device ?? 'none',
    served: inKernel || event || rings ? 'in the kernel' : 'by the VMM process',
  });
  if (event && !inKernel) {
    yield* inFrame(kernelFrame('ioeventfd_write'), signalEvent(context, event));
    return;
  }
  if (rings) {
    yield* inFrame(kernelFrame('ioeventfd_write'), ringDoorbell(kvm, context, device));
    return;
  }
  if (!inKernel && kvm.vm.userSpace) {
    yield* inFrame(vmmFrame('KVM_EXIT_MMIO'), leaveToVmm(kvm.vm.userSpace, context));
    return;
  }
  const value = inKernel
    ? yield* inFrame(
        deviceFrame(device, exit.write ? 'write' : 'read', true),
        accessMmio(kvm.machine, context.exit, context.vcpu, device),
      )
    : yield* inFrame(vmmFrame('KVM_EXIT_MMIO'), exitToVmm(kvm, context, device));
  processor.completeAccess(value);
  if (exit.write) context.result('ok');
  else context.resultOf(hexOfSize, value, BigInt(exit.size));
  yield stage('kvm-mmio.complete', exit.write ? { gpa: exit.gpa } : { gpa: exit.gpa, value });
}

/** An instruction that reads a read-only slot in order to write it leaves for its write alone. */
function* readReadOnly(context: MmioContext, slot: number): Handler {
  const { exit, processor } = context;
  const bytes = processor.readMemory('gpa', exit.gpa, exit.size);
  yield stage('kvm-mmio.read-only', { slot, gpa: exit.gpa, size: exit.size });
  processor.completeAccess(littleEndian(bytes));
  context.result('read-only slot');
}

/** The VMM has an ioeventfd for the doorbell: the guest goes on, and a thread of the VMM finds the work. Here that is done at once. */
function* ringDoorbell(kvm: Kvm, context: MmioContext, device: string): Handler {
  const { gpa, size, value } = context.exit;
  yield stage('kvm-mmio.doorbell', { device, address: gpa, length: size, value });
  yield* inFrame(kernelFrame('eventfd_signal'), wakeThread(kvm, context, device));
  context.processor.completeAccess(0n);
  context.result('eventfd signalled');
}

function* wakeThread(kvm: Kvm, context: MmioContext, device: string): Handler {
  yield stage('kvm-mmio.signal', { by: 1, wakes: 'the VMM’s I/O thread' });
  yield* inFrame(ioThreadFrame(device), accessMmio(kvm.machine, context.exit, context.vcpu, device));
}

/** KVM_RUN returns to a VMM, which is to fill in what is read. */
function* leaveToVmm(userSpace: UserSpace, context: MmioContext): Handler {
  const { gpa, size, write, value } = context.exit;
  context.record.to = 'device';
  context.result('KVM_EXIT_MMIO');
  yield stage('kvm-mmio.user-space', { exit_reason: KvmExit.MMIO, phys_addr: gpa, len: size, is_write: write });
  const data = leBytes(value, 8);
  userSpace.leave(context, { reason: KvmExit.MMIO, physicalAddress: gpa, data, length: size, isWrite: write });
}

function* exitToVmm(kvm: Kvm, context: MmioContext, device: string | undefined): Handler<bigint> {
  const { gpa, size, write, value } = context.exit;
  context.record.to = 'device';
  yield stage('kvm-mmio.vmm', { exit_reason: KvmExit.MMIO, phys_addr: gpa, len: size, is_write: write, data: value });
  const name = device ?? 'no device';
  return yield* inFrame(
    deviceFrame(name, write ? 'write' : 'read', false),
    accessMmio(kvm.machine, context.exit, context.vcpu, name),
  );
}

/** The emulator can't run code from where no memory is: KVM gives up on the virtual machine. */
function* fetchFromHole(kvm: Kvm, context: MmioContext): Handler {
  const { exit } = context;
  context.record.to = 'device';
  context.result('emulation failure');
  yield stage('kvm-mmio.emulation-failure', {
    exit_reason: KvmExit.INTERNAL_ERROR,
    suberror: InternalError.EMULATION,
    gpa: exit.gpa,
    rip: exit.rip,
  });
  giveUp(
    kvm,
    context,
    { reason: KvmExit.INTERNAL_ERROR, suberror: InternalError.EMULATION, data: [] },
    {
      kind: 'crash',
      status: 126,
      message: `The guest jumped to RIP ${hex(exit.rip)}, physical address ${hex(exit.gpa)}, where no memory is.`,
    },
  );
}
