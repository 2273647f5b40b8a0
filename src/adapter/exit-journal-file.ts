import { LaunchError } from '../debugger/configuration/launch-configuration.ts';
import type { GuestGroup } from '../debugger/guest-group.ts';
import type { Guest } from '../debugger/launch-guest.ts';
import { parseExitFilter } from '../hypervisor/journal/exit-filter.ts';
import type { ExitRecord } from '../hypervisor/journal/exit-journal.ts';

/** A file that an exit journal is written to. What can't be written is thrown as an error that says so in one sentence. */
export interface JournalSink {
  write(record: ExitRecord): void;
  /** What was written is in the file now. */
  flush(): void;
  close(): void;
}

/** Begins the file of an exit journal. Throws LaunchError. */
export type OpenJournal = (path: string) => JournalSink;

/** The file that the exits of a session go to, where its configuration names one. Guests go on without a file that can't be written. */
export class ExitJournalFile {
  private sink: JournalSink | undefined;
  private filter: (record: ExitRecord) => boolean = () => true;

  /** `onLoss` is told with a sentence that nothing is written any more. */
  constructor(
    private readonly open: OpenJournal | undefined,
    private readonly onLoss: (sentence: string) => void,
  ) {}

  /** Has the exits of these guests written, in place of those of others. Throws LaunchError, and all is as before. */
  begin(group: GuestGroup): void {
    const { configuration, guests } = group;
    // The new file may be the old one: nothing of the old run may come behind the start of the new.
    this.flush();
    const sink = this.openFor(configuration.exits);
    this.close();
    this.sink = sink;
    this.filter = parseExitFilter(configuration.exitsFilter ?? '');
    for (const guest of guests) this.add(guest);
  }

  /** Has those of one more guest written. */
  add({ partition }: Guest): void {
    const { sink, filter } = this;
    if (!sink) return;
    partition.journal.onRecord((record) => {
      if (this.sink === sink && filter(record)) this.attempt(() => sink.write(record));
    });
  }

  private openFor(path: string | undefined): JournalSink | undefined {
    if (path === undefined) return undefined;
    if (!this.open) throw new LaunchError('This debug adapter has no files to write: leave "exits" out.');
    return this.open(path);
  }

  flush(): void {
    const { sink } = this;
    if (sink) this.attempt(() => sink.flush());
  }

  close(): void {
    const { sink } = this;
    this.sink = undefined;
    if (sink) this.attempt(() => sink.close());
  }

  /** The guests are not to blame when a disk is full. */
  private attempt(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.onLoss(`${error instanceof Error ? error.message : error} The guests go on without it.`);
      const { sink } = this;
      this.sink = undefined;
      sink?.close();
    }
  }
}
