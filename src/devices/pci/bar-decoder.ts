import type { Handler } from '../../stages/stage.ts';
import type { MmioDecoder, NamedMmioDevice } from '../bus/mmio-bus.ts';
import type { BarRegion, PciFunction } from './function.ts';

interface Decoded {
  readonly base: bigint;
  readonly end: bigint;
  readonly device: NamedMmioDevice;
}

/**
 * Which registers of functions are at which guest physical addresses, as their BARs have them now. Where two overlap, the function that is
 * first in the list and then the lower BAR answers.
 */
export class BarDecoder implements MmioDecoder {
  private decoded: readonly Decoded[] = [];
  /** What was found last, since an access asks several times; none while places overlap, where the order counts. */
  private last: Decoded | undefined;
  private hasOverlaps = false;

  /** A BAR of one of these functions was moved, or its decoding switched. */
  decode(functions: readonly PciFunction[]): void {
    this.decoded = functions.flatMap(({ configuration, regions }) =>
      configuration.decodesMemory
        ? configuration.bars.flatMap((bar) => {
            const start = configuration.barAddress(bar);
            return regions.filter((region) => region.bar === bar.index).map((region) => decodedAt(start, region));
          })
        : [],
    );
    const sorted = [...this.decoded].sort((a, b) => (a.base < b.base ? -1 : 1));
    this.hasOverlaps = sorted.some(({ end }, index) => end > (sorted[index + 1]?.base ?? end));
    this.last = undefined;
  }

  find(gpa: bigint): NamedMmioDevice | undefined {
    if (this.last && isWithin(gpa, this.last)) return this.last.device;
    const found = this.decoded.find((place) => isWithin(gpa, place));
    if (!this.hasOverlaps) this.last = found;
    return found?.device;
  }
}

function isWithin(gpa: bigint, { base, end }: Decoded): boolean {
  return gpa >= base && gpa < end;
}

function decodedAt(start: bigint, region: BarRegion): Decoded {
  const base = start + BigInt(region.offset);
  const length = BigInt(region.length);
  const device: NamedMmioDevice = {
    name: region.name,
    mmio: [{ base, length }],
    isDoorbell: () => region.isDoorbell ?? false,
    readMmio: (gpa, size) => region.read(Number(gpa - base), size),
    writeMmio: (gpa, size, value) => region.write(Number(gpa - base), size, value),
    *writeMmioInStages(gpa, size, value): Handler {
      const offset = Number(gpa - base);
      if (region.writeInStages) yield* region.writeInStages(offset, size, value);
      else region.write(offset, size, value);
    },
  };
  return { base, end: base + length, device };
}
