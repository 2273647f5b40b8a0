import type { Handler } from '../../stages/stage.ts';
import { hex } from '../../x86/address.ts';
import type { MmioDevice } from '../device.ts';

/** A device on the memory bus, with the name that errors and frames show. */
export type NamedMmioDevice = MmioDevice & { readonly name: string };

/** Devices that the guest moves: who of them answers at an address now. */
export interface MmioDecoder {
  find(gpa: bigint): NamedMmioDevice | undefined;
}

type Size = 1 | 2 | 4 | 8;

/**
 * Which device answers at which guest physical addresses. Addresses nobody answers at read as ones. Where a device that can be moved
 * lies over one that can't, the latter answers; accesses to RAM don't come here at all.
 */
export class MmioBus {
  private readonly ranges: { readonly base: bigint; readonly end: bigint; readonly device: NamedMmioDevice }[] = [];
  /** Asked where no device has a place of its own, one after the other. */
  private readonly decoders: MmioDecoder[] = [];

  /** Throws a sentence that names both devices when ranges overlap. */
  attach(device: NamedMmioDevice): void {
    for (const { base, length } of device.mmio) {
      const end = base + length;
      const other = this.ranges.find((range) => base < range.end && range.base < end);
      if (other !== undefined)
        throw new Error(
          `Physical addresses ${hex(base)} to ${hex(end - 1n)} are claimed by both ${other.device.name} and ${device.name}; move one of them.`,
        );
      this.ranges.push({ base, end, device });
    }
  }

  /** Devices that the guest moves. Where two of them answer at an address, the first that was attached does. */
  attachMovable(decoder: MmioDecoder): void {
    this.decoders.push(decoder);
  }

  find(gpa: bigint): NamedMmioDevice | undefined {
    const fixed = this.ranges.find((range) => gpa >= range.base && gpa < range.end);
    if (fixed) return fixed.device;
    for (const decoder of this.decoders) {
      const device = decoder.find(gpa);
      if (device) return device;
    }
    return undefined;
  }

  read(gpa: bigint, size: Size): bigint {
    const device = this.find(gpa);
    return device === undefined ? allOnes(size) : BigInt.asUintN(size * 8, device.readMmio(gpa, size));
  }

  write(gpa: bigint, size: Size, value: bigint): void {
    this.find(gpa)?.writeMmio(gpa, size, value);
  }

  *writeInStages(gpa: bigint, size: Size, value: bigint): Handler {
    const device = this.find(gpa);
    if (device?.writeMmioInStages) yield* device.writeMmioInStages(gpa, size, value);
    else device?.writeMmio(gpa, size, value);
  }
}

/** What a bus without a driver reads as. */
export function allOnes(size: Size): bigint {
  return (1n << BigInt(size * 8)) - 1n;
}
