import type { GuestWords } from './guest-words.ts';

/** Bytes of a descriptor, in both kinds of rings. */
export const DESCRIPTOR_SIZE = 16;

/** Flags of descriptors (virtio 1.2, 2.7.5 and 2.8.1). AVAILABLE and USED are those of packed rings. */
export const DescriptorFlag = { NEXT: 1, WRITE: 2, INDIRECT: 4, AVAILABLE: 0x80, USED: 0x8000 } as const;

/** A descriptor as the driver wrote it. */
export interface Descriptor {
  readonly gpa: bigint;
  readonly length: number;
  readonly flags: number;
  /** Split ring: number of the next descriptor. Packed ring: the buffer's id. */
  readonly link: number;
}

/** Is told of a descriptor that a walk meets, with its place in the ring or in an indirect table. */
export type SeeDescriptor = (descriptor: Descriptor, index: number, isIndirect: boolean) => void;

/** Names of the flags of a descriptor. */
export function flagNames(flags: number): readonly string[] {
  return Object.entries(DescriptorFlag).flatMap(([name, bit]) => (flags & bit ? [name] : []));
}

/** Reads a descriptor of a split ring: address, length, flags, next. */
export function readSplitDescriptor(words: GuestWords, table: bigint, index: number): Descriptor {
  const view = words.view(table + BigInt(index * DESCRIPTOR_SIZE), DESCRIPTOR_SIZE);
  return {
    gpa: view.getBigUint64(0, true),
    length: view.getUint32(8, true),
    flags: view.getUint16(12, true),
    link: view.getUint16(14, true),
  };
}

/** Reads a descriptor of a packed ring: address, length, id, flags. */
export function readPackedDescriptor(words: GuestWords, table: bigint, index: number): Descriptor {
  const view = words.view(table + BigInt(index * DESCRIPTOR_SIZE), DESCRIPTOR_SIZE);
  return {
    gpa: view.getBigUint64(0, true),
    length: view.getUint32(8, true),
    flags: view.getUint16(14, true),
    link: view.getUint16(12, true),
  };
}
