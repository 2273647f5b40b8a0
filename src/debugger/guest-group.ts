import type { Host } from '../hypervisor/host/host.ts';
import type { HostedPartition } from '../hypervisor/partition/partition.ts';
import { writeBack } from '../platforms/write-back.ts';
import type { FileAccess } from '../programs/program.ts';
import type { LaunchConfiguration } from './configuration/launch-configuration.ts';
import type { Guest } from './launch-guest.ts';
import { interceptHandler, madeGuest } from './made-guest.ts';
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
  private members: readonly Guest[];
  /** Whose turn it is. */
  private moving: Guest | undefined;
  private readonly madeListeners: ((guest: Guest) => void)[] = [];
  /** The same, as it was for the last motion. */
  private used: MotionScope = 'all';

  constructor(
    readonly host: Host,
    /** At least one. */
    launched: readonly Guest[],
    readonly configuration: LaunchConfiguration,
  ) {
    this.members = launched;
    host.onAdd((partition) => this.adopt(partition));
    this.wanted = configuration.moves ?? 'all';
    this.use(this.wanted);
  }

  /** Those that were launched, then those that they have made, destroyed ones too: each keeps its place. */
  get guests(): readonly Guest[] {
    return this.members;
  }

  /** Told of each partition that a guest makes while the session runs. */
  onMade(listener: (guest: Guest) => void): void {
    this.madeListeners.push(listener);
  }

  /** A guest has made a partition by itself: it is debugged as the others are, and moves with who has made it. */
  private adopt(partition: HostedPartition): void {
    const { moving: maker } = this;
    const made = maker && madeGuest(partition, maker, this.members.length);
    if (!made) return;
    this.members = [...this.members, made];
    made.session.alone = this.used === 'vcpu';
    if (this.used !== 'vcpu') made.session.continue();
    for (const listener of this.madeListeners) listener(made);
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
    return this.vanished !== undefined || this.guests.some(({ session }) => session.hasWork);
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

  /** One that was destroyed, which its session has yet to say. */
  private get vanished(): Guest | undefined {
    return this.members.find(({ partition, session }) => partition.end?.kind === 'destroyed' && !session.isOver);
  }

  /** A step into an exit goes on in the guest that serves it: at the handler of the interrupt that it is told by. */
  private goOnInMaker({ maker }: Guest): void {
    if (!maker) return;
    const { session } = maker;
    const targets = interceptHandler(maker.partition);
    session.halt();
    if (targets.length === 0) {
      session.continue();
      session.pause(0);
    } else session.runTo(0, targets, 'Intercept');
  }

  /** Runs for one slice of a few milliseconds. Returns what happened, if anything did that the user should see. */
  slice(): GuestEvent | undefined {
    const { vanished } = this;
    if (vanished?.partition.end) {
      const event = vanished.session.vanished(vanished.partition.end);
      return event && { guest: vanished, event };
    }
    const guest = this.guests.find(({ session }) => session.hasEvents);
    const happened = guest ? { guest, event: guest.session.slice() } : this.runTurn();
    if (!happened?.event) return undefined;
    const { event } = happened;
    if (event.kind === 'handed-over') {
      this.goOnInMaker(happened.guest);
      return undefined;
    }
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
    const { session, partition, maker } = guest;
    // One that has the host for itself has no turns.
    const shares = this.guests.length > 1 || partition.timeShare < 100 || partition.grant.privileges.has('create-partitions');
    this.moving = guest;
    const wasIdle = session.idle;
    const event = session.slice(shares ? turn.until : undefined);
    this.moving = undefined;
    // Who waits for another one has to hear that this one waits, too.
    if (maker && session.idle && !wasIdle) maker.session.idle = false;
    if (shares && (session.idle || partition.now() >= turn.until)) this.host.endTurn(turn);
    return { guest, event };
  }

  /** A partition that has ended has no turns; its session has yet to say so when it was set moving all the same. */
  private runEnded(): { readonly guest: Guest; readonly event: SessionEvent | undefined } | undefined {
    const guest = this.guests.find(({ session }) => session.running);
    return guest && { guest, event: guest.session.slice() };
  }
}
