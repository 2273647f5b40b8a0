function field(message: unknown, name: string): unknown {
  return typeof message === 'object' && message !== null ? Object.getOwnPropertyDescriptor(message, name)?.value : undefined;
}

const isCancel = (message: unknown) => field(message, 'type') === 'request' && field(message, 'command') === 'cancel';

/** Messages of a client that wait for their turn, in order. */
export class MessageQueue {
  private waiting: unknown[] = [];

  get isEmpty(): boolean {
    return this.waiting.length === 0;
  }

  /** A `cancel` overtakes what it may cancel. */
  push(message: unknown): void {
    if (isCancel(message)) this.waiting.unshift(message);
    else this.waiting.push(message);
  }

  next(): unknown {
    return this.waiting.shift();
  }

  /** Takes a request out that has not been begun; undefined when there is no such. */
  take(requestId: unknown): { readonly seq: number; readonly command: string } | undefined {
    const found = this.waiting.find((message) => typeof requestId === 'number' && field(message, 'seq') === requestId);
    if (found === undefined) return undefined;
    this.waiting = this.waiting.filter((message) => message !== found);
    return { seq: Number(requestId), command: String(field(found, 'command') ?? '') };
  }
}
