import { type Handler, inFrame, modelFrame, stage } from '../../../stages/stage.ts';
import type { DriverSide } from '../model.ts';
import type { DescriptorChain } from '../queue/chain.ts';
import { operationName, type Packet, readPacket } from '../vsock/packet.ts';
import { giveChainBack, takeChain } from './chains.ts';

/** The socket device as it listens to the guest. */
export interface VsockWork {
  /** It has room for answers. */
  readonly canListen: boolean;
  /** Follows a packet; undefined for one whose data aren't all there. */
  hear(packet: Packet | undefined): void;
  /** Fills the driver's buffers with what waits. */
  deliver(): void;
}

/** Listens to what the driver sends, while there is room for answers, and delivers them. */
export function* hearPackets(vsock: VsockWork, driver: DriverSide, index: number): Handler {
  const queue = driver.queue(index);
  if (queue === undefined) return;
  for (let served = 0; served < queue.layout.size && vsock.canListen; served++) {
    const chain = yield* takeChain(queue);
    if (chain === undefined) break;
    yield* inFrame(modelFrame('virtio-vsock packet'), hearPacket(vsock, chain));
    // What the host answers at once may have met a bad buffer: the queue is touched no more then.
    if (driver.queue(index) !== queue) return;
    yield* giveChainBack(queue, chain, 0);
  }
  yield* driver.signalInStages(index);
  yield stage('virtio-vsock.deliver');
  vsock.deliver();
}

function* hearPacket(vsock: VsockWork, chain: DescriptorChain): Handler {
  const packet = readPacket(chain.readable);
  yield stage('virtio-vsock.header', {
    operation: operationName(packet),
    from: `${packet?.from ?? 0}:${packet?.fromPort ?? 0}`,
    to: `${packet?.to ?? 0}:${packet?.toPort ?? 0}`,
    bytes: packet?.data.length ?? 0,
  });
  vsock.hear(packet);
}
