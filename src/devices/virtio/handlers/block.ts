import { type Handler, inFrame, modelFrame, stage } from '../../../stages/stage.ts';
import { REQUEST_NAMES, SECTOR } from '../block/registers.ts';
import { type Answer, type BlockRequest, bytesToMove, OUTCOME_NAMES, readRequest } from '../block/request.ts';
import type { DriverSide } from '../model.ts';
import type { DescriptorChain } from '../queue/chain.ts';
import { giveChainBack, takeChain } from './chains.ts';

/** The block device as its requests are served. */
export interface BlockWork {
  /** Sectors of the disk. */
  readonly sectors: number;
  /** Moves the data, or does what else is asked. */
  perform(request: BlockRequest): Answer;
  /** Writes the status of a request and counts it. Returns how many bytes were written in all. */
  conclude(request: BlockRequest, answer: Answer): number;
}

/** Serves what the driver put into a queue: no more than an honest one can have waiting. */
export function* serveRequests(block: BlockWork, driver: DriverSide, index: number): Handler {
  const queue = driver.queue(index);
  if (queue === undefined) return;
  for (let served = 0; served < queue.layout.size; served++) {
    const chain = yield* takeChain(queue);
    if (chain === undefined) break;
    const written = yield* inFrame(modelFrame('virtio-blk request'), serveRequest(block, chain));
    yield* giveChainBack(queue, chain, written);
  }
  yield* driver.signalInStages(index);
}

/** One request; its parts may be cut into descriptors in any way (virtio 1.2, 2.7.4). Returns how many bytes were written. */
function* serveRequest(block: BlockWork, chain: DescriptorChain): Handler<number> {
  yield stage('virtio-blk.request', { readable: chain.readable.length, writable: chain.writable.length });
  const request = readRequest(chain);
  yield stage('virtio-blk.header', {
    type: REQUEST_NAMES[request.type] ?? request.type,
    sector: request.sector,
    bytes: bytesToMove(request),
  });
  yield stage('virtio-blk.perform', {
    offset: request.sector * BigInt(SECTOR),
    bytes: bytesToMove(request),
    capacity: BigInt(block.sectors * SECTOR),
  });
  const answer = block.perform(request);
  yield stage('virtio-blk.status', { status: OUTCOME_NAMES[answer.outcome] ?? answer.outcome, written: answer.written });
  return block.conclude(request, answer);
}
