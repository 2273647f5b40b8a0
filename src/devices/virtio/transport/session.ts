import { type Handler, type HandlerStep, stage } from '../../../stages/stage.ts';
import { hex } from '../../../x86/address.ts';
import { DmaError, type DmaMemory } from '../../dma.ts';
import type { InspectNode } from '../../inspect.ts';
import { Feature, featureBit, featureBits, featureNames, Status, statusNames } from '../abi.ts';
import type { DriverSide, VirtioModel } from '../model.ts';
import { pictureQueue, type QueuePicture } from '../picture/queue-picture.ts';
import { PackedQueue } from '../queue/packed-queue.ts';
import { QueueError } from '../queue/queue-error.ts';
import { SplitQueue } from '../queue/split-queue.ts';
import { FIRST_POSITION, type QueueLayout, type QueuePosition, type Virtqueue } from '../queue/virtqueue.ts';

/** What the driver says of a queue before it is ready. */
export interface QueueSetup {
  readonly size: number;
  readonly descriptorArea: bigint;
  readonly driverArea: bigint;
  readonly deviceArea: bigint;
}

export interface SessionState {
  readonly version: 1;
  readonly status: number;
  readonly features: bigint;
  readonly generation: number;
  readonly problem: string | undefined;
  readonly queues: readonly { readonly setup: QueueSetup; readonly position: QueuePosition | undefined }[];
}

export interface SessionWorld {
  readonly dma: DmaMemory;
  /** The driver is to be interrupted: for a queue, by its number, or because the configuration changed or the device needs a reset. */
  readonly interrupt: (source: number | 'configuration') => void;
  /** The same in stages; missing where there is nothing to see. */
  readonly interruptInStages?: (source: number | 'configuration') => Handler;
  /** The device offers packed rings too. */
  readonly offersPacked?: boolean;
}

interface Queue {
  setup: QueueSetup;
  ring: Virtqueue | undefined;
}

const QUEUE_FEATURES = featureBits(
  Feature.INDIRECT_DESC,
  Feature.EVENT_IDX,
  Feature.VERSION_1,
  Feature.IN_ORDER,
  Feature.NOTIFICATION_DATA,
  Feature.RING_RESET,
);
/** What the driver may add to the status by itself. */
const DRIVERS_STATUS = Status.ACKNOWLEDGE | Status.DRIVER | Status.FEATURES_OK | Status.DRIVER_OK | Status.FAILED;
const WORD = 32n;
const MASK = 0xffff_ffffn;

/**
 * What goes on between a driver and a device, whatever the transport (virtio 1.2, chapters 2 and 3): status, features, queues,
 * configuration. A transport gives it registers; the device reaches it as a {@link DriverSide}.
 */
export class VirtioSession implements DriverSide {
  readonly offered: bigint;
  private statusBits = 0;
  /** As the driver wrote them; they count once it has set FEATURES_OK. */
  private chosen = 0n;
  private generationCount = 0;
  private problem: string | undefined;
  private readonly queues: Queue[];
  /** What the device does in stages, while a debugger steps through it; queues that were notified meanwhile wait for its end. */
  private staged: Handler | undefined;
  private readonly waiting = new Set<number>();

  constructor(
    readonly model: VirtioModel,
    private readonly world: SessionWorld,
  ) {
    this.offered = model.features | QUEUE_FEATURES | (world.offersPacked ? featureBit(Feature.RING_PACKED) : 0n);
    this.queues = model.queues.map(({ size }) => ({ setup: freshSetup(size), ring: undefined }));
    model.connect(this);
  }

  // --- status and features --------------------------------------------------------------------------------------------

  get status(): number {
    return this.statusBits;
  }
  get generation(): number {
    return this.generationCount;
  }
  get features(): bigint {
    return this.has(Status.FEATURES_OK) ? this.chosen : 0n;
  }

  private has(bit: number): boolean {
    return (this.statusBits & bit) !== 0;
  }
  private accepted(feature: number): boolean {
    return (this.features & featureBit(feature)) !== 0n;
  }

