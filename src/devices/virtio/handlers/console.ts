import { type Handler, inFrame, modelFrame, stage } from '../../../stages/stage.ts';
import type { DriverSide } from '../model.ts';
import type { DescriptorChain } from '../queue/chain.ts';
import { giveChainBack, takeChain } from './chains.ts';

/** A port of the console device as it moves bytes. */
export interface ConsoleWork {
  /** Bytes that wait outside. */
  readonly waiting: number;
  /** Fills the driver's buffers with what waits. */
  deliver(driver: DriverSide): void;
  print(bytes: Uint8Array): void;
}

/** Bytes of one buffer that are printed; a longer one is cut. */
const LONGEST_PRINT = 1 << 20;

/** The driver put buffers to be filled into a queue. */
export function* fillBuffers(port: ConsoleWork, driver: DriverSide): Handler {
  yield stage('virtio-console.fill', { waiting: port.waiting });
  port.deliver(driver);
}

/** Prints what the driver put into a queue: no more buffers than an honest one can have waiting. */
export function* printBuffers(port: ConsoleWork, driver: DriverSide, index: number): Handler {
  const queue = driver.queue(index);
  if (queue === undefined) return;
  for (let served = 0; served < queue.layout.size; served++) {
    const chain = yield* takeChain(queue);
    if (chain === undefined) break;
    yield* inFrame(modelFrame('virtio-console transmit'), printBuffer(port, chain));
    yield* giveChainBack(queue, chain, 0);
  }
  yield* driver.signalInStages(index);
}

function* printBuffer(port: ConsoleWork, { readable }: DescriptorChain): Handler {
  const bytes = readable.read(0, LONGEST_PRINT);
  yield stage('virtio-console.print', { bytes: bytes.length, text: beginning(bytes) });
  port.print(bytes);
}

/** The first characters of what is printed. */
function beginning(bytes: Uint8Array): string {
  return JSON.stringify(new TextDecoder().decode(bytes.subarray(0, 80)));
}
