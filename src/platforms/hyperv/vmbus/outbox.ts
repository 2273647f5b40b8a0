import type { InspectNode } from '../../../devices/inspect.ts';
import { DeviceTimer } from '../../../devices/timer.ts';
import { HvStatus, statusName } from '../abi/status.ts';
import { CHANNEL_MESSAGE } from '../abi/vmbus.ts';
import type { VmbusWorld } from './world.ts';

/** A message on its way to the guest. */
interface Sent {
  readonly vcpu: number;
  readonly sint: number;
  readonly payload: Uint8Array;
}

/** Ticks (1 ns) until a message is tried again that found no room. */
const RETRY = 50_000n;
/** Messages that may wait: more than an honest guest can bring about before it reads any. */
const MOST_WAITING = 4096;

/** Messages for the guest: in order, and again later where its message slot and the queue behind that are full. */
export class Outbox {
  private readonly waiting: Sent[] = [];
  private readonly timer: DeviceTimer;
  /** Messages that were delivered, and those that could not be. */
  private sent = 0;
  private lost = 0;
  private lastProblem: string | undefined;

  constructor(private readonly world: VmbusWorld) {
    this.timer = new DeviceTimer(world.clock, () => this.deliver());
  }

  /** The guest is to read some before it asks for more. */
  get isFull(): boolean {
    return this.waiting.length >= MOST_WAITING;
  }

  send(vcpu: number, sint: number, payload: Uint8Array): void {
    this.waiting.push({ vcpu, sint, payload });
    if (this.waiting.length === 1) this.deliver();
  }

  private deliver(): void {
    for (;;) {
      const [first] = this.waiting;
      if (first === undefined) return;
      // The port that host and guest share for messages has the number of its first connection.
      const status = this.world.synic.post(first.vcpu, first.sint, {
        type: CHANNEL_MESSAGE,
        sender: 1n,
        payload: first.payload,
      });
      if (status === HvStatus.INSUFFICIENT_BUFFERS) {
        this.timer.set(this.world.clock.now() + RETRY);
        return;
      }
      if (status === HvStatus.SUCCESS) this.sent++;
      else {
        this.lost++;
        this.lastProblem = statusName(status);
      }
      this.waiting.shift();
    }
  }

  clear(): void {
    this.waiting.length = 0;
    this.timer.set(undefined);
  }

  reset(): void {
    this.clear();
    this.sent = 0;
    this.lost = 0;
    this.lastProblem = undefined;
  }

  inspect(): InspectNode {
    const lost = this.lost === 0 ? '' : `, ${this.lost} lost (${this.lastProblem})`;
    return { name: 'messages to the guest', value: `${this.sent} sent`, detail: `${this.waiting.length} wait${lost}` };
  }
}
