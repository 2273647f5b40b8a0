import type { SynicMessage } from './synic.ts';

/** The buffers of a sender: each holds a message until it is in its slot (TLFS, "Message buffers"). */
export class MessageBuffers {
  private used = 0;

  /** `freed`: called when a buffer is free again. */
  constructor(
    readonly count: number,
    private readonly freed?: () => void,
  ) {}

  get free(): number {
    return this.count - this.used;
  }
  /** False when all are in use. */
  take(): boolean {
    if (this.used >= this.count) return false;
    this.used++;
    return true;
  }
  release(): void {
    if (this.used === 0) return;
    this.used--;
    this.freed?.();
  }
}

/** A message that waits for its slot. */
export interface QueuedMessage {
  readonly type: number;
  /** The message, which may say when it was delivered. */
  readonly message: () => SynicMessage;
  readonly buffers: MessageBuffers;
}
