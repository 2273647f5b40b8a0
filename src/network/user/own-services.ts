import type { FlowKind, Outside, OutsideEvent } from '../outside.ts';
import { joined, NO_BYTES } from '../packets/bytes.ts';
import { answerHttp } from './http-answer.ts';

/** Services that a user network has of its own. They are reached as those outside are, by numbers that are no ports. */
export const OwnService = { ECHO: 0x1_0007, HTTP: 0x1_0050 } as const;

/** A conversation with an own service, as plain data. */
export interface OwnConversation {
  readonly flow: number;
  readonly kind: FlowKind;
  readonly service: number;
  /** What the guest sent and wasn't answered yet. */
  readonly asked: Uint8Array;
  /** HTTP: the head of the answer, and the file that follows; both once the request is there. */
  readonly head?: Uint8Array;
  readonly file?: string;
  /** Bytes of the answer that were sent. */
  readonly sent: number;
  /** The guest takes more. */
  readonly isFlowing: boolean;
  /** The guest sends no more. */
  readonly isFinished: boolean;
  readonly isOver: boolean;
}

const LONGEST_REQUEST = 8192;
/** Bytes of an answer that are handed over at once. */
const PIECE = 16 * 1024;

/**
 * Serves what a user network has of its own, by guest time alone: a run with it needs nothing of the world outside, and is the same each
 * time. All others go on outside. What comes of calls waits for {@link pump}, since they come from the midst of TCP.
 */
export class OwnServices implements Outside {
  private readonly conversations = new Map<number, OwnConversation>();
  private events: OutsideEvent[] = [];

  /** `files`: what HTTP serves, by names without a slash. */
  constructor(
    private readonly outside: Outside,
    private readonly files: ReadonlyMap<string, Uint8Array>,
  ) {}

  /** Streams that lead to own services. */
  get streams(): number {
    return [...this.conversations.values()].filter(({ kind }) => kind === 'tcp').length;
  }

  open(flow: number, kind: FlowKind, port: number): void {
    if (port <= 0xffff) {
      this.outside.open(flow, kind, port);
      return;
    }
    const fresh = { asked: NO_BYTES, sent: 0, isFlowing: true, isFinished: false, isOver: false };
    this.conversations.set(flow, { flow, kind, service: port, ...fresh });
    if (kind === 'tcp') this.events.push({ kind: 'connected', flow });
  }

  send(flow: number, bytes: Uint8Array): void {
    const found = this.conversations.get(flow);
    if (found === undefined) this.outside.send(flow, bytes);
    else if (found.kind === 'udp') this.events.push({ kind: 'data', flow, bytes });
    else this.conversations.set(flow, { ...found, asked: joined(found.asked, bytes) });
  }

  finish(flow: number): void {
    const found = this.conversations.get(flow);
    if (found === undefined) this.outside.finish(flow);
    else this.conversations.set(flow, { ...found, isFinished: true });
  }

  close(flow: number): void {
    if (!this.conversations.delete(flow)) this.outside.close(flow);
  }

  setFlowing(flow: number, isFlowing: boolean): void {
    const found = this.conversations.get(flow);
    if (found === undefined) this.outside.setFlowing(flow, isFlowing);
    else this.conversations.set(flow, { ...found, isFlowing });
  }

  /** Hands over what has come of calls, until the guest has to take some of it first. */
  pump(happened: (event: OutsideEvent) => void): void {
    for (let isMoving = true; isMoving; ) {
      const events = this.events;
      this.events = [];
      isMoving = events.length > 0;
      for (const event of events) happened(event);
      for (const flow of [...this.conversations.keys()]) {
        const step = this.step(flow);
        if (step === undefined) continue;
        isMoving = true;
        for (const event of step) happened(event);
      }
    }
  }

  /** Goes on with a conversation; undefined where there is nothing to do. */
  private step(flow: number): readonly OutsideEvent[] | undefined {
    const found = this.conversations.get(flow);
    if (found === undefined || found.kind === 'udp' || found.isOver) return undefined;
    const next = found.service === OwnService.ECHO ? echo(found) : this.serveHttp(found);
    if (next === undefined) return undefined;
    const { taken = 0, data = NO_BYTES, ...change } = next;
    this.conversations.set(flow, { ...found, ...change });
    const events: OutsideEvent[] = [];
    if (taken > 0) events.push({ kind: 'taken', flow, count: taken });
    if (data.length > 0) events.push({ kind: 'data', flow, bytes: data });
    if (change.isOver) events.push({ kind: 'finished', flow });
    return events;
  }

  /** One request for each connection, and the answer. */
  private serveHttp({ asked, head, file, sent, isFinished, isFlowing }: OwnConversation): Step | undefined {
    if (head === undefined) {
      const answer = answerHttp(asked, this.files, isFinished || asked.length > LONGEST_REQUEST);
      return answer && { ...answer, asked: NO_BYTES, taken: asked.length };
    }
    if (asked.length > 0) return { asked: NO_BYTES, taken: asked.length };
    if (!isFlowing) return undefined;
    const body = (file === undefined ? undefined : this.files.get(file)) ?? NO_BYTES;
    const from = sent - head.length;
    const data = from < 0 ? head.slice(sent) : body.slice(from, from + PIECE);
    return { data, sent: sent + data.length, isOver: sent + data.length >= head.length + body.length };
  }

  reset(): void {
    this.conversations.clear();
    this.events = [];
  }
  save(): readonly OwnConversation[] {
    return [...this.conversations.values()];
  }
  restore(conversations: readonly OwnConversation[]): void {
    this.reset();
    for (const conversation of conversations) this.conversations.set(conversation.flow, conversation);
  }
}

/** What becomes of a conversation: bytes of the guest's that were taken, bytes for it, and what is different. */
type Step = Partial<OwnConversation> & { readonly taken?: number; readonly data?: Uint8Array };

/** Echo (RFC 862): what comes goes back. */
function echo({ asked, isFlowing, isFinished }: OwnConversation): Step | undefined {
  if (asked.length === 0) return isFinished ? { isOver: true } : undefined;
  if (!isFlowing) return undefined;
  const data = asked.slice(0, PIECE);
  return { data, taken: data.length, asked: asked.slice(data.length) };
}
