import { GPA_BITS } from '../../../hypervisor/second-level/host-place.ts';
import { hex } from '../../../x86/address.ts';
import { DOORBELL_SIZES, DoorbellFlag } from '../abi/synic.ts';

/** Which writes of a partition ring a doorbell. */
export interface DoorbellMatch {
  /** Guest physical address in the partition that rings. */
  readonly gpa: bigint;
  /** Bytes of the write; 0 for any number. */
  readonly size: (typeof DOORBELL_SIZES)[number];
  /** What is written, zero-extended; undefined for anything. */
  readonly value: bigint | undefined;
}

const PAGE_OFFSET = 0xfffn;

/** Reads what a connection to a doorbell has (TLFS, HV_CONNECTION_INFO); a sentence's end says what is wrong with it. */
export function doorbellMatch(view: DataView): DoorbellMatch | string {
  const gpa = view.getBigUint64(0, true);
  const flags = view.getBigUint64(16, true);
  const size = DOORBELL_SIZES[Number(flags & DoorbellFlag.SIZE)];
  if (size === undefined || (flags & ~(DoorbellFlag.SIZE | DoorbellFlag.ANY_VALUE)) !== 0n)
    return `a doorbell has no flags ${hex(flags)}`;
  if (gpa >> GPA_BITS !== 0n) return `${hex(gpa)} is no guest physical address`;
  if ((gpa & PAGE_OFFSET) + BigInt(size) > PAGE_OFFSET + 1n)
    return `a write of ${size} bytes at ${hex(gpa)} ends in another page`;
  return { gpa, size, value: (flags & DoorbellFlag.ANY_VALUE) === 0n ? view.getBigUint64(8, true) : undefined };
}

/** `writes of 4 bytes, value 0x1, at 0xfeb00000`. */
export function describeMatch({ gpa, size, value }: DoorbellMatch): string {
  const bytes = size === 0 ? 'any size' : size === 1 ? '1 byte' : `${size} bytes`;
  return `writes of ${bytes}${value === undefined ? '' : `, value ${hex(value)}`}, at ${hex(gpa)}`;
}