  /**
   * The driver writes the status (3.1.1). Zero resets; else bits are only added. FEATURES_OK is refused for features that were not
   * offered or without VERSION_1, DRIVER_OK without FEATURES_OK.
   */
  writeStatus(value: number): void {
    if (value === 0) {
      this.disconnect();
      return;
    }
    let added = value & DRIVERS_STATUS & ~this.statusBits;
    if (added & Status.FEATURES_OK && !this.canAccept(this.statusBits | added)) added &= ~Status.FEATURES_OK;
    const ok = Status.FEATURES_OK;
    if (added & Status.DRIVER_OK && ((this.statusBits | added) & ok) === 0) added &= ~Status.DRIVER_OK;
    this.statusBits |= added;
    if (added & Status.DRIVER_OK)
      this.attempt(() => {
        for (const index of this.queues.keys()) if (this.queue(index)) this.model.notified(index);
      });
  }

  private canAccept(status: number): boolean {
    const { chosen, offered } = this;
    return (status & Status.DRIVER) !== 0 && (chosen & ~offered) === 0n && (chosen & featureBit(Feature.VERSION_1)) !== 0n;
  }

  /** 32 of the features that are offered, from bit 32 · `word` on. */
  offeredWord(word: number): number {
    return word < 4 ? Number((this.offered >> (BigInt(word) * WORD)) & MASK) : 0;
  }

  /** 32 of the features that the driver wrote, accepted or not. */
  chosenWord(word: number): number {
    return word < 4 ? Number((this.chosen >> (BigInt(word) * WORD)) & MASK) : 0;
  }

  /** The driver chooses 32 of the features. Without effect once they are agreed on. */
  chooseWord(word: number, value: number): void {
    if (word >= 4 || this.has(Status.FEATURES_OK)) return;
    const shift = BigInt(word) * WORD;
    this.chosen = (this.chosen & ~(MASK << shift)) | (BigInt(value) << shift);
  }

  /** The driver writes `size` bytes of the configuration space. */
  writeConfiguration(offset: number, size: 1 | 2 | 4 | 8, value: bigint): void {
    this.attempt(() => this.model.writeConfiguration?.(offset, Number(value & MASK), size));
  }

  // --- queues ---------------------------------------------------------------------------------------------------------

  /** Entries that a queue can have; 0 for one that isn't there. */
  largestSize(index: number): number {
    return this.model.queues[index]?.size ?? 0;
  }
  isReady(index: number): boolean {
    return this.queues[index]?.ring !== undefined;
  }
  setup(index: number): QueueSetup | undefined {
    return this.queues[index]?.setup;
  }

  /** Says something of a queue that isn't ready yet; without effect on one that is. */
  change(index: number, change: Partial<QueueSetup>): void {
    const queue = this.queues[index];
    if (queue && queue.ring === undefined) queue.setup = { ...queue.setup, ...change };
  }

  /** Starts or stops a queue. It can't be started before features are agreed on. */
  setReady(index: number, isReady: boolean): void {
    const queue = this.queues[index];
    if (queue === undefined || isReady === (queue.ring !== undefined)) return;
    if (!isReady) this.stop(index, queue);
    else if (this.has(Status.FEATURES_OK) && this.problem === undefined)
      this.attempt(() => {
        const largest = this.largestSize(index);
        if (queue.setup.size > largest)
          throw new QueueError(`queue ${index} has ${queue.setup.size} entries, but may have ${largest}`);
        queue.ring = this.ringOf(queue.setup, FIRST_POSITION);
      });
  }

  private layoutOf(setup: QueueSetup): QueueLayout {
    return {
      ...setup,
      isPacked: this.accepted(Feature.RING_PACKED),
      hasIndirect: this.accepted(Feature.INDIRECT_DESC),
      hasEventIndex: this.accepted(Feature.EVENT_IDX),
    };
  }

  private ringOf(setup: QueueSetup, position: QueuePosition): Virtqueue {
    const layout = this.layoutOf(setup);
    return new (layout.isPacked ? PackedQueue : SplitQueue)(this.world.dma, layout, position);
  }

