/**
 * Guest physical memory as a device reaches it by itself (DMA). Addresses and lengths come from the guest and may be anything; lengths
 * are not negative.
 */
export interface DmaMemory {
  /** Whether a range is RAM from its first byte to its last, whatever its pages are just now. Cheap for any length. */
  covers(gpa: bigint, length: number): boolean;
  /** A copy of a range. Throws DmaError, before anything else is done, where a page of it has no memory. */
  read(gpa: bigint, length: number): Uint8Array;
  /** Writes all of it; decoded code and the dirty log learn of it. Throws DmaError, with nothing written, as `read` does. */
  write(gpa: bigint, bytes: Uint8Array): void;
  /** The same memory for who only looks at it: no page gets memory by being read, and writing throws. Missing where reading changes nothing anyway. */
  readonly forLooking?: DmaMemory;
}

/** A device was told to reach guest physical memory that isn't there. The message is the end of a sentence: where, and what is there. */
export class DmaError extends Error {}
