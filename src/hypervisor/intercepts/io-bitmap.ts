/** Ports of the I/O space. */
const PORTS = 0x1_0000;
const PAGE = 0x1000;

/**
 * Which I/O ports leave the guest: a bit a port, set for those that do. VMX has it as two pages (I/O bitmap A for ports 0–7FFFh, B
 * for the rest), SVM as one area of 12 KiB, the IOPM, whose third page has the bits behind port FFFFh.
 */
export class IoBitmap {
  private constructor(private readonly bits: Uint8Array) {}

  /** No port leaves, or all do. */
  static filled(intercepted: boolean): IoBitmap {
    return new IoBitmap(new Uint8Array(PORTS / 8).fill(intercepted ? 0xff : 0));
  }

  /** From VMX's two pages of 4 KiB. */
  static fromPages(a: Uint8Array, b: Uint8Array): IoBitmap {
    const bits = new Uint8Array(PORTS / 8);
    bits.set(a.subarray(0, PAGE));
    bits.set(b.subarray(0, PAGE), PAGE);
    return new IoBitmap(bits);
  }

  /** From SVM's IOPM. */
  static fromPermissionMap(map: Uint8Array): IoBitmap {
    return new IoBitmap(map.slice(0, PORTS / 8));
  }

  /** Sets what accesses to ports do, `first` to `last` inclusive. */
  set(first: number, last: number, intercepted: boolean): void {
    for (let port = first; port <= last; port++) {
      const bit = 1 << (port & 7);
      const byte = this.bits[port >> 3] ?? 0;
      this.bits[port >> 3] = intercepted ? byte | bit : byte & ~bit;
    }
  }

  /**
   * Whether an access to `size` ports leaves: any of their bits is set, or the access wraps around at the end of the I/O space
   * (Intel SDM vol. 3, 26.1.3; for SVM the IOPM's third page is all ones here).
   */
  intercepts(port: number, size: number): boolean {
    if (port + size > PORTS) return true;
    for (let at = port; at < port + size; at++) if ((this.bits[at >> 3] ?? 0) & (1 << (at & 7))) return true;
    return false;
  }

  /** I/O bitmap A and I/O bitmap B. */
  toPages(): readonly [a: Uint8Array, b: Uint8Array] {
    return [this.bits.slice(0, PAGE), this.bits.slice(PAGE)];
  }

  /** The IOPM: 12 KiB. */
  toPermissionMap(): Uint8Array {
    const map = new Uint8Array(3 * PAGE).fill(0xff);
    map.set(this.bits);
    return map;
  }
}
