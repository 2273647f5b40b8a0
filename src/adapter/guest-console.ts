import type { LaunchConfiguration } from '../debugger/configuration/launch-configuration.ts';
import { type Guest, mayBeLinux } from '../debugger/launch-guest.ts';

/** Sends a piece of output; `data` tells partitions and their devices apart for whoever shows them apart. */
type SendOutput = (text: string, data: { readonly source: string; readonly partition: number }) => void;

/** The body of the event `hyperscope/console`: what a guest prints on a serial console that the client shows in a terminal. */
export interface TerminalOutput {
  /** Among the guests of the session, from 0: the same when they are started anew. */
  readonly guest: number;
  /** For requests. */
  readonly partition: number;
  /** What the terminal is about. */
  readonly name: string;
  /** The guest has not run yet. */
  readonly begins: boolean;
  readonly text: string;
}

/** Whether a guest's serial console is for a terminal. Clients that leave the choice open may have none. */
function isInTerminal({ program }: Guest, choice: LaunchConfiguration['console'] = 'debugConsole'): boolean {
  return choice === 'terminal' || (choice === 'auto' && mayBeLinux(program));
}

/** What guests print, as text. Of several guests each line begins with the name of the partition. */
export class GuestConsole {
  private readonly decoders = new Map<string, TextDecoder>();
  /** Who wrote last, and whether the line is unfinished. */
  private last: { readonly key: string; readonly isOpen: boolean } | undefined;

  constructor(
    private readonly send: SendOutput,
    private readonly sendToTerminal: (output: TerminalOutput) => void,
  ) {}

  /** Begins anew with these guests. */
  listen(guests: readonly Guest[], choice: LaunchConfiguration['console']): void {
    this.decoders.clear();
    this.last = undefined;
    for (const guest of guests) {
      const { index, partition, configuration } = guest;
      const inTerminal = isInTerminal(guest, choice);
      const about = { guest: index, partition: partition.id, name: configuration.name };
      if (inTerminal) this.sendToTerminal({ ...about, begins: true, text: '' });
      partition.onConsole((source, bytes) => {
        const key = `${index} ${source}`;
        const decoder = this.decoders.get(key) ?? new TextDecoder();
        this.decoders.set(key, decoder);
        const text = decoder.decode(bytes, { stream: true });
        if (text === '') return;
        if (inTerminal && source === 'serial') {
          this.sendToTerminal({ ...about, begins: false, text });
          return;
        }
        const shown = guests.length > 1 ? this.named(text, key, `${configuration.name}: `) : text;
        this.send(shown, { source, partition: partition.id });
      });
    }
  }

  private named(text: string, key: string, name: string): string {
    const { last } = this;
    this.last = { key, isOpen: !text.endsWith('\n') };
    const lines = text.replaceAll(/\n(?=[\s\S])/g, `\n${name}`);
    if (last?.isOpen && last.key === key) return lines;
    return `${last?.isOpen ? '\n' : ''}${name}${lines}`;
  }
}
