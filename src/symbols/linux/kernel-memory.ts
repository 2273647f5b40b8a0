import type { MemoryReader } from '../symbol-source.ts';

/** Reads guest physical memory without side effects; fewer bytes where there is no RAM. */
export type PhysicalReader = (gpa: bigint, length: number) => Uint8Array;

/** Linear addresses of a kernel's image (`end` is exclusive), and where it begins in guest physical memory. */
export interface ImagePlace {
  readonly start: bigint;
  readonly end: bigint;
  readonly gpa: bigint;
}

/** Where the kernel's half of the address space begins. */
export const KERNEL_HALF = 0xffff_8000_0000_0000n;

const PRESENT = 1n;
const LARGE = 0x80n;
const FRAME = 0xf_ffff_ffff_f000n;
const PAGE = 4096n;
/** No string or structure that is read here is longer. */
const LONGEST_READ = 16 << 20;

/**
 * The kernel's half of the address space, by page tables of the kernel itself: it can be read in user mode, too, where the tables that
 * the processor uses may lack it (page table isolation). Integers are little-endian; undefined where memory can't be read.
 */
export class KernelMemory {
  /** `root`: linear address of the topmost of four tables (Intel SDM vol. 3, 4.5), in the kernel's image. */
  constructor(
    private readonly physical: PhysicalReader,
    private readonly image: ImagePlace,
    private readonly root: bigint,
  ) {}

  readonly read: MemoryReader = (address, length) => {
    if (!(length >= 0) || length > LONGEST_READ) return undefined;
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const at = BigInt.asUintN(64, address + BigInt(done));
      const gpa = this.translate(at);
      if (gpa === undefined) return undefined;
      const count = Math.min(length - done, Number(PAGE - (at & (PAGE - 1n))));
      const part = this.physical(gpa, count);
      if (part.length < count) return undefined;
      bytes.set(part, done);
      done += count;
    }
    return bytes;
  };

  /** Guest physical address of a linear one. */
  translate(address: bigint): bigint | undefined {
    const { start, end, gpa } = this.image;
    // The image lies in one piece, and can be read before the kernel has set its tables up.
    if (address >= start && address < end) return address - start + gpa;
    let table = this.root - start + gpa;
    for (let level = 4; level > 0; level--) {
      const shift = BigInt(12 + 9 * (level - 1));
      const entry = integer(this.physical(table + ((address >> shift) & 0x1ffn) * 8n, 8), 8);
      if (entry === undefined || (entry & PRESENT) === 0n) return undefined;
      const isPage = level === 1 || (level < 4 && (entry & LARGE) !== 0n);
      const span = 1n << shift;
      if (isPage) return (entry & FRAME & -span) | (address & (span - 1n));
      table = entry & FRAME;
    }
    return undefined;
  }

  u32(address: bigint): number | undefined {
    const value = integer(this.read(address, 4), 4);
    return value === undefined ? undefined : Number(value);
  }
  i32(address: bigint): number | undefined {
    const value = this.u32(address);
    return value === undefined ? undefined : value | 0;
  }
  u64(address: bigint): bigint | undefined {
    return integer(this.read(address, 8), 8);
  }

  /** Text up to a zero byte or `most` bytes, as Latin-1; what ends with its page is no error. */
  text(address: bigint, most: number): string | undefined {
    let text = '';
    for (let at = address; text.length < most; ) {
      const count = Math.min(most - text.length, Number(PAGE - (at & (PAGE - 1n))));
      const bytes = this.read(at, count);
      if (!bytes) return text === '' ? undefined : text;
      const zero = bytes.indexOf(0);
      text += String.fromCharCode(...(zero < 0 ? bytes : bytes.subarray(0, zero)));
      if (zero >= 0) return text;
      at += BigInt(count);
    }
    return text;
  }
}

function integer(bytes: Uint8Array | undefined, size: 4 | 8): bigint | undefined {
  if (!bytes || bytes.length < size) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, size);
  return size === 8 ? view.getBigUint64(0, true) : BigInt(view.getUint32(0, true));
}
