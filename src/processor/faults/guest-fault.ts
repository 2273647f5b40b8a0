import type { GuestEvent } from '../events/deliver.ts';

/** Exception vectors of the architecture (Intel SDM vol. 3, table 7-1). */
export const Vector = {
  DE: 0,
  DB: 1,
  NMI: 2,
  BP: 3,
  OF: 4,
  BR: 5,
  UD: 6,
  NM: 7,
  DF: 8,
  TS: 10,
  NP: 11,
  SS: 12,
  GP: 13,
  PF: 14,
  MF: 16,
  AC: 17,
  MC: 18,
  XM: 19,
  VE: 20,
  CP: 21,
} as const;

/**
 * An exception that the guest's instruction raises. Code of the processor throws it with the vCPU's state still as it was
 * before the instruction; the run loop catches it and delivers it to the guest (or hands it to who intercepts it). It is
 * thrown but no Error: recording a stack would cost more than the delivery.
 */
export class GuestFault {
  /** The event whose delivery raised it. */
  during: GuestEvent | undefined;
  /** IRET raised it when it had ended the blocking of NMIs. */
  unblockedNmis = false;

  constructor(
    readonly vector: number,
    /** Present exactly for the vectors that push one. */
    readonly errorCode?: number,
    /** The linear address that goes to CR2, for #PF only. */
    readonly linearAddress?: bigint,
    /** The DR6 bits to set, for #DB only. */
    readonly dr6?: bigint,
  ) {}
}

/** Vectors that push an error code (#VMM and #SX are AMD's; Intel SDM vol. 3, 7.13). */
export function pushesErrorCode(vector: number): boolean {
  return [8, 10, 11, 12, 13, 14, 17, 21, 29, 30].includes(vector);
}
