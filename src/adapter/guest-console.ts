import type { Guest } from '../debugger/launch-guest.ts';

/** Sends a piece of output; `data` tells partitions and their devices apart for whoever shows them apart. */
type SendOutput = (text: string, data: { readonly source: string; readonly partition: number }) => void;

/** What guests print, as text. Of several guests each line begins with the name of the partition. */
export class GuestConsole {
  private readonly decoders = new Map<string, TextDecoder>();
  /** Who wrote last, and whether the line is unfinished. */
  private last: { readonly key: string; readonly isOpen: boolean } | undefined;

  constructor(private readonly send: SendOutput) {}

  /** Begins anew with these guests. */
  listen(guests: readonly Guest[]): void {
    this.decoders.clear();
    this.last = undefined;
    for (const { index, partition, configuration } of guests)
      partition.onConsole((source, bytes) => {
        const key = `${index} ${source}`;
        const decoder = this.decoders.get(key) ?? new TextDecoder();
        this.decoders.set(key, decoder);
        const text = decoder.decode(bytes, { stream: true });
        if (text === '') return;
        const shown = guests.length > 1 ? this.named(text, key, `${configuration.name}: `) : text;
        this.send(shown, { source, partition: partition.id });
      });
  }

  private named(text: string, key: string, name: string): string {
    const { last } = this;
    this.last = { key, isOpen: !text.endsWith('\n') };
    const lines = text.replaceAll(/\n(?=[\s\S])/g, `\n${name}`);
    if (last?.isOpen && last.key === key) return lines;
    return `${last?.isOpen ? '\n' : ''}${name}${lines}`;
  }
}
