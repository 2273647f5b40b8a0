import type { DescriptorChain } from './chain.ts';
import type { Virtqueue } from './virtqueue.ts';

/**
 * Takes what is available, has each chain served, and gives it back in order. `serve` answers with the number of bytes that it wrote,
 * or undefined to leave the chain where it is and end. No more chains are served than the queue has entries: that is all that an honest
 * driver can have waiting, and a ring that its own buffers write to would go on for ever.
 */
export function serveQueue(queue: Virtqueue, serve: (chain: DescriptorChain) => number): void {
  for (let served = 0; served < queue.layout.size; served++) {
    const chain = queue.take();
    if (chain === undefined) return;
    queue.giveBack(chain, serve(chain));
  }
}
