/** Something that the hypervisor did with a partition as a whole. */
export interface HostEvent {
  readonly seq: number;
  /** Time of the host in ticks of 1 ns: where the partitions' turn began. */
  readonly time: bigint;
  readonly partition: number;
  readonly kind: 'created' | 'ended' | 'memory-scrubbed' | 'destroyed';
  /** One sentence. */
  readonly text: string;
}

const KEPT = 1000;

/** What became of the partitions, the newest events last. */
export class HostJournal {
  private events: HostEvent[] = [];
  private count = 0;

  enter(event: Omit<HostEvent, 'seq'>): void {
    this.events.push({ seq: ++this.count, ...event });
    if (this.events.length > KEPT) this.events.shift();
  }

  get latest(): readonly HostEvent[] {
    return this.events;
  }
}
