import type { Host } from '../hypervisor/host/host.ts';
import { writeBack } from '../platforms/write-back.ts';
import type { FileAccess } from '../programs/program.ts';
import type { LaunchConfiguration } from './configuration/launch-configuration.ts';
import type { Guest } from './launch-guest.ts';
import type { MotionScope } from './run-control/control.ts';
import type { SessionEvent } from './run-control/events.ts';

/** Something that happened to one of the guests. */
export interface GuestEvent {
  readonly guest: Guest;
  readonly event: SessionEvent;
}

/**
 * The guests of one session, on one host that gives their partitions turns. It knows who goes on and who stops with whom; each
 * guest's breakpoints and steps are its own session's.
 */
export class GuestGroup {
  /** Who goes on and who stops with the vCPU that a motion is about, as the user wants it. It holds from the next motion on. */
  wanted: MotionScope;
  /** The same, as it was for the last motion. */
  private used: MotionScope = 'all';

  constructor(
    readonly host: Host,
    /** At least one. */
    readonly guests: readonly Guest[],
    readonly configuration: LaunchConfiguration,
  ) {
    this.wanted = configuration.moves ?? 'all';
    this.use(this.wanted);
  }

  get first(): Guest {
    const [guest] = this.guests;
    if (!guest) throw new Error('a session without guests');
    return guest;
  }

  /** Who goes on and who stops together. */
  get scope(): MotionScope {
    return this.used;
  }

  private use(scope: MotionScope): void {
    this.used = scope;
    for (const { session } of this.guests) session.alone = scope === 'vcpu';
  }

  /** Takes the place of the guests of a run before: they are destroyed, and nothing of them can be looked at any more. */
  replace(before: GuestGroup): void {
    for (const { partition } of before.guests) before.host.destroy(partition);
    this.host.journal.follow(before.host.journal);
  }

  /** Writes what guests wrote to disks into the images that are to keep it. Gives a sentence for each that couldn't be written. */
  writeBack(files: FileAccess): readonly string[] {
    return this.guests.flatMap(({ partition: { devices }, disks }) => writeBack({ devices, disks }, files));
  }

  /** Some guest moves. */
  get running(): boolean {
    return this.guests.some(({ session }) => session.running);
  }

  /** All guests have ended. */
  get isOver(): boolean {
    return this.guests.every(({ session }) => session.isOver);
  }

  /** What moves only waits for time to pass outside. */
  get isWaiting(): boolean {
    return this.guests.every(({ session }) => !session.hasWork || (session.isWaiting && !session.hasEvents));
  }

  /** True when another slice has something to do at once. */
  get hasWork(): boolean {
    return this.guests.some(({ session }) => session.hasWork);
  }

  /**
   * Does a motion of one guest (of its current vCPU alone, whatever is wanted otherwise, when `single`), and lets go with it all
   * that go when it does. Throws what the motion throws; nothing moves then.
   */
  begin(single: boolean, motion: () => void): void {
    this.use(single ? 'vcpu' : this.wanted);
    motion();
    if (this.used === 'all') this.release();
  }

  /** Lets all go for the first time, whatever moves alone afterwards. */
  start(): void {
    this.use('all');
    this.release();
    this.use(this.wanted);
  }

  /** Stops before the next slice what stops with a vCPU. */
  pause({ guest, vcpu }: { readonly guest: Guest; readonly vcpu: number }): void {
    const other = this.guests.find(({ session }) => session.running);
    if (this.used === 'all' && !guest.session.running) other?.session.pause();
    else guest.session.pause(vcpu);
  }

  /** Lets all guests go from where they stand, each past what it stopped for. */
  private release(): void {
    for (const { session } of this.guests) if (!session.running && !session.isOver) session.continue();
  }

  /** Runs for one slice of a few milliseconds. Returns what happened, if anything did that the user should see. */
  slice(): GuestEvent | undefined {
    const guest = this.guests.find(({ session }) => session.hasEvents);
    const happened = guest ? { guest, event: guest.session.slice() } : this.runTurn();
    if (!happened?.event) return undefined;
    const { event } = happened;
    if (event.kind === 'stopped' && this.used === 'all') for (const { session } of this.guests) session.halt();
    if (event.kind === 'ended') this.host.noteEnd(happened.guest.partition, event.end);
    return { guest: happened.guest, event };
  }

  private runTurn(): { readonly guest: Guest; readonly event: SessionEvent | undefined } | undefined {
    const turn = this.host.whoseTurn((partition) =>
      this.guests.some((one) => one.partition === partition && one.session.running),
    );
    const guest = this.guests.find(({ partition }) => partition === turn?.partition);
    if (!turn || !guest) return this.runEnded();
    const { session, partition } = guest;
    // One that has the host for itself has no turns.
    const shares = this.guests.length > 1 || partition.timeShare < 100;
    const event = session.slice(shares ? turn.until : undefined);
    if (shares && (session.idle || partition.now() >= turn.until)) this.host.endTurn(turn);
    return { guest, event };
  }

  /** A partition that has ended has no turns; its session has yet to say so when it was set moving all the same. */
  private runEnded(): { readonly guest: Guest; readonly event: SessionEvent | undefined } | undefined {
    const guest = this.guests.find(({ session }) => session.running);
    return guest && { guest, event: guest.session.slice() };
  }
}
