import type { ConsoleSource } from './partition.ts';

type Listener = (source: ConsoleSource, bytes: Uint8Array) => void;

const LARGEST = 4096;

/** Gathers what a guest prints byte by byte into pieces, keeping the order between sources. */
export class ConsoleBuffer {
  private readonly listeners: Listener[] = [];
  private source: ConsoleSource = 'serial';
  private readonly bytes = new Uint8Array(LARGEST);
  private length = 0;

  onOutput(listener: Listener): void {
    this.listeners.push(listener);
  }

  put(source: ConsoleSource, byte: number): void {
    if (source !== this.source || this.length === LARGEST) this.flush();
    this.source = source;
    this.bytes[this.length++] = byte;
  }

  flush(): void {
    if (this.length === 0) return;
    const piece = this.bytes.slice(0, this.length);
    this.length = 0;
    for (const listener of this.listeners) listener(this.source, piece);
  }
}
