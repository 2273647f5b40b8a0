import { DmaError, type DmaMemory } from '../../devices/dma.ts';
import { hex } from '../../x86/address.ts';
import { GPA_BITS } from './host-place.ts';
import type { PageState } from './page-word.ts';
import type { SecondLevelMap } from './second-level-map.ts';

const WHAT_IS_THERE: Readonly<Record<Exclude<PageState, 'present' | 'unbacked' | 'paged-out'>, string>> = {
  mmio: 'no RAM is there',
  ballooned: 'the guest gave that page back',
  misconfigured: 'the second-level entry of that page is misconfigured',
};

/**
 * The RAM of a partition as its devices reach it: through the hypervisor's own mapping, so that rights of the second level don't count,
 * but only where a page has memory or gets it (back) by being touched. Nothing is given back behind the guest's back: a page that it ballooned stays
 * away until it deflates the balloon.
 */
export class DeviceMemory implements DmaMemory {
  /** A page without memory reads as the zeroes that it would get. */
  readonly forLooking: DmaMemory = {
    covers: (gpa, length) => this.covers(gpa, length),
    read: (gpa, length) => {
      this.check(gpa, length, false);
      return this.map.memory.read(gpa, length);
    },
    write: () => {
      throw new Error('memory that is only looked at was to be written');
    },
  };

  constructor(private readonly map: SecondLevelMap) {}

  covers(gpa: bigint, length: number): boolean {
    if (gpa + BigInt(length) > 1n << GPA_BITS) return false;
    for (let done = 0; done < length; ) {
      const place = this.map.memory.locate(gpa + BigInt(done));
      if (!place) return false;
      done += place.available;
    }
    return true;
  }

  read(gpa: bigint, length: number): Uint8Array {
    this.check(gpa, length);
    return this.map.memory.read(gpa, length);
  }

  write(gpa: bigint, bytes: Uint8Array): void {
    this.check(gpa, bytes.length);
    this.map.memory.write(gpa, bytes);
  }

  private check(gpa: bigint, length: number, isTouched = true): void {
    const end = gpa + BigInt(length);
    for (let at = gpa; at < end; at = (at & ~0xfffn) + 0x1000n) {
      const state = at >> GPA_BITS === 0n ? this.map.stateAt(at) : 'mmio';
      // A page that nobody promised to leave alone gets memory, as the VMM's own access would give it.
      if (state === 'unbacked') {
        if (isTouched) this.map.deflate(at & ~0xfffn, 0x1000n);
      } else if (state === 'paged-out') {
        if (isTouched) this.map.pageIn(at);
      } else if (state !== 'present')
        throw new DmaError(`${hex(length)} bytes at ${hex(gpa)} can't be reached: at ${hex(at)} ${WHAT_IS_THERE[state]}`);
    }
  }
}
