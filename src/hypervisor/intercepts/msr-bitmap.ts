/** MSRs that each range of a bitmap covers. */
const RANGE = 0x2000;
/** First MSRs of the ranges: VMX has the first two, SVM all three. */
const RANGES = [0, 0xc000_0000, 0xc001_0000] as const;
const VMX_RANGES = 2;
/** Bytes of one range's bits for one kind of access in VMX's page, and for both kinds in SVM's map. */
const VMX_PART = RANGE / 8;
const SVM_PART = RANGE / 4;
/** Bytes of VMX's page for one kind of access. */
const VMX_HALF = VMX_RANGES * VMX_PART;

/**
 * Which MSR accesses leave the guest: a bit for reads and one for writes of each MSR, set for those that do. An MSR outside the
 * ranges always leaves. VMX has a page of 4 KiB (reads low, reads high, writes low, writes high), SVM the MSRPM of 8 KiB with two
 * neighbouring bits an MSR.
 */
export class MsrBitmap {
  /** A bit for each MSR, as VMX has them; the third range follows. */
  private readonly reads: Uint8Array;
  private readonly writes: Uint8Array;

  private constructor(intercepted: boolean) {
    const fill = intercepted ? 0xff : 0;
    this.reads = new Uint8Array(RANGES.length * VMX_PART).fill(fill);
    this.writes = new Uint8Array(RANGES.length * VMX_PART).fill(fill);
  }

  /** No access to an MSR of the ranges leaves, or all do. */
  static filled(intercepted: boolean): MsrBitmap {
    return new MsrBitmap(intercepted);
  }

  /** From VMX's page: MSRs of SVM's third range always leave. */
  static fromPage(page: Uint8Array): MsrBitmap {
    const bitmap = new MsrBitmap(true);
    bitmap.reads.set(page.subarray(0, VMX_HALF));
    bitmap.writes.set(page.subarray(VMX_HALF, 2 * VMX_HALF));
    return bitmap;
  }

  /** From SVM's MSRPM. */
  static fromPermissionMap(map: Uint8Array): MsrBitmap {
    const bitmap = new MsrBitmap(false);
    for (let index = 0; index < bitmap.reads.length; index++) {
      const bits = (map[2 * index] ?? 0) | ((map[2 * index + 1] ?? 0) << 8);
      bitmap.reads[index] = gather(bits);
      bitmap.writes[index] = gather(bits >> 1);
    }
    return bitmap;
  }

  /** Sets what accesses to one MSR do. False: the MSR lies outside the ranges and leaves whatever one asks for. */
  set(msr: number, access: { readonly read?: boolean; readonly write?: boolean }): boolean {
    const index = indexOf(msr);
    if (index === undefined) return false;
    if (access.read !== undefined) put(this.reads, index, access.read);
    if (access.write !== undefined) put(this.writes, index, access.write);
    return true;
  }

  intercepts(msr: number, write: boolean): boolean {
    const index = indexOf(msr);
    if (index === undefined) return true;
    return (((write ? this.writes : this.reads)[index >> 3] ?? 0) & (1 << (index & 7))) !== 0;
  }

  /** VMX's page of 4 KiB. */
  toPage(): Uint8Array {
    const page = new Uint8Array(2 * VMX_HALF);
    page.set(this.reads.subarray(0, VMX_HALF));
    page.set(this.writes.subarray(0, VMX_HALF), VMX_HALF);
    return page;
  }

  /** SVM's MSRPM of 8 KiB; its last quarter belongs to no MSR. */
  toPermissionMap(): Uint8Array {
    const map = new Uint8Array(4 * SVM_PART).fill(0xff, RANGES.length * SVM_PART);
    for (let index = 0; index < this.reads.length; index++) {
      const bits = spread(this.reads[index] ?? 0) | (spread(this.writes[index] ?? 0) << 1);
      map[2 * index] = bits;
      map[2 * index + 1] = bits >> 8;
    }
    return map;
  }
}

/** Place of an MSR in the ranges, which follow each other. */
function indexOf(msr: number): number | undefined {
  const unsigned = msr >>> 0;
  const range = RANGES.findIndex((first) => unsigned >= first && unsigned < first + RANGE);
  return range < 0 ? undefined : range * RANGE + unsigned - (RANGES[range] ?? 0);
}

function put(bits: Uint8Array, index: number, isSet: boolean): void {
  const bit = 1 << (index & 7);
  const byte = bits[index >> 3] ?? 0;
  bits[index >> 3] = isSet ? byte | bit : byte & ~bit;
}

/** Puts the 8 bits of a byte at the even places of 16. */
function spread(byte: number): number {
  const nibbles = (byte | (byte << 4)) & 0x0f0f;
  const pairs = (nibbles | (nibbles << 2)) & 0x3333;
  return (pairs | (pairs << 1)) & 0x5555;
}

/** A byte of the bits at even places of 16. */
function gather(bits: number): number {
  const pairs = ((bits & 0x5555) | ((bits & 0x5555) >> 1)) & 0x3333;
  const nibbles = (pairs | (pairs >> 2)) & 0x0f0f;
  return (nibbles | (nibbles >> 4)) & 0xff;
}
