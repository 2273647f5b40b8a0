import type { SecondLevelMap } from '../../../hypervisor/second-level/second-level-map.ts';

const PAGE = 0x1000;

/**
 * Bytes of a partition's memory that lie in small holes of its RAM, such as the display window of a PC, where nothing is kept: they become
 * RAM for overlay pages at addresses that have none.
 */
export class SpareMemory {
  /** Offsets of pages that are lent out, by the address that they are RAM of. */
  private readonly lent = new Map<bigint, number>();

  constructor(private readonly map: SecondLevelMap) {}

  /** Makes a page RAM. False when nothing is left. */
  lend(gpa: bigint): boolean {
    const offset = this.freePage();
    if (offset === undefined) return false;
    this.map.addRam({ gpa, offset, length: PAGE });
    this.lent.set(gpa, offset);
    return true;
  }

  /** Undoes {@link lend}; does nothing about other addresses. */
  giveBack(gpa: bigint): void {
    if (!this.lent.delete(gpa)) return;
    this.map.memory.write(gpa, new Uint8Array(PAGE), 'owner');
    this.map.removeRam(gpa);
  }

  private freePage(): number | undefined {
    const inUse = [...this.map.memory.regions].sort((a, b) => a.offset - b.offset);
    let end = this.map.start;
    for (const { offset, length } of inUse) {
      if (offset >= end + PAGE) return end;
      end = Math.max(end, offset + length);
    }
    return undefined;
  }
}