  /** Resets one queue, where that was agreed on (2.6.1); whether it did. */
  resetQueue(index: number): boolean {
    const queue = this.queues[index];
    if (queue === undefined || !this.accepted(Feature.RING_RESET)) return false;
    this.stop(index, queue);
    queue.setup = freshSetup(this.largestSize(index));
    return true;
  }

  private stop(index: number, queue: Queue): void {
    if (queue.ring !== undefined) this.model.queueStopped?.(index);
    queue.ring = undefined;
  }

  /** Which queue a notification of one word means: where that was agreed on, the driver's place in the ring stands above (2.9). */
  notifiedQueue(word: number): number {
    return this.accepted(Feature.NOTIFICATION_DATA) ? word & 0xffff : word;
  }

  notify(index: number): void {
    if (this.staged) this.waiting.add(index);
    else if (this.queue(index)) this.attempt(() => this.model.notified(index));
  }

  /**
   * The same in stages. Between two of them another vCPU may do what it likes with the device: where the queue is no longer the one that
   * was notified, its requests are given up, as they would be in a device that is reset while it works.
   */
  *notifyInStages(index: number): Handler {
    yield stage('virtio-session.notify', { queue: index, name: this.model.queues[index]?.name ?? 'none' });
    const ring = this.queue(index);
    const work = this.staged || ring === undefined ? undefined : this.model.notifiedInStages?.(index);
    if (work === undefined) {
      this.notify(index);
      return;
    }
    this.staged = work;
    yield* this.whileHeld(work, () => this.staged === work && this.queue(index) === ring);
    if (this.problem !== undefined) yield stage('virtio-session.needs-reset', { reason: this.problem });
    if (this.staged === work) this.endStages();
  }

  /** Goes on with `work` as long as its queue is there, and leaves the frames that it is in where it is given up. */
  private *whileHeld(work: Handler, isHeld: () => boolean): Handler {
    let depth = 0;
    while (isHeld()) {
      const step = this.resume(work);
      if (step === undefined) break;
      if (step.kind !== 'stage') depth += step.kind === 'enter' ? 1 : -1;
      yield step;
    }
    for (; depth > 0; depth--) yield { kind: 'leave' };
  }

  /** The next step; undefined at the end, and where the driver did what it must not do. */
  private resume(work: Handler): HandlerStep | undefined {
    try {
      const { done, value } = work.next();
      return done ? undefined : value;
    } catch (error) {
      this.failFor(error);
      return undefined;
    }
  }

  private endStages(): void {
    this.staged = undefined;
    const waiting = [...this.waiting];
    this.waiting.clear();
    for (const index of waiting) this.notify(index);
  }

  /** The device configuration space, in any size; zero beyond its end. */
  readConfiguration(offset: number, size: number): bigint {
    const bytes = this.model.configuration();
    let value = 0n;
    for (let index = 0; index < size; index++) value |= BigInt(bytes[offset + index] ?? 0) << BigInt(8 * index);
    return value;
  }

  // --- the driver as the device sees it -------------------------------------------------------------------------------

  queue(index: number): Virtqueue | undefined {
    return this.has(Status.DRIVER_OK) && this.problem === undefined ? this.queues[index]?.ring : undefined;
  }

  signal(index: number): void {
    if (this.queue(index)?.needsInterrupt()) this.world.interrupt(index);
  }
  *signalInStages(index: number): Handler {
    const ring = this.queue(index);
    if (ring === undefined) return;
    yield stage('virtio-session.signal', { queue: index, used: ring.position.used, given_back: ring.position.unsignalled });
    if (!ring.needsInterrupt()) yield stage('virtio-session.no-interrupt', { note: 'the driver wants none yet' });
    else if (this.world.interruptInStages) yield* this.world.interruptInStages(index);
    else this.world.interrupt(index);
  }

  configurationChanged(): void {
    this.generationCount = (this.generationCount + 1) >>> 0;
    if (this.has(Status.DRIVER_OK)) this.world.interrupt('configuration');
  }

