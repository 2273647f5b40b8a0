import { type Handler, inFrame, modelFrame, stage } from '../../../stages/stage.ts';
import type { DriverSide } from '../model.ts';
import { type ControlCommand, readCommand } from '../network/control.ts';
import { Ack, HEADER_SIZE } from '../network/registers.ts';
import { readTransmitHeader, type TransmitHeader } from '../network/transmit-header.ts';
import type { DescriptorChain } from '../queue/chain.ts';
import { giveChainBack, takeChain } from './chains.ts';

/** The network device as it moves frames. */
export interface NetworkWork {
  /** Frames that wait for buffers. */
  readonly waiting: number;
  /** Fills the driver's buffers with frames that wait. */
  deliver(): void;
  /** The frames that go out for one of the driver: none where its header asks for what can't be done. */
  finish(header: TransmitHeader, frame: Uint8Array): readonly Uint8Array[];
  send(frame: Uint8Array): void;
  /** Follows a command; whether it could. */
  obey(command: ControlCommand): boolean;
}

/** A frame with a long segment, for the device to cut: its IP packet has up to 64 KiB. What is longer is cut off, and so refused. */
const LONGEST_FRAME = 0x1_0000 + 14;

/** The driver put buffers for frames into a queue. */
export function* fillBuffers(card: NetworkWork): Handler {
  yield stage('virtio-net.fill', { waiting: card.waiting });
  card.deliver();
}

/** Sends what the driver put into a queue: no more frames than an honest one can have waiting. */
export function* sendFrames(card: NetworkWork, driver: DriverSide, index: number): Handler {
  const queue = driver.queue(index);
  if (queue === undefined) return;
  for (let served = 0; served < queue.layout.size; served++) {
    const chain = yield* takeChain(queue);
    if (chain === undefined) break;
    yield* inFrame(modelFrame('virtio-net transmit'), sendFrame(card, chain));
    // An answer met a receive queue that is wrong: the device needs a reset, and touches no queue any more.
    if (driver.queue(index) !== queue) return;
    yield* giveChainBack(queue, chain, 0);
  }
  yield* driver.signalInStages(index);
}

function* sendFrame(card: NetworkWork, chain: DescriptorChain): Handler {
  const header = readTransmitHeader(chain);
  const frame = chain.readable.read(HEADER_SIZE, LONGEST_FRAME);
  yield stage('virtio-net.header', {
    bytes: frame.length,
    checksum: header.checksum ? `from ${header.checksum.start}, at ${header.checksum.start + header.checksum.offset}` : 'none',
    segments: header.gsoSize === 0 ? 'not cut' : `of ${header.gsoSize} bytes`,
  });
  const frames = card.finish(header, frame);
  yield stage('virtio-net.send', { frames: frames.length, bytes: frames.reduce((sum, { length }) => sum + length, 0) });
  for (const piece of frames) card.send(piece);
}

/** Follows the commands that the driver put into the control queue. */
export function* obeyCommands(card: NetworkWork, driver: DriverSide, index: number): Handler {
  const queue = driver.queue(index);
  if (queue === undefined) return;
  for (let served = 0; served < queue.layout.size; served++) {
    const chain = yield* takeChain(queue);
    if (chain === undefined) break;
    yield* inFrame(modelFrame('virtio-net control'), obeyCommand(card, chain));
    yield* giveChainBack(queue, chain, 1);
  }
  yield* driver.signalInStages(index);
}

function* obeyCommand(card: NetworkWork, chain: DescriptorChain): Handler {
  const command = readCommand(chain);
  yield stage('virtio-net.command', { class: command.kind, command: command.command, bytes: command.data.length });
  const ack = card.obey(command) ? Ack.OK : Ack.ERROR;
  yield stage('virtio-net.ack', { ack });
  chain.writable.write(0, Uint8Array.of(ack));
}
