import type { GuestPartition } from '../../../hypervisor/partition/guest-partition.ts';
import { createPartition } from '../../../platforms/create-partition.ts';
import { loadProgram } from '../../../programs/load-program.ts';
import { JournalFile } from '../../journal-file.ts';
import { nodeFiles } from '../../node-files.ts';
import { type ExitKind, sourceOf } from './exit-kinds.ts';

/**
 * What becomes of the exits: only counted (`off`), kept in memory as usual (`journal`), counted by all fields and over the run too
 * (`statistics`), written to a file too (`file`); or there is no hypervisor (`bare`).
 */
export const EXIT_SETUPS = ['off', 'journal', 'statistics', 'file', 'bare'] as const;
export type ExitSetup = (typeof EXIT_SETUPS)[number];

/** Instructions between two looks at the clock: for guests that don't leave, some hundred microseconds. */
const SLICE = 50_000;
const MEMORY = 64 << 20;
const RBP = 5;
const NAME = 'exits.asm';

/** A guest that makes exits of one kind for as long as it is run. */
export class ExitGuest {
  readonly partition: GuestPartition;
  private readonly file: JournalFile | undefined;

  /** `journal`: where the setup `file` writes. */
  constructor(
    private readonly kind: ExitKind,
    readonly setup: ExitSetup,
    journal: string,
  ) {
    const source = new TextEncoder().encode(sourceOf(kind));
    const program = loadProgram(source, NAME, {}, { ...nodeFiles, read: () => source });
    this.partition = createPartition(
      {
        platform: setup === 'bare' ? 'bare' : 'kvm',
        vendor: 'intel',
        memory: MEMORY,
        vcpus: 1,
        exitsKept: setup === 'off' ? 0 : undefined,
      },
      program,
    );
    const settings = this.partition.vcpus[0]?.settings;
    if (settings && kind.intercept) this.partition.intercept(0, { ...settings, on: new Set(settings.on).add(kind.intercept) });
    if (kind.logsWrites) this.partition.dirtyLog.start('write-protection');
    // Counting begins when somebody asks.
    if (setup === 'statistics') {
      void this.partition.journal.statistics;
      this.partition.journal.startProfile();
    }
    if (setup === 'file') {
      const file = new JournalFile(journal);
      this.partition.journal.onRecord((record) => file.write(record));
      this.file = file;
    }
  }

  /** Exits that the guest has counted; on a bare machine, what would be exits. */
  get made(): number {
    return Number(this.partition.vcpus[0]?.processor.state.gpr(RBP) ?? 0n);
  }

  /**
   * Runs for some seconds of CPU time of this process, background threads included. Returns exits a second. Throws when the guest
   * doesn't go on.
   */
  run(seconds: number): number {
    const before = this.made;
    let microseconds = 0;
    while (microseconds < seconds * 1e6) {
      const begin = process.cpuUsage();
      const stop = this.partition.run({ instructions: SLICE });
      const { user, system } = process.cpuUsage(begin);
      microseconds += user + system;
      if (stop.kind !== 'budget') throw new Error(stop.kind === 'ended' ? stop.end.message : `The guest stopped: ${stop.kind}.`);
      if (this.kind.logsWrites) this.partition.dirtyLog.collect();
    }
    return ((this.made - before) / microseconds) * 1e6;
  }

  close(): void {
    this.file?.close();
  }
}