  attempt(action: () => void): void {
    try {
      action();
    } catch (error) {
      this.failFor(error);
    }
  }

  /** The device needs a reset where the driver is at fault; other errors are thrown on. */
  private failFor(error: unknown): void {
    if (!(error instanceof QueueError) && !(error instanceof DmaError)) throw error;
    this.fail(error.message);
  }

  /** `reason`: what the driver did, as a part of a sentence. */
  private fail(reason: string): void {
    if (this.problem !== undefined) return;
    this.problem = reason;
    this.statusBits |= Status.NEEDS_RESET;
    if (this.has(Status.DRIVER_OK)) this.world.interrupt('configuration');
  }

  // --- as a part of a device ------------------------------------------------------------------------------------------

  /** The driver resets the device. */
  private disconnect(): void {
    this.statusBits = 0;
    this.chosen = 0n;
    this.problem = undefined;
    this.forgetStages();
    this.queues.forEach((queue, index) => {
      queue.ring = undefined;
      queue.setup = freshSetup(this.largestSize(index));
    });
    this.model.disconnect();
  }

  private forgetStages(): void {
    this.staged = undefined;
    this.waiting.clear();
  }

  /** The machine is switched on anew. */
  reset(): void {
    this.disconnect();
    this.generationCount = 0;
    this.model.reset();
  }

  save(): SessionState {
    const queues = this.queues.map(({ setup, ring }) => ({ setup, position: ring?.position }));
    const { statusBits, chosen, generationCount, problem } = this;
    return { version: 1, status: statusBits, features: chosen, generation: generationCount, problem, queues };
  }

  restore(state: SessionState): void {
    this.statusBits = state.status;
    this.chosen = state.features;
    this.generationCount = state.generation;
    this.problem = state.problem;
    this.forgetStages();
    this.queues.forEach((queue, index) => {
      const saved = state.queues[index];
      queue.setup = saved?.setup ?? freshSetup(this.largestSize(index));
      queue.ring = saved?.position && this.ringOf(saved.setup, saved.position);
    });
  }

  /** Why the device needs a reset: what the driver must not do, as a part of a sentence. */
  get needsReset(): string | undefined {
    return this.problem;
  }

  /** A queue for who only looks: where the driver put it, also while it isn't ready, and what is in its rings now. */
  pictureOf(index: number): QueuePicture | undefined {
    const queue = this.queues[index];
    return queue && pictureQueue(this.memory, this.layoutOf(queue.setup), this.largestSize(index), queue.ring?.position);
  }
  /** Memory that the device reaches, for who only looks. */
  get memory(): DmaMemory {
    return this.world.dma.forLooking ?? this.world.dma;
  }

  inspect(): readonly InspectNode[] {
    const { model, status } = this;
    const names = (bits: bigint) => featureNames(bits, model.featureBits).join(', ') || 'none';
    return [
      { name: 'status', value: hex(status, 2), detail: statusNames(status).join(', ') || 'reset' },
      ...(this.problem === undefined ? [] : [{ name: 'needs a reset', detail: `The driver must not do this: ${this.problem}.` }]),
      { name: 'features offered', value: hex(this.offered), detail: names(this.offered) },
      { name: 'features accepted', value: hex(this.features), detail: names(this.features) },
      { name: 'configuration', value: `generation ${this.generation}` },
      ...this.queues.map((queue, index) => this.inspectQueue(queue, index)),
    ];
  }

  private inspectQueue({ setup, ring }: Queue, index: number): InspectNode {
    const name = `queue ${index}: ${this.model.queues[index]?.name ?? ''}`;
    if (ring === undefined) return { name, value: 'not ready', detail: `up to ${this.largestSize(index)} entries` };
    const { isPacked, hasEventIndex } = ring.layout;
    const detail = `${isPacked ? 'packed' : 'split'} ring${hasEventIndex ? ' with event index' : ''}`;
    return { name, value: `${setup.size} entries`, detail, children: ring.inspect() };
  }
}

function freshSetup(size: number): QueueSetup {
  return { size, descriptorArea: 0n, driverArea: 0n, deviceArea: 0n };
}
