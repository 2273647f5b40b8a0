import { type Handler, inFrame, modelFrame, stage } from '../../../stages/stage.ts';
import type { DriverSide } from '../model.ts';
import type { DescriptorChain } from '../queue/chain.ts';
import { giveChainBack, takeChain } from './chains.ts';

/** What a queue of the balloon is for, besides statistics. */
export type PageRole = 'inflate' | 'deflate' | 'hints' | 'reports';

/** The balloon as it is told of pages. */
export interface BalloonWork {
  /** Does what a buffer is for; how many pages it was. */
  movePages(role: PageRole, chain: DescriptorChain): number;
}

/** Takes note of the pages that the driver names: of no more buffers than an honest one can have waiting. */
export function* servePages(balloon: BalloonWork, driver: DriverSide, index: number, role: PageRole): Handler {
  const queue = driver.queue(index);
  if (queue === undefined) return;
  for (let served = 0; served < queue.layout.size; served++) {
    const chain = yield* takeChain(queue);
    if (chain === undefined) break;
    yield* inFrame(modelFrame('virtio-balloon pages'), movePages(balloon, chain, role));
    yield* giveChainBack(queue, chain, 0);
  }
  yield* driver.signalInStages(index);
}

function* movePages(balloon: BalloonWork, chain: DescriptorChain, role: PageRole): Handler {
  yield stage('virtio-balloon.list', { for: role, readable: chain.readable.length, writable: chain.writable.length });
  const pages = balloon.movePages(role, chain);
  yield stage('virtio-balloon.moved', { for: role, pages });
}
