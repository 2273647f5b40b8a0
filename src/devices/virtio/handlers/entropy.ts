import { type Handler, inFrame, modelFrame, stage } from '../../../stages/stage.ts';
import type { DriverSide } from '../model.ts';
import type { DescriptorChain } from '../queue/chain.ts';
import { giveChainBack, takeChain } from './chains.ts';

/** Bytes that one buffer gets at most: the device may give less than there is room for (virtio 1.2, 5.4.6). */
const MOST_AT_ONCE = 0x1000;

/** The entropy device as it gives bytes: `length` of them. */
export interface EntropyWork {
  draw(length: number): Uint8Array;
}

/** Fills what the driver put into a queue: no more buffers than an honest one can have waiting. */
export function* fillRequests(entropy: EntropyWork, driver: DriverSide, index: number): Handler {
  const queue = driver.queue(index);
  if (queue === undefined) return;
  for (let served = 0; served < queue.layout.size; served++) {
    const chain = yield* takeChain(queue);
    if (chain === undefined) break;
    const written = yield* inFrame(modelFrame('virtio-rng request'), fillBuffer(entropy, chain));
    yield* giveChainBack(queue, chain, written);
  }
  yield* driver.signalInStages(index);
}

function* fillBuffer(entropy: EntropyWork, { writable }: DescriptorChain): Handler<number> {
  const length = Math.min(writable.length, MOST_AT_ONCE);
  yield stage('virtio-rng.draw', { room: writable.length, bytes: length });
  writable.write(0, entropy.draw(length));
  return length;
}
