import type { VirtioModel } from '../../../src/devices/virtio/model.ts';
import type { FakeDma } from './fake-dma.ts';
import { MmioDriver, type VirtioDriver } from './mmio-driver.ts';
import { PciDriver } from './pci-driver.ts';

export type DriverMaker = (model: VirtioModel, dma?: FakeDma) => VirtioDriver;

/** Both transports, for tests that hold for each. */
export const TRANSPORTS: readonly (readonly [string, DriverMaker])[] = [
  ['virtio-mmio', (model, dma) => new MmioDriver(model, dma)],
  ['virtio-pci', (model, dma) => new PciDriver(model, dma)],
];
