import type { LoadSegment } from '../program.ts';

/** Fixed pages below the stack that the 64-bit entry state uses; all within the first 640 KiB. */
export const LowPages = {
  GDT: 0x1000n,
  IDT: 0x2000n,
  /** 256 stubs of 16 bytes: the handlers of the IDT, which halt for good. */
  EXCEPTION_STUBS: 0x3000n,
  PML4: 0x9000n,
  PDPT: 0xa000n,
  /** Four page directories with 2 MiB pages: the first 4 GiB. */
  PAGE_DIRECTORIES: 0xb000n,
  STACK_TOP: 0x8_0000n,
} as const;

const PAGE_LARGE = 0x83n;
const PAGE_TABLE = 3n;

/** Values of 64 bits as they lie in memory. */
export function words(values: readonly bigint[]): Uint8Array {
  return new Uint8Array(BigUint64Array.from(values).buffer);
}

/** Bytes that are loaded at an address. */
export function segment(gpa: bigint, bytes: Uint8Array): LoadSegment {
  return { gpa, bytes, size: bytes.length };
}

/** Page tables that map the first 4 GiB to themselves, in pages of 2 MiB. */
export function identityMap(): readonly LoadSegment[] {
  const directories = words(Array.from({ length: 2048 }, (_, index) => (BigInt(index) << 21n) | PAGE_LARGE));
  const pdpt = words([0n, 1n, 2n, 3n].map((index) => (LowPages.PAGE_DIRECTORIES + index * 0x1000n) | PAGE_TABLE));
  return [
    segment(LowPages.PML4, words([LowPages.PDPT | PAGE_TABLE])),
    segment(LowPages.PDPT, pdpt),
    segment(LowPages.PAGE_DIRECTORIES, directories),
  ];
}
