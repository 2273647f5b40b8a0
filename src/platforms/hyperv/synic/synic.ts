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
   * Puts a message into the slot of an interrupt source (0 to 15) of a vCPU, or into its queue where the slot is full. Gives a status of
   * abi/status.ts: INSUFFICIENT_BUFFERS where the queue is full, too; INVALID_SYNIC_STATE where the vCPU's is off.
   */
  post(vcpu: number, source: number, message: SynicMessage): number;
  /** Sets a flag (0 to 2047) of an interrupt source in a vCPU's event page. Gives a status: INVALID_SYNIC_STATE where that is off or masked. */
  signal(vcpu: number, source: number, flag: number): number;
}
