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

type NewEvent = Pick<HostEvent, 'time' | 'partition' | 'kind' | 'text'>;

const KEPT = 1000;

/** Refusals of one partition about one subject: a guest can ask a million times, so the text is made when it is read. */
class RepeatedRefusal implements HostEvent {
  readonly kind = 'refused';
  readonly text: string;
  count = 1;

  constructor(
    readonly seq: number,
    readonly time: bigint,
    readonly partition: number,
    readonly subject: string,
    private last: () => string,
    public lastTime = time,
  ) {
    this.text = last();
  }

  get lastText(): string {
    return this.last();
  }

  again(time: bigint, text: () => string): void {
    this.count++;
    this.lastTime = time;
    this.last = text;
  }
}

/** What became of the partitions, the newest events last. No partition can push out what the journal says of others by asking often. */
export class HostJournal {
  private events: HostEvent[] = [];
  private count = 0;
  private readonly listeners: ((event: HostEvent) => void)[] = [];

  /** Told of the first refusal of each partition about each subject: those that follow are only counted. */
  onRefusal(listener: (event: HostEvent) => void): void {
    this.listeners.push(listener);
  }

  enter(event: NewEvent): void {
    this.add({ seq: ++this.count, ...event, count: 1, lastTime: event.time, lastText: event.text });
  }

  /** Enters what a partition asked for in vain, 0 for one that could not be made. */
  refuse(time: bigint, partition: number, subject: string, text: () => string): void {
    const isSame = (event: HostEvent) =>
      event instanceof RepeatedRefusal && event.partition === partition && event.subject === subject;
    const before = this.events.find(isSame);
    if (before instanceof RepeatedRefusal) {
      before.again(time, text);
      return;
    }
    const event = new RepeatedRefusal(++this.count, time, partition, subject, text);
    this.add(event);
    for (const listener of this.listeners) listener(event);
  }

  private add(event: HostEvent): void {
    this.events.push(event);
    if (this.events.length > KEPT) this.events.shift();
  }

  /** Enters before all else what became of the partitions of a run before, which were destroyed. */
  follow(before: HostJournal): void {
    const endings = before.events.filter(({ kind }) => kind === 'memory-scrubbed' || kind === 'destroyed');
    const told = endings.map(({ text, ...event }) => {
      const sentence = `Of the run before: ${text}`;
      return { ...event, seq: ++this.count, text: sentence, lastText: sentence };
    });
    this.events.unshift(...told);
    this.events.splice(0, Math.max(0, this.events.length - KEPT));
  }

  get latest(): readonly HostEvent[] {
    return this.events;
  }

  /** What was refused to a partition. */
  refusalsOf(partition: number): readonly HostEvent[] {
    return this.events.filter((event) => event.kind === 'refused' && event.partition === partition);
  }
}
