import type { ExitContext } from '../../../hypervisor/exits/exit-context.ts';
import type { ExitOf } from '../../../processor/exit.ts';
import { type Handler, inFrame, stage } from '../../../stages/stage.ts';
import type { IoEvent } from '../api/vm.ts';
import { kernelFrame } from '../kvm.ts';

type WriteContext = ExitContext<ExitOf<'io'>> | ExitContext<ExitOf<'mmio'>>;

/** A write that an ioeventfd takes: nothing of it reaches the VMM but that it happened, and the guest goes on at once. */
export function* signalEvent(context: WriteContext, event: IoEvent): Handler {
  yield stage('kvm-io-event.write', { address: event.address, length: event.length, flags: event.flags });
  context.processor.completeAccess(0n);
  context.result('eventfd signalled');
  yield* inFrame(kernelFrame('eventfd_signal'), signal(event));
}

function* signal(event: IoEvent): Handler {
  yield stage('kvm-io-event.signal', { by: 1 });
  event.fd.signal();
}
