import { type Handler, inFrame, modelFrame, stage } from '../../../stages/stage.ts';
import type { DriverSide } from '../model.ts';
import { messageName, readMessage, writeAnswer } from '../p9/messages.ts';
import type { DescriptorChain } from '../queue/chain.ts';
import { giveChainBack, takeChain } from './chains.ts';

/** A shared folder as its messages are served. */
export interface ShareWork {
  /** Does what a message asks for; the message that answers it. */
  answer(message: Uint8Array): Uint8Array;
}

/** Serves what the driver put into a queue: no more messages than an honest one can have waiting. */
export function* serveMessages(share: ShareWork, driver: DriverSide, index: number): Handler {
  const queue = driver.queue(index);
  if (queue === undefined) return;
  for (let served = 0; served < queue.layout.size; served++) {
    const chain = yield* takeChain(queue);
    if (chain === undefined) break;
    const written = yield* inFrame(modelFrame('virtio-9p request'), serveMessage(share, chain));
    yield* giveChainBack(queue, chain, written);
  }
  yield* driver.signalInStages(index);
}

/** One message. Returns how many bytes its answer has. */
function* serveMessage(share: ShareWork, chain: DescriptorChain): Handler<number> {
  const message = readMessage(chain.readable);
  yield stage('virtio-9p.request', { message: messageName(message), bytes: message.length, room: chain.writable.length });
  const answer = share.answer(message);
  yield stage('virtio-9p.answer', { message: messageName(answer), bytes: answer.length });
  writeAnswer(chain.writable, answer);
  return answer.length;
}
