import type { Handler } from '../../../stages/stage.ts';

/** A message that a guest posts to a connection (HvCallPostMessage). */
export interface PostedMessage {
  readonly type: number;
  /** Up to 240 bytes. */
  readonly payload: Uint8Array;
}

/** What every connection may have. */
export interface Connection {
  /** It is about to signal by itself, whatever its partition does. */
  readonly willSignal?: boolean;
  /** It was disconnected, or its partition is there no more. */
  disconnected?(): void;
}

/** What is at the other end of a connection for messages: a port of another partition, or of the parent's virtualization stack. */
export interface MessageTarget extends Connection {
  readonly kind: 'message';
  /** Who of the parent partition takes it, for the journal: `vmbusr.sys`. Missing where the hypervisor does. */
  readonly server?: string;
  /** Takes a message; gives a status of abi/status.ts. */
  post(message: PostedMessage): number;
  postInStages(message: PostedMessage): Handler<number>;
}

/** The same for events (HvCallSignalEvent). */
export interface EventTarget extends Connection {
  readonly kind: 'event';
  /** Who of the parent partition takes it, for the journal: `vmswitch.sys netvsp`. Missing where the hypervisor does. */
  readonly server?: string;
  /** Sets a flag, relative to the port's first; gives a status of abi/status.ts. */
  signal(flag: number): number;
  signalInStages(flag: number): Handler<number>;
}

/** What nobody can post or signal to: writes of the partition are its use. */
export interface PassiveTarget extends Connection {
  readonly kind: 'doorbell' | 'monitor';
}

export type ConnectionTarget = MessageTarget | EventTarget | PassiveTarget;

/** Connections that a guest can make; what is offered over the VMBus needs far fewer. */
const MOST_CONNECTIONS = 4096;

/** The connections of a partition by their numbers, of 24 bits. */
export class Connections {
  private readonly targets = new Map<number, ConnectionTarget>();

  get(id: number): ConnectionTarget | undefined {
    return this.targets.get(id);
  }
  /** False where the number is in use. */
  connect(id: number, target: ConnectionTarget): boolean {
    if (this.targets.has(id)) return false;
    this.targets.set(id, target);
    return true;
  }
  get isFull(): boolean {
    return this.targets.size >= MOST_CONNECTIONS;
  }
  disconnect(id: number): boolean {
    const target = this.targets.get(id);
    this.targets.delete(id);
    target?.disconnected?.();
    return target !== undefined;
  }
  get all(): ReadonlyMap<number, ConnectionTarget> {
    return this.targets;
  }
  /** One of them is about to signal by itself. */
  get willSignal(): boolean {
    for (const { willSignal } of this.targets.values()) if (willSignal) return true;
    return false;
  }
  clear(): void {
    for (const id of [...this.targets.keys()]) this.disconnect(id);
  }
}
