/** Something that the hypervisor did with a partition as a whole, or refused it. */
export interface HostEvent {
  readonly seq: number;
  /** Time of the host in ticks of 1 ns: where the partitions' turn began. */
  readonly time: bigint;
  /** 0: none, such as one that could not be made. */
  readonly partition: number;
  readonly kind: 'created' | 'ended' | 'memory-scrubbed' | 'destroyed' | 'refused';
  /** One sentence. */
  readonly text: string;
  /** Of a refusal: what it was about. */
  readonly subject?: string;
  /** How often it happened; refusals of one partition about one subject are one event, whose text is that of the first. */
  readonly count: number;
  /** Time and sentence of the last one. */
  readonly lastTime: bigint;
  readonly lastText: string;
}

type NewEvent = Pick<HostEvent, 'time' | 'partition' | 'kind' | 'text' | 'subject'>;

const KEPT = 1000;

/** What became of the partitions, the newest events last. No partition can push out what the journal says of others by asking often. */
export class HostJournal {
  private events: HostEvent[] = [];
  private count = 0;

  enter(event: NewEvent): void {
    const { time, text, partition, kind, subject } = event;
    if (kind === 'refused') {
      const index = this.events.findIndex(
        (other) => other.kind === kind && other.partition === partition && other.subject === subject,
      );
      const other = this.events[index];
      if (other) {
        this.events[index] = { ...other, count: other.count + 1, lastTime: time, lastText: text };
        return;
      }
    }
    this.events.push({ seq: ++this.count, ...event, count: 1, lastTime: time, lastText: text });
    if (this.events.length > KEPT) this.events.shift();
  }

  get latest(): readonly HostEvent[] {
    return this.events;
  }

  /** What was refused to a partition. */
  refusalsOf(partition: number): readonly HostEvent[] {
    return this.events.filter((event) => event.kind === 'refused' && event.partition === partition);
  }
}
