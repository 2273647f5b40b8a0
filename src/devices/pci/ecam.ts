import { hex } from '../../x86/address.ts';
import type { Device, MmioDevice } from '../device.ts';
import type { InspectNode } from '../inspect.ts';
import { requireVersion } from '../state.ts';
import type { PciBus } from './bus.ts';
import { ECAM } from './places.ts';

export interface EcamState {
  readonly version: 1;
}

/** Configuration spaces as memory (PCI Express 6.0, 7.2.2): of 4 KiB, of which functions here have the first 256 bytes. */
export class Ecam implements Device<EcamState>, MmioDevice {
  readonly name = 'pci-ecam';
  readonly mmio = [ECAM];

  constructor(private readonly bus: PciBus) {}

  readMmio(gpa: bigint, size: 1 | 2 | 4 | 8): bigint {
    const offset = Number(gpa - ECAM.base);
    if (size === 8) return this.readMmio(gpa, 4) | (this.readMmio(gpa + 4n, 4) << 32n);
    return BigInt(this.bus.readConfiguration(offset >> 12, offset & 0xfff, size));
  }
  writeMmio(gpa: bigint, size: 1 | 2 | 4 | 8, value: bigint): void {
    const offset = Number(gpa - ECAM.base);
    if (size === 8) {
      this.writeMmio(gpa, 4, value & 0xffff_ffffn);
      this.writeMmio(gpa + 4n, 4, value >> 32n);
    } else this.bus.writeConfiguration(offset >> 12, offset & 0xfff, size, Number(BigInt.asUintN(8 * size, value)));
  }

  /** It has no state: registers belong to the functions. */
  reset(): void {}
  save(): EcamState {
    return { version: 1 };
  }
  restore(state: EcamState): void {
    requireVersion(this.name, state, 1);
  }
  inspect(): InspectNode {
    return { name: this.name, value: hex(ECAM.base), detail: 'configuration spaces in memory' };
  }
}
