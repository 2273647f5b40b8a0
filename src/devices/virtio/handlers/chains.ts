import { type Handler, stage } from '../../../stages/stage.ts';
import type { DescriptorChain } from '../queue/chain.ts';
import type { Virtqueue } from '../queue/virtqueue.ts';

/** Takes the next buffer that the driver made available. */
export function* takeChain(queue: Virtqueue): Handler<DescriptorChain | undefined> {
  yield stage('virtqueue.look', { ring: queue.layout.isPacked ? 'packed' : 'split', available: queue.position.available });
  const chain = queue.take();
  yield stage(
    'virtqueue.take',
    chain
      ? { head: chain.id, readable: chain.readable.length, writable: chain.writable.length }
      : { note: 'the driver has made no further buffer available' },
  );
  return chain;
}

/** Gives a buffer back, of which `written` bytes were written. */
export function* giveChainBack(queue: Virtqueue, chain: DescriptorChain, written: number): Handler {
  yield stage('virtqueue.give-back', { id: chain.id, written, used: queue.position.used });
  queue.giveBack(chain, written);
}
