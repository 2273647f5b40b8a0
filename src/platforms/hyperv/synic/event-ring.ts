import { RING_ENTRIES, Ring, SLOT_SIZE } from '../abi/synic.ts';
import type { OverlayPage } from '../overlay/overlays.ts';

/**
 * The ring of one interrupt source in a vCPU's event ring page (Linux, hv_synic_event_ring): the hypervisor writes numbers of ports into it,
 * the guest takes them out in the same order, and says so with a 0.
 *
 * The hypervisor masks the signal when it interrupts: the guest, which looks until the ring is empty, has it unmasked then and looks once more.
 */
export class EventRing {
  /** Entry that is written next. */
  private next = 0;
  /** Ports that the ring had no room for, each once. */
  private readonly waiting = new Set<number>();
  private readonly at: number;

  constructor(
    private readonly page: Pick<OverlayPage, 'read' | 'write'>,
    source: number,
  ) {
    this.at = source * SLOT_SIZE;
  }

  /** Begins anew, with nothing in it. */
  restart(): void {
    this.next = 0;
    this.waiting.clear();
    this.page.write(this.at, new Uint8Array(SLOT_SIZE));
  }

  /** Tells of a port, now or when there is room. True where the guest is to be interrupted. */
  tell(port: number): boolean {
    this.waiting.add(port);
    return this.refill();
  }

  /** Writes what waits as far as there is room. True where the guest is to be interrupted. */
  refill(): boolean {
    if (this.waiting.size === 0) return false;
    for (const port of this.waiting) {
      if (this.entry(this.next) !== 0) break;
      this.setEntry(this.next, port);
      this.next = (this.next + 1) % RING_ENTRIES;
      this.waiting.delete(port);
    }
    if (this.waiting.size > 0) this.page.write(this.at + Ring.FULL, Uint8Array.of(1));
    if (this.isSignalMasked) return false;
    this.page.write(this.at + Ring.SIGNAL_MASKED, Uint8Array.of(1));
    return true;
  }

  /** A port is there no more. What is in the ring of it stays. */
  forget(port: number): void {
    this.waiting.delete(port);
  }

  /** How many ports wait for room. */
  get waits(): number {
    return this.waiting.size;
  }
  get isSignalMasked(): boolean {
    return this.page.read(this.at + Ring.SIGNAL_MASKED, 1)[0] !== 0;
  }
  /** Ports that the guest has not taken out, in their order. */
  get ports(): readonly number[] {
    return Array.from({ length: RING_ENTRIES }, (_, index) => this.entry((this.next + index) % RING_ENTRIES)).filter(
      (port) => port !== 0,
    );
  }

  private entry(index: number): number {
    const bytes = this.page.read(this.at + Ring.ENTRIES + index * 4, 4);
    return new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);
  }
  private setEntry(index: number, port: number): void {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, port, true);
    this.page.write(this.at + Ring.ENTRIES + index * 4, bytes);
  }
}
