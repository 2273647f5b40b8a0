import type { MessageBuffers } from './message-queue.ts';

/** A message as it is put into a slot of a vCPU's message page (TLFS, HV_MESSAGE). */
export interface SynicMessage {
  readonly type: number;
  /** Who sent it: a partition's number (intercepts), or a port's (posted messages). */
  readonly sender: bigint;
  /** Up to 240 bytes. */
  readonly payload: Uint8Array;
}

/** The synthetic interrupt controllers of a partition's vCPUs, as what sends interrupts to them sees them. */
export interface Synic {
  /**
   * Puts a message into the slot of an interrupt source (0 to 15) of a vCPU (or of any that can take it: ANY_VP), or into its queue
   * where the slot is full. It takes one of `buffers` until it is in the slot; of 16 that the source has for senders without a port
   * when missing. Gives a status of abi/status.ts: INSUFFICIENT_BUFFERS where none is free, INVALID_SYNIC_STATE where the vCPU's SynIC
   * or message page is off.
   */
  post(vcpu: number, source: number, message: SynicMessage, buffers?: MessageBuffers): number;
  /**
   * Sets a flag (0 to 2047) of an interrupt source in a vCPU's event page. Gives a status: INVALID_SYNIC_STATE where that is off or the
   * source is masked.
   */
  signal(vcpu: number, source: number, flag: number): number;
  /**
   * Writes the number of a port into the event ring of an interrupt source of a vCPU, and remembers it where there is no room. Gives a
   * status: INVALID_SYNIC_STATE where the ring's page is off or the source is masked.
   */
  tell(vcpu: number, source: number, port: number): number;
  /** A vCPU has emptied that ring: ports that had no room go in. Gives a status, as `tell` does. */
  ringEmptied(vcpu: number, source: number): number;
  /** How many ports wait for room there. */
  waitsForRing(vcpu: number, source: number): number;
  /** A port is there no more: it waits for no ring. */
  forgetPort(port: number): void;
  /** Takes back the messages in these buffers that are still queued. */
  withdraw(buffers: MessageBuffers): void;
  /** Calls back when a message without a port has left the queue of a source: who was told INSUFFICIENT_BUFFERS may try again. */
  onRoom(listener: (vcpu: number, source: number) => void): void;
}
