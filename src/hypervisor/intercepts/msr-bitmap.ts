/** MSRs that each range of a bitmap covers. */
const RANGE = 0x2000;
/** First MSRs of the ranges: VMX has the first two, SVM all three. */
const RANGES = [0, 0xc000_0000, 0xc001_0000] as const;
const VMX_RANGES = 2;
/** Bytes of one range's bits for one kind of access in VMX's page, and for both kinds in SVM's map. */
const VMX_PART = RANGE / 8;
const SVM_PART = RANGE / 4;

/**
 * Which MSR accesses leave the guest: a bit for reads and one for writes of each MSR, set for those that do. An MSR outside the
 * ranges always leaves. VMX has a page of 4 KiB (reads low, reads high, writes low, writes high), SVM the MSRPM of 8 KiB with two
 * neighbouring bits an MSR.
 */
export class MsrBitmap {
  private readonly reads: Uint8Array;
  private readonly writes: Uint8Array;

  private constructor(intercepted: boolean) {
    const fill = intercepted ? 1 : 0;
    this.reads = new Uint8Array(RANGES.length * RANGE).fill(fill);
    this.writes = new Uint8Array(RANGES.length * RANGE).fill(fill);
  }

  /** No access to an MSR of the ranges leaves, or all do. */
  static filled(intercepted: boolean): MsrBitmap {
    return new MsrBitmap(intercepted);
  }

  /** From VMX's page: MSRs of SVM's third range always leave. */
  static fromPage(page: Uint8Array): MsrBitmap {
    const bitmap = new MsrBitmap(true);
    for (let index = 0; index < VMX_RANGES * RANGE; index++) {
      const bit = (at: number) => ((page[at + (index >> 3)] ?? 0) >> (index & 7)) & 1;
      bitmap.reads[index] = bit(0);
      bitmap.writes[index] = bit(VMX_RANGES * VMX_PART);
    }
    return bitmap;
  }

  /** From SVM's MSRPM. */
  static fromPermissionMap(map: Uint8Array): MsrBitmap {
    const bitmap = new MsrBitmap(false);
    for (let index = 0; index < RANGES.length * RANGE; index++) {
      const bits = (map[index >> 2] ?? 0) >> ((index & 3) * 2);
      bitmap.reads[index] = bits & 1;
      bitmap.writes[index] = (bits >> 1) & 1;
    }
    return bitmap;
  }

  /** Sets what accesses to one MSR do. False: the MSR lies outside the ranges and leaves whatever one asks for. */
  set(msr: number, access: { readonly read?: boolean; readonly write?: boolean }): boolean {
    const index = indexOf(msr);
    if (index === undefined) return false;
    if (access.read !== undefined) this.reads[index] = access.read ? 1 : 0;
    if (access.write !== undefined) this.writes[index] = access.write ? 1 : 0;
    return true;
  }

  intercepts(msr: number, write: boolean): boolean {
    const index = indexOf(msr);
    return index === undefined || (write ? this.writes : this.reads)[index] === 1;
  }

  /** VMX's page of 4 KiB. */
  toPage(): Uint8Array {
    const page = new Uint8Array(2 * VMX_RANGES * VMX_PART);
    for (let index = 0; index < VMX_RANGES * RANGE; index++) {
      const put = (at: number, bit: number | undefined) => {
        page[at + (index >> 3)] = (page[at + (index >> 3)] ?? 0) | ((bit ?? 0) << (index & 7));
      };
      put(0, this.reads[index]);
      put(VMX_RANGES * VMX_PART, this.writes[index]);
    }
    return page;
  }

  /** SVM's MSRPM of 8 KiB; its last quarter belongs to no MSR. */
  toPermissionMap(): Uint8Array {
    const map = new Uint8Array(4 * SVM_PART).fill(0xff, RANGES.length * SVM_PART);
    for (let index = 0; index < RANGES.length * RANGE; index++) {
      const bits = (this.reads[index] ?? 0) | ((this.writes[index] ?? 0) << 1);
      map[index >> 2] = (map[index >> 2] ?? 0) | (bits << ((index & 3) * 2));
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
